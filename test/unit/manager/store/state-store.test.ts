import { fc, test as propertyTest } from '@fast-check/vitest';
import { describe, expect, test } from 'vitest';
import { memoryStore, MemoryProposer } from '../../../../manager/store/memory-proposer.ts';
import { StateStore } from '../../../../manager/store/state-store.ts';
import type { Proposer, StoreEvent, WriteTx } from '../../../../manager/store/transaction.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newNetwork, newNode, newService, newTaskIn, newTask } from './objects.ts';
import { proposerConformance } from './proposer-conformance.ts';

const clock = new VirtualClock();

proposerConformance('MemoryProposer', () => {
  const store = new StateStore({}, { clock });
  const proposer = new MemoryProposer({}, { machine: store });
  store.connect(proposer);
  return Promise.resolve({ store, proposer, stop: () => Promise.resolve() });
});

/** A store with a service `web` (s1), its tasks, and a network. */
async function seeded(): Promise<StateStore> {
  const store = memoryStore({ clock });
  await store.update((tx) => {
    tx.create('services', newService('s1', 'web', { TaskTemplate: { Networks: [{ Target: 'n1' }] } }));
    tx.create('networks', newNetwork('n1', 'net1'));
    tx.create('tasks', newTask('t1', { ServiceID: 's1', Slot: 1, NodeID: 'x' }));
    tx.create('tasks', newTask('t2', { ServiceID: 's1', Slot: 2, NodeID: 'y' }));
  });
  return store;
}

describe('transactions', () => {
  test('reads see own writes, also through indexes and iteration', async () => {
    const store = await seeded();
    await store.update((tx) => {
      const task = tx.get('tasks', 't1');
      if (task === undefined) throw new Error('no task');
      tx.update('tasks', { ...task, NodeID: 'y' });
      tx.remove('tasks', 't2');
      tx.create('tasks', newTask('t3', { ServiceID: 's1', Slot: 2 }));
      expect(tx.find('tasks', 'node', 'x')).toEqual([]);
      expect(tx.find('tasks', 'node', 'y').map((found) => found.ID)).toEqual(['t1']);
      expect(tx.find('tasks', 'slot', 's1/2').map((found) => found.ID)).toEqual(['t3']);
      expect([...tx.all('tasks')].map((found) => found.ID).toSorted()).toEqual(['t1', 't3']);
      expect(tx.count('tasks')).toBe(2);
      expect(tx.get('tasks', 't2')).toBeUndefined();
    });
    expect(
      store.view((tx) =>
        tx
          .find('tasks', 'service', 's1')
          .map((task) => task.ID)
          .toSorted(),
      ),
    ).toEqual(['t1', 't3']);
  });

  test('writing while iterating over all rows visits each row once', async () => {
    const store = await seeded();
    let visits = 0;
    await store.update((tx) => {
      for (const task of tx.all('tasks')) {
        visits++;
        tx.update('tasks', { ...task, DesiredState: 'shutdown' });
      }
    });
    expect(visits).toBe(2);
  });

  test('versions and times come from the log entry, CreatedAt stays', async () => {
    const store = await seeded();
    const before = store.view((tx) => tx.get('services', 's1'));
    await clock.advance(1000);
    await store.update((tx) => {
      const service = tx.get('services', 's1');
      if (service !== undefined) tx.update('services', { ...service, CreatedAt: 'forged', SpecVersion: 2 });
    });
    const after = store.view((tx) => tx.get('services', 's1'));
    expect(before?.Version).toEqual({ Index: 1 });
    expect(after?.Version).toEqual({ Index: 2 });
    expect(after?.CreatedAt).toBe(before?.CreatedAt);
    expect(after?.UpdatedAt).not.toBe(before?.UpdatedAt);
  });

  test('committed objects are frozen all the way down', async () => {
    const store = await seeded();
    const service = store.view((tx) => tx.get('services', 's1'));
    expect(Object.isFrozen(service)).toBe(true);
    expect(Object.isFrozen(service?.Spec.TaskTemplate.Networks?.[0])).toBe(true);
  });

  test('an object may be written several times in one transaction', async () => {
    const store = await seeded();
    await store.update((tx) => {
      tx.create('services', newService('s2', 'db'));
      for (let i = 0; i < 3; i++) {
        const service = tx.get('services', 's2');
        if (service !== undefined) tx.update('services', { ...service, SpecVersion: service.SpecVersion + 1 });
      }
      tx.create('services', newService('s3', 'gone'));
      tx.remove('services', 's3');
      tx.remove('services', 's1');
      tx.create('services', newService('s4', 'WEB'));
    });
    expect(store.view((tx) => [...tx.all('services')].map((s) => [s.ID, s.SpecVersion]))).toEqual([
      ['s2', 4],
      ['s4', 1],
    ]);
  });

  test('a transaction without changes proposes nothing', async () => {
    const proposer: Proposer = { propose: () => Promise.reject(new Error('proposed')) };
    const store = new StateStore({}, { clock });
    store.connect(proposer);
    await expect(store.update(() => 7)).resolves.toBe(7);
  });

  test('a transaction used after its end throws', async () => {
    const store = memoryStore({ clock });
    let leaked: WriteTx | undefined;
    await store.update((tx) => {
      leaked = tx;
    });
    expect(() => leaked?.create('services', newService('s1', 'web'))).toThrow('after its end');
  });

  test('without a log an update is unavailable', async () => {
    const store = new StateStore({}, { clock });
    const update = store.update((tx) => tx.create('services', newService('s', 'web')));
    await expect(update).rejects.toMatchObject({ code: 'unavailable' });
  });
});

describe('preconditions', () => {
  const cases: { id: string; write: (tx: WriteTx) => void; code: string; message: string }[] = [
    {
      id: 'same ID',
      write: (tx) => tx.create('services', newService('s1', 'other')),
      code: 'already-exists',
      message: 'object already exists',
    },
    {
      id: 'same name, other case',
      write: (tx) => tx.create('services', newService('s2', 'Web')),
      code: 'already-exists',
      message: 'name conflicts with an existing object',
    },
    {
      id: 'network name',
      write: (tx) => tx.create('networks', newNetwork('n2', 'net1')),
      code: 'already-exists',
      message: 'name conflicts with an existing object',
    },
    {
      id: 'stale version',
      write: (tx) => {
        const service = tx.get('services', 's1');
        if (service !== undefined) tx.update('services', { ...service, Version: { Index: 0 } });
      },
      code: 'unknown',
      message: 'update out of sequence',
    },
    {
      id: 'update of a missing object',
      write: (tx) => {
        const service = tx.get('services', 's1');
        if (service !== undefined) tx.update('services', { ...service, ID: 'nope' });
      },
      code: 'not-found',
      message: 'service nope not found',
    },
    {
      id: 'remove of a missing object',
      write: (tx) => tx.remove('tasks', 'nope'),
      code: 'not-found',
      message: 'task nope not found',
    },
  ];
  test.each(cases)('$id', async ({ write, code, message }) => {
    const store = await seeded();
    await expect(store.update(write)).rejects.toMatchObject({ code, message });
  });

  test('hostnames may repeat', async () => {
    const store = memoryStore({ clock });
    await store.update((tx) => {
      tx.create('nodes', newNode('a', 'host'));
      tx.create('nodes', newNode('b', 'HOST'));
    });
    expect(store.view((tx) => tx.find('nodes', 'name', 'Host').length)).toBe(2);
  });

  test('an actor may only make its own moves', async () => {
    const store = memoryStore({ clock });
    await store.update((tx) => tx.create('tasks', newTaskIn('t', 'pending')));
    const move = (state: 'assigned' | 'running', actor: 'scheduler' | 'allocator') =>
      store.update(
        (tx) => {
          const task = tx.get('tasks', 't');
          if (task !== undefined) tx.update('tasks', { ...task, Status: { Timestamp: '', State: state } });
        },
        { actor },
      );
    await expect(move('assigned', 'allocator')).rejects.toThrow(
      'allocator may not move task t from pending to assigned',
    );
    await expect(move('running', 'scheduler')).rejects.toThrow('may not move');
    await expect(move('assigned', 'scheduler')).resolves.toBeUndefined();
  });

  test('a lost race is tried again ten times, then aborted', async () => {
    const store = new StateStore({}, { clock });
    let proposed = 0;
    store.connect({
      propose: () => {
        proposed++;
        return Promise.resolve({ ok: false, reason: 'conflict', detail: 'update out of sequence' });
      },
    });
    const update = store.update((tx) => tx.create('services', newService('s', 'web')));
    await expect(update).rejects.toMatchObject({ code: 'aborted' });
    expect(proposed).toBe(10);
  });

  const corrupt: { id: string; data: string }[] = [
    { id: 'not JSON', data: '{' },
    { id: 'not a proposal', data: '[]' },
    { id: 'unknown table', data: '{"at":"","actions":[{"kind":"create","table":"volumes","object":{"ID":"a"}}]}' },
    { id: 'unknown kind', data: '{"at":"","actions":[{"kind":"merge","table":"tasks","id":"a","base":1}]}' },
    {
      id: 'prototype name as table',
      data: '{"at":"","actions":[{"kind":"remove","table":"__proto__","id":"a","base":1}]}',
    },
  ];
  test.each(corrupt)('apply of $id stops the manager', ({ data }) => {
    const store = new StateStore({}, { clock });
    expect(() => store.apply(1, Buffer.from(data))).toThrow(expect.objectContaining({ name: 'InvariantError' }));
  });

  test('a refused entry changes nothing, not even what came before in it', async () => {
    const store = await seeded();
    const data = JSON.stringify({
      at: 'now',
      actions: [
        { kind: 'remove', table: 'tasks', id: 't1', base: 1 },
        { kind: 'remove', table: 'tasks', id: 't2', base: 99 },
      ],
    });
    const watch = store.watch();
    expect(store.apply(9, Buffer.from(data))).toEqual({
      ok: false,
      reason: 'conflict',
      detail: 'update out of sequence',
    });
    expect(store.view((tx) => tx.count('tasks'))).toBe(2);
    watch.close();
    expect(await watch[Symbol.asyncIterator]().next()).toEqual({ done: true, value: undefined });
  });
});

describe('pins', () => {
  const change = (store: StateStore, write: (tx: WriteTx) => void) => store.update(write);
  const cases: { id: string; pin: (tx: WriteTx) => boolean; other: (tx: WriteTx) => void; runs: number }[] = [
    {
      id: 'a row that goes',
      pin: (tx) => tx.pin('networks', 'n1') !== undefined,
      other: (tx) => tx.remove('networks', 'n1'),
      runs: 2,
    },
    {
      id: 'a row that changes',
      pin: (tx) => tx.pin('networks', 'n1') !== undefined,
      other: (tx) => {
        const network = tx.get('networks', 'n1');
        if (network !== undefined) tx.update('networks', network);
      },
      runs: 1,
    },
    {
      id: 'a row that comes',
      pin: (tx) => tx.pin('networks', 'n9') === undefined,
      other: (tx) => tx.create('networks', newNetwork('n9', 'net9')),
      runs: 2,
    },
    {
      id: 'rows found: one more',
      pin: (tx) => tx.pinFound('services', 'network', 'n1').length === 1,
      other: (tx) => tx.create('services', newService('s2', 'api', { Networks: [{ Target: 'n1' }] })),
      runs: 2,
    },
    {
      id: 'rows found: one of another key',
      pin: (tx) => tx.pinFound('services', 'network', 'n1').length === 1,
      other: (tx) => tx.create('services', newService('s2', 'api', { Networks: [{ Target: 'n2' }] })),
      runs: 1,
    },
  ];
  test.each(cases)('$id', async ({ pin, other, runs }) => {
    const store = await seeded();
    const first = change(store, other);
    const seen: boolean[] = [];
    const second = change(store, (tx) => {
      seen.push(pin(tx));
      if (seen.at(-1) === true) tx.create('configs', { ID: 'c1', Spec: { Name: 'c1' } });
    });
    await Promise.all([first, second]);
    expect(seen).toHaveLength(runs);
    expect(store.view((tx) => tx.count('configs'))).toBe(seen.at(-1) === true ? 1 : 0);
    expect(seen[0]).toBe(true);
  });

  test('a transaction that only pins proposes nothing', async () => {
    const store = new StateStore({}, { clock });
    await expect(store.update((tx) => tx.pin('tasks', 'x'))).resolves.toBeUndefined();
  });
});

describe('watching', () => {
  test('what a view missed comes through its watch, of the tables asked for', async () => {
    const store = await seeded();
    const { view, watch } = store.viewAndWatch((tx) => tx.count('tasks'), ['tasks']);
    await store.update((tx) => tx.create('services', newService('s9', 'unwatched')));
    await store.update((tx) => tx.remove('tasks', 't1'));
    const batch = await watch[Symbol.asyncIterator]().next();
    expect(view).toBe(2);
    expect(batch.value).toMatchObject([{ table: 'tasks', before: { ID: 't1' } }]);
    expect(batch.value?.[0]).not.toHaveProperty('after');
  });

  test('a watcher that falls behind is cut off, and others are not', async () => {
    const store = memoryStore({ clock }, { watchLimit: 3 });
    const slow = store.watch(['services']);
    const uninterested = store.watch(['tasks']);
    for (let i = 0; i < 4; i++) await store.update((tx) => tx.create('services', newService(`s${i}`, `web${i}`)));
    await expect(slow[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'resource-exhausted' });
    await store.update((tx) => tx.create('tasks', newTask('t')));
    expect(await uninterested[Symbol.asyncIterator]().next()).toMatchObject({ value: [{ after: { ID: 't' } }] });
  });

  test('closing ends a waiting iteration', async () => {
    const store = memoryStore({ clock });
    const watch = store.watch();
    const waiting = watch[Symbol.asyncIterator]().next();
    watch.close();
    expect(await waiting).toEqual({ done: true, value: undefined });
  });
});

describe('snapshots', () => {
  test('writes may go on while a snapshot is read', async () => {
    const store = await seeded();
    const snapshot = store.snapshot();
    await store.update((tx) => tx.remove('tasks', 't1'));
    const copy = new StateStore({}, { clock });
    copy.restore(snapshot);
    expect(copy.view((tx) => tx.count('tasks'))).toBe(2);
    expect(copy.view((tx) => tx.find('services', 'network', 'n1').map((s) => s.ID))).toEqual(['s1']);
  });

  test('restore tells watchers what is different, and only that', async () => {
    const old = await seeded();
    const behind = new StateStore({}, { clock });
    behind.restore(old.snapshot());
    await old.update((tx) => {
      tx.remove('tasks', 't1');
      tx.create('tasks', newTask('t3'));
      const service = tx.get('services', 's1');
      if (service !== undefined) tx.update('services', { ...service, SpecVersion: 2 });
    });
    const watch = behind.watch();
    behind.restore(old.snapshot());
    const { value } = (await watch[Symbol.asyncIterator]().next()) as { value: readonly StoreEvent[] };
    expect(value.map((e) => [e.table, e.before?.ID, e.after?.ID])).toEqual([
      ['services', 's1', 's1'],
      ['tasks', 't1', undefined],
      ['tasks', undefined, 't3'],
    ]);
  });

  const damaged: { id: string; damage: (bytes: Buffer) => Buffer }[] = [
    { id: 'cut short', damage: (bytes) => bytes.subarray(0, bytes.length - 12) },
    { id: 'cut in a row', damage: (bytes) => bytes.subarray(0, bytes.length / 2) },
    { id: 'empty', damage: () => Buffer.alloc(0) },
    { id: 'other format', damage: (bytes) => Buffer.from(bytes.toString().replace('"format":1', '"format":2')) },
    { id: 'something after the end', damage: (bytes) => Buffer.concat([bytes, bytes]) },
    { id: 'a row lost', damage: (bytes) => Buffer.from(bytes.toString().split('\n').toSpliced(2, 1).join('\n')) },
    { id: 'unknown table', damage: (bytes) => Buffer.from(bytes.toString().replace('"tasks"', '"volumes"')) },
  ];
  test.each(damaged)('a snapshot $id is refused and changes nothing', async ({ damage }) => {
    const store = await seeded();
    const whole = Buffer.concat([...store.snapshot()]);
    const other = await seeded();
    await other.update((tx) => tx.create('tasks', newTask('t9')));
    expect(() => other.restore([damage(whole)])).toThrow(expect.objectContaining({ name: 'InvariantError' }));
    expect(other.view((tx) => tx.count('tasks'))).toBe(3);
  });

  propertyTest.prop([fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 8 }), fc.integer({ min: 1, max: 7 })])(
    'survives being cut anywhere',
    async (labels, size) => {
      const store = memoryStore({ clock });
      await store.update((tx) => {
        for (const [i, label] of labels.entries()) {
          tx.create('services', newService(`s${i}`, `n${i}`, { Labels: { label } }));
        }
      });
      const whole = Buffer.concat([...store.snapshot()]);
      const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) =>
        whole.subarray(i * size, (i + 1) * size),
      );
      const copy = new StateStore({}, { clock });
      copy.restore(pieces);
      expect(copy.view((tx) => [...tx.all('services')])).toEqual(store.view((tx) => [...tx.all('services')]));
    },
  );
});

describe('indexes against a scan', () => {
  const nodeIds = fc.constantFrom('', 'x', 'y');
  const step = fc.record({
    kind: fc.constantFrom('create', 'update', 'remove'),
    id: fc.constantFrom('t1', 't2', 't3', 't4'),
    node: nodeIds,
    slot: fc.integer({ min: 0, max: 2 }),
  });
  propertyTest.prop([fc.array(fc.array(step, { maxLength: 5 }), { maxLength: 8 })])(
    'agree inside transactions, after them and after a restore',
    async (transactions) => {
      const store = memoryStore({ clock });
      const check = (tx: Pick<WriteTx, 'all' | 'find'>): void => {
        for (const node of ['x', 'y']) {
          const scanned = [...tx.all('tasks')].filter((task) => task.NodeID === node).map((task) => task.ID);
          expect(
            tx
              .find('tasks', 'node', node)
              .map((task) => task.ID)
              .toSorted(),
          ).toEqual(scanned.toSorted());
        }
      };
      for (const steps of transactions) {
        await store.update((tx) => {
          for (const { kind, id, node, slot } of steps) {
            const task = tx.get('tasks', id);
            if (kind === 'create' && task === undefined) tx.create('tasks', newTask(id, { NodeID: node, Slot: slot }));
            if (kind === 'update' && task !== undefined) tx.update('tasks', { ...task, NodeID: node, Slot: slot });
            if (kind === 'remove' && task !== undefined) tx.remove('tasks', id);
            check(tx);
          }
        });
        store.view(check);
      }
      const copy = new StateStore({}, { clock });
      copy.restore(store.snapshot());
      copy.view(check);
    },
  );
});
