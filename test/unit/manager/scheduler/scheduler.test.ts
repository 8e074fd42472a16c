import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../../proto/runtime/log.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import { Scheduler } from '../../../../manager/scheduler/scheduler.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newNode, pendingTask } from './fixture.ts';

async function bench(
  nodes: readonly string[],
): Promise<{ clock: VirtualClock; store: StateStore; scheduler: Scheduler }> {
  const clock = new VirtualClock();
  const store = memoryStore({ clock });
  await store.update((tx) => {
    for (const id of nodes) tx.create('nodes', newNode(id));
  });
  const scheduler = new Scheduler({}, { store, clock, log: silentLog });
  await scheduler.start();
  await clock.advance(100);
  return { clock, store, scheduler };
}

function task(store: StateStore, id: string): TaskObject | undefined {
  return store.view((tx) => tx.get('tasks', id));
}

describe('Scheduler', () => {
  test('places tasks after a short wait, in Docker’s words', async () => {
    const { clock, store, scheduler } = await bench(['a', 'b']);
    await store.update((tx) => {
      for (let at = 0; at < 450; at++) tx.create('tasks', pendingTask(`t${at}`));
    });
    await clock.advance(9);
    expect(task(store, 't0')?.Status.State).toBe('pending');
    await clock.advance(2);
    expect(task(store, 't0')).toMatchObject({
      NodeID: 'a',
      Status: { State: 'assigned', Message: 'scheduler assigned task to node' },
    });
    const onA = store.view((tx) => tx.find('tasks', 'node', 'a').length);
    expect(onA).toBe(225);
    await scheduler.stop();
  });

  test('what fits nowhere says why and is placed when it can be', async () => {
    const { clock, store, scheduler } = await bench(['a', 'b']);
    const Spec = { Placement: { Constraints: ['node.labels.disk==ssd'] } };
    await store.update((tx) => tx.create('tasks', pendingTask('t', { Spec })));
    await clock.advance(100);
    expect(task(store, 't')?.Status).toMatchObject({
      State: 'pending',
      Message: 'pending task scheduling',
      Err: 'no suitable node (scheduling constraints not satisfied on 2 nodes)',
    });
    await store.update((tx) => {
      const node = tx.get('nodes', 'b');
      if (node !== undefined) tx.update('nodes', { ...node, Spec: { ...node.Spec, Labels: { disk: 'ssd' } } });
    });
    await clock.advance(100);
    expect(task(store, 't')).toMatchObject({ NodeID: 'b', Status: { State: 'assigned' } });
    expect(task(store, 't')?.Status.Err).toBeUndefined();
    await scheduler.stop();
  });

  test('a node that was drained a moment ago gets nothing', async () => {
    const { clock, store, scheduler } = await bench(['a', 'b']);
    await store.update((tx) => tx.create('tasks', pendingTask('t')));
    await clock.advance(9);
    await store.update((tx) => {
      const node = tx.get('nodes', 'a');
      if (node !== undefined) tx.update('nodes', { ...node, Spec: { ...node.Spec, Availability: 'drain' } });
    });
    await clock.advance(200);
    expect(task(store, 't')?.NodeID).toBe('b');
    await scheduler.stop();
  });

  test('pending tasks that are no longer wanted end as shutdown', async () => {
    const { clock, store, scheduler } = await bench([]);
    await store.update((tx) => tx.create('tasks', pendingTask('t')));
    await clock.advance(100);
    await store.update((tx) => {
      const row = tx.get('tasks', 't');
      if (row !== undefined) tx.update('tasks', { ...row, DesiredState: 'shutdown' });
    });
    await clock.advance(100);
    expect(task(store, 't')?.Status.State).toBe('shutdown');
    await scheduler.stop();
  });
});
