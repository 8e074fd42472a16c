import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newNode } from '../../../../manager/ca/certificate-authority.ts';
import { initCluster, type NewCluster, storeNewCluster } from '../../../../manager/ca/init-cluster.ts';
import type { AssignmentsMessage } from '../../../../manager/dispatcher/assignment-stream.ts';
import { Dispatcher } from '../../../../manager/dispatcher/dispatcher.ts';
import { ORPHAN_AFTER_MS } from '../../../../manager/dispatcher/node-registry.ts';
import type { SessionMessage } from '../../../../manager/dispatcher/session-message.ts';
import { MemoryProposer } from '../../../../manager/store/memory-proposer.ts';
import { StateStore } from '../../../../manager/store/state-store.ts';
import type { ApplyResult, Proposer } from '../../../../manager/store/transaction.ts';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import type { Caller } from '../../../../proto/rpc/caller.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { tunnelAddress } from '../../../../proto/objects/tunnel.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { networkObject, newTaskObject, statusOf } from '../../../fixtures/task-object.ts';
import { NODE_REGISTRATION } from '../../../fixtures/node-registration.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';

const KEY_A = `${'A'.repeat(43)}=`;
const KEY_B = `${'B'.repeat(42)}A=`;

/** Refuses every proposal while `broken`. */
class FaultyProposer implements Proposer {
  broken = false;
  proposals = 0;
  readonly #inner: Proposer;
  constructor(inner: Proposer) {
    this.#inner = inner;
  }
  propose(data: Uint8Array): Promise<ApplyResult> {
    this.proposals++;
    if (this.broken) return Promise.reject(new WaggleError('unavailable', 'no quorum'));
    return this.#inner.propose(data);
  }
}

/** The peer's end of one stream. */
class Peer<Message> {
  readonly got: Message[] = [];
  readonly #abort = new AbortController();
  failure: Error | undefined;

  open(serve: (stream: { write: (message: Message) => Promise<void>; signal: AbortSignal }) => Promise<void>): this {
    const write = (message: Message): Promise<void> => Promise.resolve(void this.got.push(message));
    serve({ write, signal: this.#abort.signal }).catch((error: Error) => {
      this.failure = error;
    });
    return this;
  }
  close(): void {
    this.#abort.abort(new WaggleError('aborted', 'the peer is gone'));
  }
}

describe('Dispatcher', () => {
  let clock: VirtualClock;
  let store: StateStore;
  let proposer: FaultyProposer;
  let dispatcher: Dispatcher;
  let created: NewCluster;
  const caller = (nodeId: string): Caller => ({ nodeId, role: 'worker', clusterId: 'c' });

  beforeEach(async () => {
    clock = new VirtualClock();
    store = new StateStore({}, { clock });
    proposer = new FaultyProposer(new MemoryProposer({}, { machine: store }));
    store.connect(proposer);
    created = await initCluster({ managerAddress: '10.0.0.1:2377' }, { clock });
    await storeNewCluster(store, created);
    await store.update((tx) => {
      for (const id of ['n1', 'n2']) tx.create('nodes', newNode(id, 'worker', 'active'));
    });
    dispatcher = new Dispatcher({ store, clock, random: () => 0.5, log: silentLog });
    await dispatcher.start();
    await settle();
  });
  afterEach(() => dispatcher.stop());

  const node = (id: string): NodeObject | undefined => store.view((tx) => tx.get('nodes', id));
  const task = (id: string): TaskObject | undefined => store.view((tx) => tx.get('tasks', id));
  const session = (nodeId: string): Peer<SessionMessage> =>
    new Peer<SessionMessage>().open((stream) => dispatcher.session(NODE_REGISTRATION, caller(nodeId), stream));
  const assignments = (nodeId: string, sessionId: string): Peer<AssignmentsMessage> =>
    new Peer<AssignmentsMessage>().open((stream) => dispatcher.assignments(sessionId, caller(nodeId), stream));
  async function joined(nodeId: string): Promise<{ peer: Peer<SessionMessage>; id: string }> {
    const peer = session(nodeId);
    await settle();
    const id = peer.got[0]?.sessionId ?? '';
    expect(id).not.toBe('');
    return { peer, id };
  }
  const create = (...tasks: Parameters<typeof newTaskObject>[]): Promise<void> =>
    store.update((tx) => {
      for (const one of tasks) tx.create('tasks', newTaskObject(...one));
    });
  const changesOf = (message: AssignmentsMessage | undefined): string[] =>
    (message?.changes ?? []).map((one) => `${one.remove === true ? '-' : '+'}${one.id}`);

  describe('nodes', () => {
    it('are down after three periods of silence', async () => {
      const { id } = await joined('n1');
      expect(node('n1')?.Status).toEqual({ State: 'ready', Addr: '10.0.0.2' });
      expect(dispatcher.heartbeat(id, caller('n1'))).toBe(5000);
      await clock.advance(14_999);
      expect(node('n1')?.Status.State).toBe('ready');
      await clock.advance(1);
      expect(node('n1')?.Status).toMatchObject({ State: 'down', Message: 'heartbeat failure' });
    });

    it('are unknown to a new leader, and down after twice the grace', async () => {
      await joined('n1');
      await joined('n2');
      await dispatcher.stop();
      await store.update((tx) => {
        const present = tx.get('nodes', 'n2');
        if (present !== undefined) tx.update('nodes', { ...present, Status: { State: 'down', Message: 'x' } });
      });
      await dispatcher.start();
      await settle();
      expect(node('n1')?.Status).toMatchObject({
        State: 'unknown',
        Message: 'Node moved to "unknown" state due to leadership change in cluster',
      });
      expect(node('n2')?.Status).toEqual({ State: 'down', Message: 'x' });
      await clock.advance(29_999);
      expect(node('n1')?.Status.State).toBe('unknown');
      await clock.advance(1);
      expect(node('n1')?.Status).toMatchObject({
        State: 'down',
        Message: 'heartbeat failure for node in "unknown" state',
      });
    });

    it('stay due while the store cannot be written', async () => {
      await joined('n1');
      proposer.broken = true;
      await clock.advance(20_000);
      expect(node('n1')?.Status.State).toBe('ready');
      proposer.broken = false;
      await clock.advance(6000);
      expect(node('n1')?.Status.State).toBe('down');
    });

    it('that come back in the meantime are not written down as gone', async () => {
      await joined('n1');
      proposer.broken = true;
      await clock.advance(20_000);
      proposer.broken = false;
      await joined('n1');
      await clock.advance(6000);
      expect(node('n1')?.Status.State).toBe('ready');
    });

    it('lose their tasks after 24 h', async () => {
      await joined('n1');
      await create(
        ['live', 'n1', { Status: statusOf('running') }],
        ['ended', 'n1', { Status: statusOf('complete') }],
        ['pending', 'n1', { Status: statusOf('pending') }],
        ['other', 'n2', { Status: statusOf('running') }],
      );
      await clock.advance(15_000);
      expect(node('n1')?.Status.State).toBe('down');
      await clock.advance(ORPHAN_AFTER_MS - 1);
      expect(task('live')?.Status.State).toBe('running');
      await clock.advance(1);
      expect(['live', 'ended', 'pending'].map((id) => task(id)?.Status.State)).toEqual([
        'orphaned',
        'complete',
        'pending',
      ]);
    });

    it('that the swarm does not have get no session', async () => {
      const peer = session('stranger');
      await settle();
      expect(peer.failure).toMatchObject({ code: 'not-found' });
    });

    it('that are removed lose their session', async () => {
      const { peer, id } = await joined('n1');
      await store.update((tx) => tx.remove('nodes', 'n1'));
      await settle();
      expect(peer.failure).toMatchObject({ code: 'permission-denied' });
      expect(() => dispatcher.heartbeat(id, caller('n1'))).toThrow('session invalid');
    });
  });

  describe('sessions', () => {
    it('are replaced by a newer one of the same node', async () => {
      const first = await joined('n1');
      const stream = assignments('n1', first.id);
      await settle();
      const second = await joined('n1');
      expect(first.peer.failure).toMatchObject({ code: 'aborted' });
      expect(stream.failure).toMatchObject({ code: 'aborted' });
      expect(() => dispatcher.heartbeat(first.id, caller('n1'))).toThrow('session invalid');
      await expect(dispatcher.updateTaskStatus(first.id, [], caller('n1'))).rejects.toThrow('session invalid');
      expect(dispatcher.heartbeat(second.id, caller('n1'))).toBe(5000);
      expect(second.peer.failure).toBeUndefined();
    });

    it('belong to their node', async () => {
      const { id } = await joined('n1');
      await joined('n2');
      expect(() => dispatcher.heartbeat(id, caller('n2'))).toThrow('session invalid');
    });

    it('tell what changed, and nothing when nothing did', async () => {
      const { peer } = await joined('n1');
      await clock.advance(200);
      const before = peer.got.length;
      await create(['t', 'n2']);
      await clock.advance(200);
      expect(peer.got.length).toBe(before);
      await joined('n2');
      await clock.advance(200);
      expect(peer.got.at(-1)?.gossipPeers.map((one) => one.nodeId)).toEqual(['n1', 'n2']);
      expect(peer.got.at(-1)?.managers).toMatchObject([{ address: '10.0.0.1:2377' }]);
      expect(peer.got.at(-1)?.dataPathAddresses).toEqual(['n1', 'n2'].map(() => NODE_REGISTRATION.dataPathAddress));
      expect(peer.got.length).toBe(before + 1);
    });

    it('give a node that can encrypt an address of its own for good, and tell everybody its key', async () => {
      const keyed = async (nodeId: string, tunnelKey: string): Promise<void> => {
        new Peer<SessionMessage>().open((stream) =>
          dispatcher.session({ ...NODE_REGISTRATION, tunnelKey }, caller(nodeId), stream),
        );
        await settle();
        await clock.advance(200);
      };
      const { peer } = await joined('n2');
      expect(peer.got.at(-1)?.tunnelPeers).toEqual([]);
      await keyed('n1', KEY_A);
      const address = node('n1')?.Tunnel?.Address ?? '';
      expect(node('n1')?.Tunnel).toEqual({ Address: tunnelAddress('n1', new Set()), PublicKey: KEY_A });
      expect(peer.got.at(-1)?.tunnelPeers).toMatchObject([{ nodeId: 'n1', publicKey: KEY_A, address }]);
      await keyed('n1', '');
      expect(peer.got.at(-1)?.tunnelPeers).toEqual([]);
      await keyed('n1', KEY_B);
      expect(node('n1')?.Tunnel).toEqual({ Address: address, PublicKey: KEY_B });
    });

    it('take no key that another node has', async () => {
      for (const nodeId of ['n1', 'n2']) {
        new Peer<SessionMessage>().open((stream) =>
          dispatcher.session({ ...NODE_REGISTRATION, tunnelKey: KEY_A }, caller(nodeId), stream),
        );
        await settle();
      }
      expect(node('n1')?.Tunnel?.PublicKey).toBe(KEY_A);
      expect(node('n2')?.Tunnel?.PublicKey).toBe('');
    });

    it('end when the leader stops, and nothing is answered any more', async () => {
      const { peer, id } = await joined('n1');
      await dispatcher.stop();
      await settle();
      expect(peer.failure).toMatchObject({ code: 'unavailable' });
      expect(() => dispatcher.heartbeat(id, caller('n1'))).toThrow('does not lead');
      const late = session('n1');
      await settle();
      expect(late.failure).toMatchObject({ code: 'unavailable' });
      expect(clock.next()).toBeUndefined();
    });
  });

  describe('assignments', () => {
    it('begin with the whole set and go on with a chain', async () => {
      await create(['t1', 'n1'], ['t2', 'n2'], ['new', 'n1', { Status: statusOf('pending') }]);
      const { id } = await joined('n1');
      const stream = assignments('n1', id);
      await settle();
      expect(stream.got).toMatchObject([{ complete: true, resultsIn: 1 }]);
      expect(changesOf(stream.got[0])).toEqual(['+t1']);
      await create(['t3', 'n1']);
      await settle();
      expect(stream.got[1]).toMatchObject({ complete: false, appliesTo: 1, resultsIn: 2 });
      expect(changesOf(stream.got[1])).toEqual(['+t3']);
      await store.update((tx) => tx.remove('tasks', 't1'));
      await store.update((tx) => tx.remove('tasks', 't3'));
      await clock.advance(100);
      expect(stream.got[2]).toMatchObject({ appliesTo: 2, resultsIn: 3 });
      expect(changesOf(stream.got[2])).toEqual(['-t1', '-t3']);
    });

    it('send a lone change at once and a burst within 100 ms or 100 changes', async () => {
      const { id } = await joined('n1');
      const stream = assignments('n1', id);
      await clock.advance(1000);
      await create(['t0', 'n1']);
      await settle();
      expect(stream.got).toHaveLength(2);
      for (let n = 1; n <= 3; n++) await create([`t${n}`, 'n1']);
      await settle();
      expect(stream.got).toHaveLength(2);
      await clock.advance(100);
      expect(changesOf(stream.got[2])).toEqual(['+t1', '+t2', '+t3']);
      await create(...Array.from({ length: 100 }, (_, n): [string, string] => [`b${n}`, 'n1']));
      await settle();
      expect(stream.got[3]?.changes).toHaveLength(100);
    });

    it('are not stirred by the statuses of the node itself', async () => {
      await create(['t1', 'n1']);
      const { id } = await joined('n1');
      const stream = assignments('n1', id);
      await clock.advance(200);
      await dispatcher.updateTaskStatus(id, [{ taskId: 't1', status: statusOf('running', 1) }], caller('n1'));
      await create(['t2', 'n1']);
      await settle();
      expect(stream.got.map(changesOf)).toEqual([['+t1'], ['+t2']]);
    });

    it('bring networks before their tasks and drop them after', async () => {
      const insert = (id: string, attachable: boolean): Promise<void> =>
        store.update((tx) => tx.create('networks', networkObject(id, { Spec: { Name: id, Attachable: attachable } })));
      await insert('net1', false);
      await insert('net2', false);
      await insert('open', true);
      await create(['t1', 'n1', { NetworksAttachments: [{ NetworkID: 'net1', Addresses: ['10.0.1.5/24'] }] }]);
      const { id } = await joined('n1');
      const stream = assignments('n1', id);
      await clock.advance(200);
      expect(changesOf(stream.got[0])).toEqual(['+net1', '+open', '+t1']);
      await store.update((tx) => tx.remove('tasks', 't1'));
      await settle();
      expect(changesOf(stream.got[1])).toEqual(['-t1', '-net1']);
    });

    it('keep ended tasks until they are deleted, and give up orphaned ones', async () => {
      await create(['ended', 'n1', { Status: statusOf('failed') }], ['lost', 'n1', { Status: statusOf('orphaned') }]);
      const { id } = await joined('n1');
      const stream = assignments('n1', id);
      await settle();
      expect(changesOf(stream.got[0])).toEqual(['+ended']);
    });

    it('split a set that is too large for one message, and only the last part says so', async () => {
      const big = 'x'.repeat(400_000);
      for (let n = 0; n < 5; n++) await create([`t${n}`, 'n1', { Spec: { ContainerSpec: { Image: big } } }]);
      const { id } = await joined('n1');
      const stream = assignments('n1', id);
      await settle();
      expect(stream.got.map((one) => [one.complete, one.resultsIn])).toEqual([
        [true, 0],
        [true, 0],
        [true, 1],
      ]);
      expect(stream.got.flatMap(changesOf)).toHaveLength(5);
    });
  });

  describe('statuses', () => {
    it.each([
      { id: 'forward', from: statusOf('assigned'), to: statusOf('running', 1), taken: true },
      { id: 'backward', from: statusOf('running', 1), to: statusOf('starting', 2), taken: false },
      { id: 'the same again', from: statusOf('running', 1), to: statusOf('running', 1), taken: false },
      { id: 'news of the same state', from: statusOf('running', 1), to: statusOf('running', 2), taken: true },
      { id: 'late news of the same state', from: statusOf('running', 2), to: statusOf('running', 1), taken: false },
      { id: 'orphaned is not for agents', from: statusOf('running', 1), to: statusOf('orphaned', 2), taken: false },
      { id: 'nor is remove', from: statusOf('running', 1), to: statusOf('remove', 2), taken: false },
      { id: 'not assigned yet', from: statusOf('pending'), to: statusOf('running', 1), taken: false },
      { id: 'no state at all', from: statusOf('assigned'), to: { State: 'x', Timestamp: 'y' } as never, taken: false },
    ])('$id', async ({ from, to, taken }) => {
      await create(['t', 'n1', { Status: from }]);
      const { id } = await joined('n1');
      await dispatcher.updateTaskStatus(id, [{ taskId: 't', status: to }], caller('n1'));
      expect(task('t')?.Status).toEqual(taken ? to : from);
    });

    it("of another node's tasks or of none change nothing and are acknowledged", async () => {
      await create(['t', 'n2']);
      const { id } = await joined('n1');
      const updates = ['t', 'none'].map((taskId) => ({ taskId, status: statusOf('running') }));
      await dispatcher.updateTaskStatus(id, updates, caller('n1'));
      expect(task('t')?.Status.State).toBe('assigned');
    });

    it('that come together are written together', async () => {
      await create(...Array.from({ length: 50 }, (_, n): [string, string] => [`t${n}`, 'n1']));
      const { id } = await joined('n1');
      const before = proposer.proposals;
      const reports = Array.from({ length: 50 }, (_, n) =>
        dispatcher.updateTaskStatus(id, [{ taskId: `t${n}`, status: statusOf('running') }], caller('n1')),
      );
      await Promise.all(reports);
      expect(proposer.proposals - before).toBeLessThanOrEqual(2);
      expect(task('t49')?.Status.State).toBe('running');
    });

    it('are not acknowledged when they are not committed', async () => {
      await create(['t', 'n1']);
      const { id } = await joined('n1');
      proposer.broken = true;
      const report = dispatcher.updateTaskStatus(id, [{ taskId: 't', status: statusOf('running') }], caller('n1'));
      await expect(report).rejects.toMatchObject({ code: 'unavailable' });
    });
  });
});
