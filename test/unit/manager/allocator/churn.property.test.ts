import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../sim/raft/seeded-random.ts';
import { AllocatorBench, newNetwork, newService, newTask } from './fixture.ts';

const CYCLES = 3_000;
const NETWORK = { Networks: [{ Target: 'net1' }] };
const PORTS = { Ports: [{ Protocol: 'tcp' as const, TargetPort: 80, PublishMode: 'ingress' as const }] };
const USABLE = 256 - 3;

/**
 * Everything that takes an address or a port comes and goes, by chance, with leaders that crash in between and logs that refuse or commit
 * late. Whatever is left at the end of each thousand must be exactly what the state says.
 */
async function churn(seed: number): Promise<void> {
  const random = new SeededRandom(seed);
  const bench = new AllocatorBench();
  await bench.start();
  await bench.store.update((tx) =>
    tx.create('networks', newNetwork('net1', { IPAMOptions: { Configs: [{ Subnet: '10.50.0.0/24' }] } })),
  );
  await bench.settle();
  const live: { table: 'tasks' | 'services' | 'attachments'; id: string; address?: string }[] = [];
  for (let cycle = 1; cycle <= CYCLES; cycle++) {
    bench.proposer.mode = 'ok';
    const id = `x${cycle}`;
    if (live.length > 60 || (live.length > 0 && random.chance(0.45))) await remove(bench, live, random);
    else if (random.chance(0.4)) {
      await bench.store.update((tx) => tx.create('tasks', newTask(id, { Spec: NETWORK })));
      live.push({ table: 'tasks', id });
    } else if (random.chance(0.5)) {
      const spec = { TaskTemplate: NETWORK, EndpointSpec: PORTS };
      await bench.store.update((tx) => tx.create('services', newService(id, spec)));
      live.push({ table: 'services', id });
    } else {
      bench.proposer.mode = random.pick(['ok', 'ok', 'refused', 'late'] as const) ?? 'ok';
      const request = { nodeId: 'n1', networkId: 'net1', reference: id };
      const address = await bench.attachments.allocate(request).catch(() => undefined);
      bench.proposer.mode = 'ok';
      if (address !== undefined) live.push({ table: 'attachments', id, address });
    }
    if (random.chance(0.02)) await bench.restart();
    if (cycle % 10 === 0) await bench.settle(600);
    if (cycle % 1000 === 0) await audit(bench);
  }
  for (const table of ['tasks', 'services', 'attachments'] as const) {
    const ids = bench.store.view((tx) => [...tx.all(table)].map(({ ID }) => ID));
    for (const id of ids) await bench.store.update((tx) => tx.remove(table, id));
  }
  await bench.settle(61_000);
  await audit(bench);
  expect(bench.allocator.addresses.freeCount('net1')).toBe(USABLE);
  expect(bench.allocator.addresses.holdings()).toEqual([]);
  await bench.allocator.stop();
}

async function remove(
  bench: AllocatorBench,
  live: { table: 'tasks' | 'services' | 'attachments'; id: string; address?: string }[],
  random: SeededRandom,
): Promise<void> {
  const chosen = random.pick(live);
  if (chosen === undefined) return;
  live.splice(live.indexOf(chosen), 1);
  const { table, id, address } = chosen;
  if (address !== undefined) {
    await bench.attachments.release({ nodeId: 'n1', networkId: 'net1', address });
  } else if (table === 'tasks' && random.chance(0.5)) {
    const ended = { ...bench.task(id), Status: { Timestamp: '', State: 'failed' as const } };
    await bench.store.update((tx) => tx.update('tasks', ended));
  } else await bench.store.update((tx) => tx.remove(table, id));
}

/** After a minute nothing of an unknown outcome is left, and the book holds what the state holds, no more and no less. */
async function audit(bench: AllocatorBench): Promise<void> {
  bench.proposer.flush();
  await bench.settle(61_000);
  await bench.attachments.report({ nodeId: 'nobody', held: [], givenUp: [] });
  const declared = bench.store.view((tx) => [
    ...[...tx.all('tasks')].flatMap((task) =>
      task.Status.State === 'failed'
        ? []
        : (task.NetworksAttachments ?? []).flatMap(({ Addresses }) => Addresses.map((at) => `task/${task.ID} ${at}`)),
    ),
    ...[...tx.all('services')].flatMap((service) =>
      (service.Endpoint?.VirtualIPs ?? []).map(({ Addr }) => `service/${service.ID} ${Addr}`),
    ),
    ...[...tx.all('attachments')].map(({ ID, Address }) => `attachment/${ID} ${Address}`),
  ]);
  const held = bench.allocator.addresses.holdings().map(({ holder, address }) => `${holder} ${address}`);
  expect(held.toSorted()).toEqual(declared.toSorted());
}

describe('Allocator', () => {
  it.each([1, 2, 3])('holds what the state holds, after thousands of cycles with crashes: seed %i', churn, 60_000);
});
