import { describe, expect, it } from 'vitest';
import { clusterPortsOf } from '../../../../proto/objects/endpoint.ts';
import { auditPorts } from '../../../../manager/allocator/port-audit.ts';
import { DYNAMIC_PORT_START, PortBook } from '../../../../manager/allocator/port-book.ts';
import { wrongPorts } from '../../../../manager/diagnosis/leaked-holdings.ts';
import type { PortConfig } from '../../../../proto/objects/endpoint.ts';
import { messageOf } from '../../../../proto/runtime/errors.ts';
import { NodeInfo } from '../../../../manager/scheduler/node-info.ts';
import { SeededRandom } from '../../../sim/raft/seeded-random.ts';
import { newNode, runningTask } from '../scheduler/fixture.ts';
import { AllocatorBench, newService } from './fixture.ts';

const CYCLES = 2_000;
const MOST_SERVICES = 25;

/** A few ports that many want, so that services wait for each other; some are dynamic, some of one node only. */
function somePorts(random: SeededRandom): PortConfig[] {
  return Array.from({ length: random.int(0, 3) }, (_, index) => ({
    Protocol: random.pick(['tcp', 'udp'] as const) ?? 'tcp',
    TargetPort: 80 + index,
    PublishMode: random.chance(0.2) ? ('host' as const) : ('ingress' as const),
    ...(random.chance(0.5) ? {} : { PublishedPort: random.int(8_000, 8_012) }),
  }));
}

function publishedBy(bench: AllocatorBench): string[] {
  return bench.store.view((tx) =>
    [...tx.all('services')].flatMap((service) =>
      clusterPortsOf(service.Endpoint).map(({ protocol, port }) => `${service.ID} ${protocol}/${port}`),
    ),
  );
}

/** The leader holds what services show, and what those that wait for something else ask for; no port is shown twice. */
function compare(bench: AllocatorBench): void {
  const shown = publishedBy(bench);
  const ports = shown.map((each) => each.split(' ')[1]);
  expect(new Set(ports).size, shown.join()).toBe(ports.length);
  const asked = bench.store.view((tx) =>
    [...tx.all('services')].flatMap((service) =>
      clusterPortsOf({ Ports: service.Spec.EndpointSpec?.Ports ?? [] }).map(
        ({ protocol, port }) => `${service.ID} ${protocol}/${port}`,
      ),
    ),
  );
  const held = bench.allocator.ports.map(({ serviceId, port }) => `${serviceId} ${port}`);
  expect(held).toEqual(expect.arrayContaining(shown));
  expect(held.filter((each) => !shown.includes(each) && !asked.includes(each))).toEqual([]);
  expect(bench.store.view((tx) => wrongPorts(tx, bench.allocator.ports))).toEqual([]);
}

async function churn(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const bench = new AllocatorBench(random.chance(0.5) ? { watchLimit: 0 } : {});
  await bench.start();
  const live = (): string[] => bench.store.view((tx) => [...tx.all('services')].map(({ ID }) => ID)).toSorted();
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    // The users' log works; the allocator's own writes may be refused, or committed after it was told that they were not.
    bench.proposer.mode = 'ok';
    const spec = { EndpointSpec: { Ports: somePorts(random) } };
    const id = random.pick(live());
    const kind = id === undefined || (live().length < MOST_SERVICES && random.chance(0.4)) ? 'create' : 'change';
    const removes = random.chance(0.5);
    const written = bench.store.update((tx) => {
      if (kind === 'create') {
        tx.create('services', newService(`s${cycle}`, spec));
        return;
      }
      const service = tx.get('services', id ?? '');
      if (service === undefined) return;
      if (removes) tx.remove('services', service.ID);
      else tx.update('services', { ...service, Spec: { ...service.Spec, ...spec } });
    });
    bench.proposer.mode = random.pick(['ok', 'ok', 'ok', 'refused', 'late'] as const) ?? 'ok';
    // Having lost a race it is tried again, on the log as it is.
    await written.catch((error: unknown) => expect(messageOf(error)).toMatch(/^no leader$/));
    if (random.chance(0.3)) await bench.settle(random.int(0, 300));
    if (random.chance(0.02)) await bench.restart();
    if (cycle % 200 === 0) {
      bench.proposer.mode = 'ok';
      bench.proposer.flush();
      await bench.settle(61_000);
      compare(bench);
    }
  }
  bench.proposer.mode = 'ok';
  bench.proposer.flush();
  for (const id of live()) await bench.store.update((tx) => tx.remove('services', id));
  await bench.settle(61_000);
  expect(bench.allocator.ports).toEqual([]);
  await bench.allocator.stop();
}

const published = (...ports: number[]): PortConfig[] =>
  ports.map((port) => ({
    Protocol: 'tcp' as const,
    TargetPort: port,
    PublishedPort: port,
    PublishMode: 'ingress' as const,
  }));

describe('published ports', () => {
  it.each([1, 2, 3, 4])('are held by who shows them, after thousands of cycles with crashes: seed %i', churn, 60_000);

  it('that an earlier spec asked for are given back though the service waits still', async () => {
    const bench = new AllocatorBench();
    await bench.start();
    const create = (id: string, ...ports: number[]): Promise<void> =>
      bench.store.update((tx) =>
        tx.create('services', newService(id, { EndpointSpec: { Ports: published(...ports) } })),
      );
    await create('owner', 80);
    await bench.settle();
    await create('waits', 90, 80);
    await bench.settle();
    const waits = bench.service('waits');
    const spec = { ...waits.Spec, EndpointSpec: { Ports: published(91, 80) } };
    await bench.store.update((tx) => tx.update('services', { ...waits, Spec: spec }));
    await create('other', 90);
    await bench.settle();
    expect(publishedBy(bench)).toEqual(['owner tcp/80', 'other tcp/90']);
    await bench.allocator.stop();
  });

  it.each([
    { id: 'under the same leader', restart: false },
    { id: 'by the next leader', restart: true },
  ])('that two services show are told apart $id: a dynamic one is changed, a fixed one waits', async ({ restart }) => {
    const bench = new AllocatorBench();
    await bench.start();
    for (const id of ['a', 'b']) {
      const Ports = [...published(80), { Protocol: 'tcp' as const, TargetPort: 1 }];
      const other = [{ Protocol: 'tcp' as const, TargetPort: 1 }];
      await bench.store.update((tx) =>
        tx.create('services', newService(id, { EndpointSpec: { Ports: id === 'a' ? Ports : other } })),
      );
      await bench.settle();
    }
    // As a state from elsewhere may say.
    const [a, b] = [bench.service('a'), bench.service('b')];
    await bench.allocator.stop();
    await bench.store.update((tx) =>
      tx.update('services', { ...b, Endpoint: { Spec: {}, Ports: a.Endpoint?.Ports ?? [] } }),
    );
    expect(bench.store.view((tx) => wrongPorts(tx, [])).map(({ kind, object }) => `${kind} ${object}`)).toEqual([
      'port held twice tcp/80',
      `port held twice tcp/${DYNAMIC_PORT_START}`,
    ]);
    await bench.restart();
    if (restart) await bench.restart();
    await bench.settle(31_000);
    expect(publishedBy(bench)).toEqual(['a tcp/80', `a tcp/${DYNAMIC_PORT_START}`, `b tcp/${DYNAMIC_PORT_START + 1}`]);
    await bench.allocator.stop();
  });

  it('are mended by the audit, whatever the events said', () => {
    const ports = new PortBook();
    for (const [id, port] of [
      ['gone', 1],
      ['a', 2],
      ['a', 3],
      ['open', 4],
    ] as const) {
      ports.take(id, 'tcp', port);
    }
    const bench = new AllocatorBench();
    return bench.store
      .update((tx) => {
        tx.create('services', { ...newService('a'), Endpoint: { Spec: {}, Ports: published(2, 5) } });
        tx.create('services', { ...newService('b'), Endpoint: { Spec: {}, Ports: published(2) } });
        tx.create('services', newService('open'));
      })
      .then(() => {
        const audit = bench.store.view((tx) => auditPorts(tx, ports, new Set(['open'])));
        expect(audit).toEqual({
          released: ['gone/tcp/1', 'a/tcp/3'],
          duplicates: [{ protocol: 'tcp', port: 2, owner: 'a', other: 'b' }],
        });
        expect([ports.of('a'), ports.of('b'), ports.of('open')]).toEqual([['tcp/2', 'tcp/5'], [], ['tcp/4']]);
        expect(bench.store.view((tx) => auditPorts(tx, ports, new Set(['open']))).released).toEqual([]);
      });
  });

  it.each([1, 2, 3])('of one node are in use while a task there has them, and no longer: seed %i', (seed) => {
    const random = new SeededRandom(seed);
    const info = new NodeInfo(newNode('n1'));
    const live = new Map<string, string[]>();
    for (let cycle = 0; cycle < 5_000; cycle++) {
      const id = `t${random.int(0, 40)}`;
      const ports = Array.from({ length: random.int(0, 3) }, () => random.int(8_000, 8_010));
      if (random.chance(0.45)) {
        info.remove(id);
        live.delete(id);
      } else {
        const Ports = ports.map((port) => ({ TargetPort: 1, PublishedPort: port, PublishMode: 'host' as const }));
        info.put(runningTask(id, 'n1', { Endpoint: { Spec: {}, Ports } }));
        live.set(
          id,
          ports.map((port) => `tcp/${port}`),
        );
      }
      if (random.chance(0.05)) info.replace(newNode('n1'));
      const used = new Set([...live.values()].flat());
      for (let port = 8_000; port <= 8_010; port++)
        expect(info.usesHostPort(`tcp/${port}`)).toBe(used.has(`tcp/${port}`));
    }
  });
});
