import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { systemRandom } from '../../../../proto/runtime/random.ts';
import { ContainerNames, DEFAULT_CONTAINER_NAMES_OPTIONS } from '../../../../worker/docker/container-names.ts';
import { endpointsOf } from '../../../../worker/docker/network-endpoints.ts';
import { assignedNetwork } from '../../../fixtures/container-tasks.ts';
import { type ExecutorParts, executorParts } from '../../../fixtures/executor-world.ts';
import { FakeEngine } from '../../../fixtures/fake-engine.ts';
import { eventually } from '../../../lab/eventually.ts';

const QUICK = { everyMs: 3, timeoutMs: 5_000 };
const ID = 'a'.repeat(64);

describe('endpointsOf', () => {
  const listed = (Id: string, name: string, State = 'running') => ({ Id, Names: [`/${name}`], State, Labels: {} });
  const endpoint = (Name: string, EndpointID = 'e1') => ({
    Name,
    EndpointID,
    IPv4Address: '10.0.0.5/24',
    IPv6Address: '',
    MacAddress: '',
  });

  it.each([
    { id: 'by container', key: ID },
    { id: 'by name, while it is being connected', key: 'ep-e1' },
  ])('finds the container $id', ({ key }) => {
    const network = { Id: 'n', Containers: { [key]: endpoint('c1') } };
    const aliases = (id: string): string[] => [id.slice(0, 12), 'nick'];
    expect(endpointsOf(network, [listed(ID, 'c1', 'created'), listed('b', 'c2')], aliases)).toEqual([
      {
        endpointId: 'e1',
        networkLocalId: 'n',
        containerId: ID,
        name: 'c1',
        shortId: 'a'.repeat(12),
        aliases: ['nick'],
        address: '10.0.0.5',
        running: false,
      },
    ]);
  });

  it('tells the task', () => {
    const task = { ...listed(ID, 'c1'), Labels: { 'com.docker.swarm.task.id': 't1' } };
    const network = { Id: 'n', Containers: { [ID]: endpoint('c1') } };
    expect(endpointsOf(network, [task], () => [])).toMatchObject([{ taskId: 't1', running: true }]);
  });

  it.each([
    { id: 'of nobody', containers: [], endpointId: 'e1' },
    { id: 'without an ID', containers: [listed(ID, 'c1')], endpointId: '' },
  ])('leaves out an endpoint $id', ({ containers, endpointId }) => {
    expect(endpointsOf({ Id: 'n', Containers: { [ID]: endpoint('c1', endpointId) } }, containers, () => [])).toEqual(
      [],
    );
  });
});

describe('on a fake engine', () => {
  let folder: string;
  let fake: FakeEngine;
  let parts: ExecutorParts;
  let networkId = '';
  const known = (): string[] =>
    parts.names.all().map((each) => `${each.name} ${each.address} ${each.aliases.join()} ${each.running}`);

  beforeEach(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'wgdk-'));
    fake = new FakeEngine(path.join(folder, 'docker.sock'));
    await fake.start();
    parts = await executorParts(fake.socketPath);
    parts.assigned.add(assignedNetwork('c1', 'net1', 1, true));
    await parts.networks.start();
    await parts.names.start();
    await eventually('the twin', () => parts.networks.mappings().length === 1, QUICK);
    networkId = parts.networks.mappings()[0]?.localId ?? '';
  });
  afterEach(async () => {
    await parts.stop();
    await fake.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const runContainer = (name: string, address: string, ...Aliases: string[]): string => {
    const container = fake.addContainer(name, {}, { net1: { IPAMConfig: { IPv4Address: address }, Aliases } });
    Object.assign(container.state, { Running: true, Status: 'running' });
    fake.emit('network', 'connect', networkId, { container: container.id });
    return container.id;
  };

  it('follows containers as they come, change and go', async () => {
    const told: string[] = [];
    parts.names.onChange((ids) => told.push(...ids));
    const id = runContainer('one', '10.9.1.5', 'nick');
    await eventually('one', () => known().join() === 'one 10.9.1.5 nick true', QUICK);
    const [endpoint] = parts.names.all();
    expect(parts.names.get(endpoint?.endpointId ?? '')).toBe(endpoint);
    expect(told).toContain(endpoint?.endpointId);
    const container = fake.containers.get(id);
    if (container !== undefined) container.name = 'other';
    fake.emit('container', 'rename', id, {});
    await eventually('the new name', () => known().join() === 'other 10.9.1.5 nick true', QUICK);
    told.length = 0;
    fake.exit(id, 0);
    await eventually('its end', () => known().length === 0, QUICK);
    // That it does not run any more, then that it is gone.
    expect(told).toEqual([endpoint?.endpointId, endpoint?.endpointId]);
  });

  it('tells at once that a container runs or has ended, whatever an older look finds', async () => {
    const id = runContainer('one', '10.9.1.5');
    await eventually('one', () => known().join() === 'one 10.9.1.5  true', QUICK);
    fake.faults.push({ match: /^GET/, kind: 'hang', times: 50 });
    const told = new Promise<string[]>((resolve) => parts.names.onChange(() => resolve(known())));
    fake.emit('container', 'die', id, {});
    expect(await told).toEqual(['one 10.9.1.5  false']);
  });

  it('does not wait for an engine that hangs when it stops', { timeout: 5_000 }, async () => {
    fake.faults.push({ match: /^GET/, kind: 'hang', times: 50 });
    const asked = fake.requests.length;
    parts.names.wake();
    await eventually('a look', () => fake.requests.length > asked, QUICK);
    await parts.names.stop();
  });

  it('a look that was begun before the start does not take it back', async () => {
    const container = fake.addContainer('one', {}, { net1: { IPAMConfig: { IPv4Address: '10.9.1.5' } } });
    Object.assign(container.state, { Running: true, Status: 'created' });
    await eventually('a look that leads to no other', async () => {
      const asked = fake.requests.length;
      await parts.names.refresh(networkId);
      return fake.requests.length === asked + 2;
    });
    expect(known()).toEqual(['one 10.9.1.5  false']);
    const seen: string[] = [];
    parts.names.onChange(() => seen.push(known().join()));
    const meanwhile = async (): Promise<void> => {
      container.state.Status = 'running';
      fake.emit('container', 'start', container.id, {});
      await eventually('the start', () => seen.length > 0, QUICK);
    };
    fake.faults.push({ match: /^GET \/containers\/json/, kind: 'late', meanwhile });
    await parts.names.refresh(networkId);
    expect(known()).toEqual(['one 10.9.1.5  true']);
    await parts.names.refresh(networkId);
    expect(seen).toEqual(['one 10.9.1.5  true']);
  });

  it('does not ask for the aliases of a task, which its assignment tells, until something was added', async () => {
    const Labels = { 'com.docker.swarm.task.id': 't1' };
    const inspects = (): number =>
      fake.requests.filter((each) => /^GET \/containers\/[0-9a-f]{64}\/json/.test(each)).length;
    const container = fake.addContainer('one', { Labels }, { net1: { IPAMConfig: { IPv4Address: '10.9.1.5' } } });
    fake.emit('network', 'connect', networkId, { container: container.id });
    Object.assign(container.state, { Running: true, Status: 'running' });
    fake.emit('container', 'start', container.id, {});
    await eventually('one', () => known().join() === 'one 10.9.1.5  true', QUICK);
    expect(inspects()).toBe(0);
    Object.assign(container.networks.net1 ?? {}, { Aliases: ['nick'] });
    fake.emit('network', 'connect', networkId, { container: container.id });
    await eventually('the alias', () => known().join() === 'one 10.9.1.5 nick true', QUICK);
  });

  it('does not look again, still less at everything, when what was marked has been looked at since', async () => {
    const settled: (() => void)[] = [];
    const { settleMs } = DEFAULT_CONTAINER_NAMES_OPTIONS;
    const clock: Clock = {
      ...systemClock,
      after(delayMs, run) {
        if (delayMs !== settleMs) return systemClock.after(delayMs, run);
        settled.push(run);
        return () => undefined;
      },
    };
    const base = { clock, random: systemRandom, log: silentLog, engine: parts.engine, events: parts.events };
    const names = new ContainerNames(DEFAULT_CONTAINER_NAMES_OPTIONS, {
      ...base,
      networks: () => parts.networks.mappings(),
    });
    await parts.names.stop();
    await names.start();
    await eventually('the first look', () => fake.requests.at(-1)?.startsWith(`GET /networks/${networkId}`), QUICK);
    const container = fake.addContainer('one', { Labels: { 'com.docker.swarm.task.id': 't1' } }, { net1: {} });
    fake.emit('network', 'connect', networkId, { container: container.id });
    await eventually('the mark', () => settled.length === 1, QUICK);
    Object.assign(container.state, { Running: true, Status: 'running' });
    await names.refresh(networkId);
    const before = fake.requests.length;
    settled[0]?.();
    await new Promise((resolve) => setImmediate(resolve));
    await names.refresh(networkId);
    await names.stop();
    // The refresh's own.
    expect(fake.requests.slice(before)).toEqual(['GET /containers/json?all=true', `GET /networks/${networkId}`]);
  });

  it('shares one look among those who ask while another is under way', async () => {
    await parts.names.stop();
    await parts.names.refresh(networkId);
    const looks = (): number => fake.requests.filter((each) => each.startsWith(`GET /networks/${networkId}`)).length;
    const before = looks();
    await Promise.all(Array.from({ length: 8 }, () => parts.names.refresh(networkId)));
    expect(looks() - before).toBeLessThanOrEqual(2);
  });

  it('tells names at once while the engine holds inspects back, and aliases later', async () => {
    fake.faults.push({ match: /containers\/[0-9a-f]+\/json/, kind: 'reset', times: 6 });
    runContainer('one', '10.9.1.5', 'nick');
    await eventually('the name', () => known().join() === 'one 10.9.1.5  true', QUICK);
    await eventually('the alias', () => known().join() === 'one 10.9.1.5 nick true', QUICK);
  });

  it('is told on request, and says when it cannot', async () => {
    await parts.names.stop();
    // What the stopped loop has asked is answered before this.
    await parts.names.refresh(networkId);
    fake.faults.push({ match: /^GET \/networks\/[0-9a-f]+/, kind: 'status', status: 500 });
    await expect(parts.names.refresh(networkId)).rejects.toMatchObject({ code: 'internal' });
    const container = fake.addContainer('one', {}, { net1: { IPAMConfig: { IPv4Address: '10.9.1.6' } } });
    Object.assign(container.state, { Running: true, Status: 'running' });
    await parts.names.refresh(networkId);
    expect(known()).toEqual(['one 10.9.1.6  true']);
    await parts.names.refresh('f'.repeat(64));
  });

  it('learns what happened while the engine was away', async () => {
    const id = runContainer('one', '10.9.1.5');
    await eventually('one', () => known().length === 1, QUICK);
    await fake.stop();
    fake.exit(id, 0);
    runContainer('two', '10.9.1.6');
    await eventually('the engine to be missed', () => !parts.events.connected, QUICK);
    await fake.start();
    await eventually('two', () => known().join() === 'two 10.9.1.6  true', QUICK);
  });

  it('forgets the endpoints of a network that is no twin any more', async () => {
    const id = runContainer('one', '10.9.1.5');
    await eventually('one', () => known().length === 1, QUICK);
    parts.assigned.networks.clear();
    fake.exit(id, 0);
    parts.networks.wake();
    await eventually('nothing', () => known().length === 0 && parts.networks.mappings().length === 0, QUICK);
  });
});
