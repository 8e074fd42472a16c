import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { newNode } from '../../../../manager/ca/certificate-authority.ts';
import { initCluster, storeNewCluster } from '../../../../manager/ca/init-cluster.ts';
import { Dispatcher } from '../../../../manager/dispatcher/dispatcher.ts';
import type { HostAnswer, NodeWitness, WitnessState } from '../../../../manager/dispatcher/node-witness.ts';
import type { SessionMessage } from '../../../../manager/dispatcher/session-message.ts';
import { MemoryProposer } from '../../../../manager/store/memory-proposer.ts';
import { StateStore } from '../../../../manager/store/state-store.ts';
import type { ApplyResult, Proposer } from '../../../../manager/store/transaction.ts';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { Caller } from '../../../../proto/rpc/caller.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';

const NODES = ['n1', 'n2', 'n3'];

/** Gossip and hosts that say what they are told to. */
class FakeWitness implements NodeWitness {
  awareness = 0;
  readonly asked: string[] = [];
  host: () => Promise<HostAnswer> = () => Promise.resolve('silent');
  readonly #clock: VirtualClock;
  readonly #states = new Map<string, { state: WitnessState; sinceMs: number }>();
  readonly #listeners = new Set<(nodeIds: ReadonlySet<string>) => void>();

  constructor(clock: VirtualClock) {
    this.#clock = clock;
  }
  get listeners(): number {
    return this.#listeners.size;
  }
  get(nodeId: string): { state: WitnessState; sinceMs: number } | undefined {
    return this.#states.get(nodeId);
  }
  onChange(listener: (nodeIds: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  askHost(address: string): Promise<HostAnswer> {
    this.asked.push(address);
    return this.host();
  }
  say(nodeId: string, state: WitnessState): void {
    this.#states.set(nodeId, { state, sinceMs: this.#clock.now() });
    for (const listener of this.#listeners) listener(new Set([nodeId, 'nobody']));
  }
}

class FaultyProposer implements Proposer {
  broken = false;
  readonly #inner: Proposer;
  constructor(inner: Proposer) {
    this.#inner = inner;
  }
  propose(data: Uint8Array): Promise<ApplyResult> {
    return this.broken ? Promise.reject(new WaggleError('unavailable', 'no quorum')) : this.#inner.propose(data);
  }
}

/** The node's end: answers challenges while it lives. */
class Peer {
  lives = true;
  sessionId = '';
  failure: Error | undefined;
  challenges = 0;
  readonly #abort = new AbortController();

  constructor(dispatcher: Dispatcher, caller: Caller) {
    const address = `10.0.0.${caller.nodeId.slice(1)}`;
    const registration = {
      description: {
        Hostname: caller.nodeId,
        Platform: { Architecture: 'x86_64', OS: 'linux' },
        Resources: { NanoCPUs: 1e9, MemoryBytes: 1e9 },
        Engine: { EngineVersion: '20.10' },
      },
      advertiseAddress: address,
      dataPathAddress: address,
      gossipAddress: `${address}:7946`,
      tunnelKey: '',
    };
    const write = (message: SessionMessage): Promise<void> => {
      this.sessionId = message.sessionId;
      if (message.challenge) this.challenges++;
      if (message.challenge && this.lives) dispatcher.heartbeat(this.sessionId, caller);
      return Promise.resolve();
    };
    dispatcher.session(registration, caller, { write, signal: this.#abort.signal }).catch((error: Error) => {
      this.failure = error;
    });
  }
  breakOff(): void {
    this.#abort.abort(new WaggleError('aborted', 'the peer is gone'));
  }
}

describe('Dispatcher with two witnesses', () => {
  let clock: VirtualClock;
  let store: StateStore;
  let witness: FakeWitness;
  let proposer: FaultyProposer;
  let dispatcher: Dispatcher;

  beforeEach(async () => {
    clock = new VirtualClock();
    store = new StateStore({}, { clock });
    proposer = new FaultyProposer(new MemoryProposer({}, { machine: store }));
    store.connect(proposer);
    await storeNewCluster(store, await initCluster({ managerAddress: '10.0.0.1:2377' }, { clock }));
    await store.update((tx) => {
      for (const id of NODES) tx.create('nodes', newNode(id, 'worker', 'active'));
    });
    witness = new FakeWitness(clock);
    dispatcher = new Dispatcher({ store, witness, clock, random: () => 0.5, log: silentLog });
    await dispatcher.start();
    await settle();
  });
  afterEach(() => dispatcher.stop());

  const node = (id: string): NodeObject | undefined => store.view((tx) => tx.get('nodes', id));
  async function join(...ids: string[]): Promise<Peer[]> {
    const peers = ids.map((id) => new Peer(dispatcher, { nodeId: id, role: 'worker', clusterId: 'c' }));
    await settle();
    return peers;
  }

  it('asks a suspect and its host, and has it down with the word of gossip', async () => {
    const [, lost] = await join(...NODES);
    if (lost === undefined) throw new Error('no peer');
    lost.lives = false;
    witness.say('n2', 'suspect');
    await clock.advance(1_200);
    expect({ challenges: lost.challenges, asked: witness.asked }).toEqual({
      challenges: 1,
      asked: ['10.0.0.2:7946', '10.0.0.2:7946'],
    });
    expect(node('n2')?.Status.State).toBe('ready');
    witness.say('n2', 'dead');
    await settle();
    expect(node('n2')?.Status).toEqual({
      State: 'down',
      Addr: '10.0.0.2',
      Message: 'node lost (gossip: dead, suspected for 1.2 s; session: no answer for 1.2 s; host: no answer)',
    });
    expect(lost.failure?.message).toBe('session invalid');
    await join('n2');
    expect(node('n2')?.Status).toEqual({ State: 'ready', Addr: '10.0.0.2' });
  });

  it('believes a session that answers, however long gossip misses the node', async () => {
    const [, peer] = await join(...NODES);
    witness.say('n2', 'dead');
    await clock.advance(10_000);
    expect(peer?.challenges).toBe(11);
    expect(node('n2')?.Status.State).toBe('ready');
  });

  it('waits for the grace when the host says that only the daemon is away', async () => {
    const [, peer] = await join(...NODES);
    witness.host = () => Promise.resolve('refused');
    witness.say('n2', 'dead');
    peer?.breakOff();
    await clock.advance(14_900);
    expect(node('n2')?.Status.State).toBe('ready');
    await clock.advance(100);
    expect(node('n2')?.Status).toMatchObject({
      State: 'down',
      Message: expect.stringMatching(/^heartbeat failure \(gossip: dead, .*host: up without a daemon\)$/),
    });
  });

  it('waits for an answer of the host', async () => {
    const [, peer] = await join(...NODES);
    const { promise, resolve } = Promise.withResolvers<HostAnswer>();
    witness.host = () => promise;
    peer?.breakOff();
    witness.say('n2', 'dead');
    await clock.advance(5_000);
    expect(node('n2')?.Status.State).toBe('ready');
    resolve('silent');
    await settle();
    expect(node('n2')?.Status.State).toBe('down');
  });

  it('does not accuse while it doubts itself, and does once it does not', async () => {
    const [, peer] = await join(...NODES);
    witness.awareness = 2;
    peer?.breakOff();
    witness.say('n2', 'dead');
    await clock.advance(5_000);
    expect(node('n2')?.Status.State).toBe('ready');
    witness.awareness = 0;
    await clock.advance(100);
    expect(node('n2')?.Status.State).toBe('down');
  });

  it('a new leader asks gossip first: whom that misses is down, the others have twice the grace', async () => {
    await join(...NODES);
    await dispatcher.stop();
    expect(witness.listeners).toBe(0);
    witness.say('n2', 'dead');
    await clock.advance(700);
    await dispatcher.start();
    await clock.advance(900);
    expect(NODES.map((id) => node(id)?.Status.State)).toEqual(['unknown', 'unknown', 'unknown']);
    await clock.advance(200);
    expect(node('n2')?.Status).toMatchObject({
      State: 'down',
      Message:
        'node lost (gossip: dead, suspected for 1.7 s; session: none with the new leader for 1.0 s; host: no answer)',
    });
    await clock.advance(28_000);
    expect(NODES.map((id) => node(id)?.Status.State)).toEqual(['unknown', 'down', 'unknown']);
  });

  it('takes back what it could not write when the node is there again', async () => {
    const [, peer] = await join(...NODES);
    proposer.broken = true;
    peer?.breakOff();
    witness.say('n2', 'dead');
    await clock.advance(2_000);
    witness.say('n2', 'alive');
    proposer.broken = false;
    await clock.advance(6_000);
    expect(node('n2')?.Status.State).toBe('ready');
  });

  it('hears a node that joins while gossip misses it already', async () => {
    await join(...NODES);
    witness.say('n4', 'dead');
    await store.update((tx) => tx.create('nodes', newNode('n4', 'worker', 'active')));
    await settle();
    const [peer] = await join('n4');
    await clock.advance(1_000);
    expect(peer?.challenges).toBeGreaterThan(0);
    expect(node('n4')?.Status.State).toBe('ready');
  });
});
