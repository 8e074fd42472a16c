import { newId } from '../../proto/objects/naming.ts';
import type { Caller } from '../../proto/rpc/caller.ts';
import { nodeRemoved, type ResponseStream } from '../../proto/rpc/gate.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type CancelTimer, type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { Store, StoreEvent, Watch } from '../store/transaction.ts';
import { concernsAgent } from './assignment-set.ts';
import { type AssignmentsMessage } from './assignment-stream.ts';
import { NodeRegistry, type RegistryEffect } from './node-registry.ts';
import { NodeSession } from './node-session.ts';
import type { NodeWitness } from './node-witness.ts';
import { NodeWriter, type Registration } from './node-writer.ts';
import { heartbeatPeriodMs, redirectMessage, type SessionMessage, sharedFacts } from './session-message.ts';
import { StatusWriter, type StatusUpdate } from './status-writer.ts';

const RETRY: BackoffOptions = { minMs: 200, maxMs: 5000, factor: 2, jitter: 0.2 };
/** Hosts that are asked at the same time; the others of a greater disaster wait their turn. */
const MAX_HOSTS_ASKED = 32;
/** While a write is under way the registry is looked at no more often. */
const BUSY_MS = 20;

export interface DispatcherModules {
  store: Store;
  /** Absent: silence for the grace is the only sign of a lost node. */
  witness?: NodeWitness;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * The leader's side of every agent: who is alive, what each node must run, what became of it. Runs on the leader
 * only: `start` begins with no sessions and all nodes unknown, `stop` ends all sessions; in between stop and start every
 * call fails as unavailable, so that agents look for the leader.
 */
export class Dispatcher implements Startable {
  readonly #modules: DispatcherModules;
  readonly #nodes: NodeWriter;
  readonly #statuses: StatusWriter;
  readonly #sessions = new Map<string, NodeSession>();
  #registry: NodeRegistry | undefined;
  #abort = new AbortController();
  #watch: Watch | undefined;
  #tasks: Promise<unknown>[] = [];
  #timer: CancelTimer | undefined;
  #wake: (() => void) | undefined;
  #unsubscribe: (() => void) | undefined;
  #hostsAsked = 0;

  constructor(modules: DispatcherModules) {
    this.#modules = modules;
    this.#nodes = new NodeWriter(modules);
    this.#statuses = new StatusWriter(modules);
  }

  async start(): Promise<void> {
    if (this.#registry !== undefined) return;
    this.#abort = new AbortController();
    const { store, clock, witness } = this.#modules;
    const periodMs = store.view((tx) => heartbeatPeriodMs([...tx.all('clusters')][0]));
    const registry = new NodeRegistry({ periodMs });
    const known = store.view((tx) => [...tx.all('nodes')]);
    for (const node of known) {
      registry.expect(node.ID, node.Status.State === 'down', clock.monotonic());
    }
    this.#registry = registry;
    this.#unsubscribe = witness?.onChange((nodeIds) => this.#hear(registry, nodeIds));
    this.#hear(registry, new Set(known.map((node) => node.ID)));
    this.#tasks = [
      this.#follow(registry),
      this.#maintain(
        registry,
        known.map((node) => node.ID),
      ),
    ];
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#registry = undefined;
    this.#abort.abort(notLeading());
    this.#unsubscribe?.();
    this.#watch?.close();
    this.#timer?.();
    this.#wake?.();
    for (const session of this.#sessions.values()) session.end(notLeading());
    this.#sessions.clear();
    await Promise.all(this.#tasks);
  }

  /**
   * Registers the node and sends it the swarm's facts until the session ends, which it does with an error. While this manager does
   * not lead, it only tells where the managers are: a node that has just joined may know no other than this one.
   */
  async session(registration: Registration, caller: Caller, stream: ResponseStream<SessionMessage>): Promise<void> {
    if (this.#registry === undefined) await stream.write(redirectMessage(this.#modules.store.view(sharedFacts)));
    const registry = this.#leading();
    const { nodeId } = caller;
    const sessionId = newId();
    const session = new NodeSession({ nodeId, sessionId }, { store: this.#modules.store, clock: this.#modules.clock });
    // In the registry first: from now on no older silence of the node can be written down as its end.
    registry.register(nodeId, sessionId, this.#modules.clock.monotonic());
    this.#sessions.get(nodeId)?.end(new WaggleError('aborted', 'a newer session of this node has begun'));
    this.#sessions.set(nodeId, session);
    this.#rearm(registry);
    try {
      await this.#nodes.ready(nodeId, registration);
      this.#modules.log.info({ node: nodeId, address: registration.advertiseAddress }, 'node registered');
      await session.follow(stream);
    } finally {
      session.end(new WaggleError('aborted', 'the session has ended'));
      if (this.#sessions.get(nodeId) === session) this.#sessions.delete(nodeId);
      registry.sessionLost(nodeId, sessionId, this.#modules.clock.monotonic());
    }
  }

  /** @returns milliseconds until the next one is expected. @throws WaggleError invalid-argument `session invalid`. */
  heartbeat(sessionId: string, caller: Caller): number {
    const { clock, random } = this.#modules;
    const period = this.#leading().heartbeat(caller.nodeId, sessionId, clock.monotonic(), random());
    if (period === undefined) throw sessionInvalid();
    return period;
  }

  /** Resolves when the statuses are committed. */
  async updateTaskStatus(sessionId: string, updates: readonly StatusUpdate[], caller: Caller): Promise<void> {
    if (!this.#leading().isCurrent(caller.nodeId, sessionId)) throw sessionInvalid();
    await this.#statuses.write(caller.nodeId, updates);
  }

  /** Sends the node's assignments until the session ends, which it does with an error. */
  async assignments(sessionId: string, caller: Caller, stream: ResponseStream<AssignmentsMessage>): Promise<void> {
    const session = this.#sessions.get(caller.nodeId);
    if (!this.#leading().isCurrent(caller.nodeId, sessionId) || session?.sessionId !== sessionId)
      throw sessionInvalid();
    await session.assign(stream);
  }

  /** Follows the store; after falling behind, everything counts as changed. */
  async #follow(registry: NodeRegistry): Promise<void> {
    while (!this.#abort.signal.aborted) {
      const watch = this.#modules.store.watch(['clusters', 'nodes', 'tasks', 'networks']);
      this.#watch = watch;
      for (const session of this.#sessions.values()) session.markAll();
      try {
        for await (const events of watch) this.#onEvents(registry, events);
      } catch (error) {
        this.#modules.log.warn({ error: messageOf(error) }, 'dispatcher follows the store anew');
      }
    }
  }

  #onEvents(registry: NodeRegistry, events: readonly StoreEvent[]): void {
    const marks = new Map<string, number>();
    let facts = false;
    let networks = 0;
    for (const event of events) {
      if (event.table === 'tasks') {
        if (!concernsAgent(event.before, event.after)) continue;
        for (const id of new Set([event.before?.NodeID, event.after?.NodeID])) {
          if (id !== undefined && id !== '') marks.set(id, (marks.get(id) ?? 0) + 1);
        }
      } else if (event.table === 'networks') networks++;
      else facts = true;
      if (event.table === 'clusters') registry.setPeriod(heartbeatPeriodMs(event.after));
      if (event.table === 'nodes') this.#onNode(registry, event);
    }
    for (const [nodeId, session] of this.#sessions) {
      if (facts) session.markFacts();
      const changes = networks + (marks.get(nodeId) ?? 0);
      if (changes > 0) session.markAssignments(changes);
    }
  }

  #onNode(registry: NodeRegistry, event: StoreEvent & { table: 'nodes' }): void {
    if (event.after === undefined && event.before !== undefined) {
      registry.forget(event.before.ID);
      this.#sessions.get(event.before.ID)?.end(nodeRemoved(event.before.ID));
    } else if (event.before === undefined && event.after !== undefined) {
      const { ID, Status } = event.after;
      registry.expect(ID, Status.State === 'down', this.#modules.clock.monotonic());
      this.#hear(registry, new Set([ID]));
    }
  }

  /** Writes what the registry finds due; what fails stays due and is tried again. */
  async #maintain(registry: NodeRegistry, known: readonly string[]): Promise<void> {
    const { clock, random, log, witness } = this.#modules;
    const { signal } = this.#abort;
    let unknownWritten = false;
    let failures = 0;
    while (!signal.aborted) {
      try {
        if (!unknownWritten) await this.#nodes.unknown(known, (nodeId) => !this.#sessions.has(nodeId));
        unknownWritten = true;
        for (const effect of registry.tick(clock.monotonic(), witness?.awareness)) await this.#write(registry, effect);
        failures = 0;
        await this.#untilDue(registry);
      } catch (error) {
        failures++;
        log.warn({ error: messageOf(error), failures }, 'state of nodes not written, tried again');
        await sleep(clock, backoffDelayMs(RETRY, failures, random()), signal).catch(() => undefined);
      }
    }
  }

  async #write(registry: NodeRegistry, effect: RegistryEffect): Promise<void> {
    if (effect.kind === 'down') {
      await this.#nodes.down(effect.nodeId, effect.message, () => registry.isDue(effect));
      if (!registry.isDue(effect)) return;
      this.#modules.log.info({ node: effect.nodeId, reason: effect.message }, 'node is down');
      // Should it live after all, it learns so that it has to register again.
      this.#sessions.get(effect.nodeId)?.end(sessionInvalid());
    } else {
      await this.#nodes.orphanTasks(effect.nodeId);
      this.#modules.log.info({ node: effect.nodeId }, 'tasks of a node that stayed down are orphaned');
    }
    registry.settled(effect);
  }

  /** Gossip has something to say of these nodes. */
  #hear(registry: NodeRegistry, nodeIds: ReadonlySet<string>): void {
    const { clock, store, witness } = this.#modules;
    if (witness !== undefined) {
      const ours = store.view((tx) => [...nodeIds].filter((nodeId) => tx.get('nodes', nodeId) !== undefined));
      for (const nodeId of ours) {
        const seen = witness.get(nodeId);
        const ageMs = seen === undefined ? 0 : Math.max(0, clock.now() - seen.sinceMs);
        registry.witness(nodeId, seen?.state, clock.monotonic(), ageMs);
      }
    }
    this.#look(registry);
  }

  /** Asks what is to be asked, and lets what is due be written. */
  #look(registry: NodeRegistry): void {
    for (const { nodeId, challenge, host } of registry.questions(this.#modules.clock.monotonic())) {
      if (challenge) this.#sessions.get(nodeId)?.challenge();
      if (host) void this.#askHost(registry, nodeId);
    }
    if (this.#wake !== undefined) this.#wake();
    else this.#rearm(registry);
  }

  async #askHost(registry: NodeRegistry, nodeId: string): Promise<void> {
    const { clock, store, witness } = this.#modules;
    const address = store.view((tx) => tx.get('nodes', nodeId)?.GossipAddr) ?? '';
    if (witness === undefined || address === '' || this.#hostsAsked >= MAX_HOSTS_ASKED) return;
    this.#hostsAsked++;
    const answer = await witness.askHost(address).finally(() => this.#hostsAsked--);
    registry.hostAnswered(nodeId, answer, clock.monotonic());
    if (this.#registry === registry) this.#look(registry);
  }

  #untilDue(registry: NodeRegistry): Promise<void> {
    return new Promise((resolve) => {
      if (this.#abort.signal.aborted) return resolve();
      this.#wake = () => {
        this.#wake = undefined;
        this.#timer?.();
        resolve();
      };
      this.#rearm(registry);
    });
  }

  /** Sets the timer for the registry's next deadline. */
  #rearm(registry: NodeRegistry): void {
    this.#timer?.();
    const at = registry.nextAt();
    if (at === undefined || this.#abort.signal.aborted) return;
    const leastMs = this.#wake === undefined ? BUSY_MS : 0;
    const delayMs = Math.max(leastMs, at - this.#modules.clock.monotonic());
    this.#timer = this.#modules.clock.after(delayMs, () => this.#look(registry));
  }

  #leading(): NodeRegistry {
    if (this.#registry === undefined) throw notLeading();
    return this.#registry;
  }
}

function notLeading(): WaggleError {
  return new WaggleError('unavailable', 'this manager does not lead the swarm');
}

function sessionInvalid(): WaggleError {
  return new WaggleError('invalid-argument', 'session invalid');
}
