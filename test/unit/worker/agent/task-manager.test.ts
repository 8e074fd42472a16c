import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { NetworkObject } from '../../../../proto/objects/network.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import type { StatusReporter } from '../../../../worker/agent/status-reporter.ts';
import { TaskDb } from '../../../../worker/agent/task-db.ts';
import { TaskManager } from '../../../../worker/agent/task-manager.ts';
import { TaskError } from '../../../../worker/exec/controller.ts';
import { FakeEngine, fakeExecutor } from '../../../fixtures/fake-executor.ts';
import { hastenedClock } from '../../../fixtures/hastened-clock.ts';
import { temporaryFolder } from '../../../fixtures/loopback-manager.ts';
import { networkObject, taskObject } from '../../../fixtures/task-object.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';

/** Waits a hundredth of what it is told to. */
const hurried = hastenedClock(100);

describe('TaskManager', () => {
  let disk: { folder: string; remove: () => Promise<void> };
  let engine: FakeEngine;
  let reported: string[];
  let manager: TaskManager;
  let db: TaskDb;
  beforeEach(async () => {
    disk = await temporaryFolder();
    engine = new FakeEngine();
    reported = [];
    manager = await started();
  });
  afterEach(async () => {
    await manager.stop();
    await disk.remove();
  });

  async function started(): Promise<TaskManager> {
    const reporter = {
      report: (taskId, status) => void reported.push(`${taskId} ${status.State}`),
      forget: () => undefined,
    } as Pick<StatusReporter, 'report' | 'forget'> as StatusReporter;
    db = new TaskDb({ dataDir: disk.folder });
    const made = new TaskManager({
      db,
      executor: fakeExecutor(engine),
      reporter,
      clock: hurried,
      random: () => 0,
      log: silentLog,
    });
    await made.start();
    return made;
  }
  const set = (...tasks: TaskObject[]) => ({
    tasks: new Map(tasks.map((task) => [task.ID, task])),
    networks: new Map(),
  });
  const eventually = (check: () => void): Promise<void> => vi.waitFor(check, { timeout: 10_000, interval: 2 });
  const running = (id: string): Promise<void> => eventually(() => expect(manager.statusOf(id)?.State).toBe('running'));

  it('reports every state once, in order', async () => {
    manager.replace(set(taskObject('t1', 'n')));
    await running('t1');
    expect(reported).toEqual(['accepted', 'preparing', 'ready', 'starting', 'running'].map((state) => `t1 ${state}`));
    manager.replace(set(taskObject('t1', 'n')));
    manager.apply(set(taskObject('t1', 'n')));
    expect(engine.calls.filter((call) => call === 'wait t1')).toHaveLength(1);
  });

  it('tries again what failed for now, and rejects what failed for good', async () => {
    const away = new TaskError('engine away', { temporary: true });
    engine.failNext('prepare', 'good', away, away, away);
    engine.failNext('start', 'good', away);
    engine.failNext('prepare', 'bad', new TaskError('No such image', { temporary: false }));
    manager.replace(set(taskObject('good', 'n'), taskObject('bad', 'n')));
    await running('good');
    expect(engine.containers.get('good')?.starts).toBe(1);
    expect(manager.statusOf('bad')).toMatchObject({ State: 'rejected', Err: 'No such image' });
  });

  it('ends a task that is not wanted any more in whatever state it is', async () => {
    const away = new TaskError('engine away', { temporary: true });
    engine.failNext('prepare', 't1', ...Array.from({ length: 50 }, () => away));
    manager.replace(set(taskObject('t1', 'n')));
    await eventually(() => expect(engine.calls.length).toBeGreaterThan(2));
    manager.apply(set(taskObject('t1', 'n', { DesiredState: 'shutdown' })));
    await eventually(() => expect(manager.statusOf('t1')?.State).toBe('shutdown'));
    expect(engine.calls).not.toContain('start t1');
  });

  it('keeps at a removal until it is done, over a restart too', async () => {
    manager.replace(set(taskObject('t1', 'n')));
    await running('t1');
    const away = new TaskError('engine away', { temporary: true });
    engine.failNext('remove', 't1', ...Array.from({ length: 1000 }, () => away));
    manager.replace(set());
    await eventually(() => expect(engine.calls).toContain('remove t1'));
    await manager.stop();
    expect(engine.containers.has('t1')).toBe(true);
    engine.faults.clear();
    reported = [];
    manager = await started();
    await eventually(() => expect(engine.containers.size).toBe(0));
    expect(reported).toEqual([]);
    await manager.stop();
    manager = await started();
    expect(manager.statusOf('t1')).toBeUndefined();
  });

  it('has stopped only when the record of a removed task is off the disk', async () => {
    manager.replace(set(taskObject('t1', 'n')));
    await running('t1');
    const disk = Promise.withResolvers<void>();
    const remove = vi.spyOn(db.tasks, 'delete').mockReturnValue(disk.promise);
    manager.replace(set());
    await eventually(() => expect(remove).toHaveBeenCalledWith('t1'));
    let hasStopped = false;
    const stopping = manager.stop().then(() => (hasStopped = true));
    await settle();
    expect(hasStopped).toBe(false);
    disk.resolve();
    await stopping;
  });

  it('takes a task back that is assigned again while it is being removed', async () => {
    manager.replace(set(taskObject('t1', 'n')));
    await running('t1');
    manager.replace(set());
    manager.replace(set(taskObject('t1', 'n')));
    await eventually(() => expect(['running', 'shutdown']).toContain(manager.statusOf('t1')?.State));
    expect(manager.assigned.tasks.has('t1')).toBe(true);
    await manager.stop();
    expect(engine.containers.has('t1') || !engine.calls.includes('remove t1')).toBe(true);
  });

  it("does not take up again a removed task's start", async () => {
    manager.replace(set(taskObject('t1', 'n'), taskObject('t2', 'n')));
    await running('t1');
    await running('t2');
    manager.apply({ tasks: new Map([['t1', undefined]]), networks: new Map() });
    await eventually(() => expect([...engine.containers.keys()]).toEqual(['t2']));
    expect([...manager.assigned.tasks.keys()]).toEqual(['t2']);
  });

  it('announces tasks and networks before they are worked on', async () => {
    const seen: string[] = [];
    manager.assigned.onChange(() =>
      seen.push([...manager.assigned.networks.keys(), ...manager.assigned.tasks.keys()].join(' ')),
    );
    const network = networkObject('net1');
    manager.replace({ tasks: new Map([['t1', taskObject('t1', 'n')]]), networks: new Map([['net1', network]]) });
    expect(seen.at(-1)).toBe('net1 t1');
    expect(engine.calls).toEqual([]);
    manager.apply({ tasks: new Map(), networks: new Map([['net1', undefined]]) });
    expect(seen.at(-1)).toBe('t1');
    await running('t1');
  });

  it('has networks on the disk as they are, however often that fails, and when they change meanwhile', async () => {
    const full = new Error('ENOSPC');
    const put = vi.spyOn(db.networks, 'put').mockRejectedValueOnce(full).mockRejectedValueOnce(full);
    const change = (...networks: [string, NetworkObject | undefined][]): void =>
      manager.apply({ tasks: new Map(), networks: new Map(networks) });
    change(['net1', networkObject('net1')], ['net2', networkObject('net2')], ['net3', networkObject('net3')]);
    await settle();
    change(['net1', networkObject('net1', { Spec: { Name: 'renamed' } })], ['net2', undefined]);
    await vi.waitFor(async () => {
      const rows = await new TaskDb({ dataDir: disk.folder }).networks.open();
      expect([...rows.values()].map(({ Spec }) => Spec.Name).toSorted()).toEqual(['net3', 'renamed']);
    });
    expect(put.mock.calls.length).toBeGreaterThanOrEqual(4);
  });
});
