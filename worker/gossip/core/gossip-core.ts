import type { Random } from '../../../proto/runtime/random.ts';
import type { EndpointRecord, LocalEndpoint, LocatedRecord } from '../endpoint-table.ts';
import { append, noEffects } from './effects.ts';
import type { Effects, Message, Peer } from './message.ts';
import { Roster } from './roster.ts';
import type { OwnerStanding } from './record-lists.ts';
import { type Owners, ReplicaCore } from './replica-core.ts';

export interface GossipOptions {
  nodeId: string;
  /** Milliseconds since the epoch at the start of the daemon. */
  startedAtMs: number;
  /** The same moment on the clock of the inputs. Default: startedAtMs. */
  nowMs?: number;
  /** How long after the start the node waits before it says that it has published all it has. Default 2 s. */
  settleMs?: number;
  /** Own content is sent to all peers up to this many, above to some that pass it on. Default 50. */
  directPeers?: number;
}

/** A member of the swarm and whether it lives. */
export interface KnownPeer extends Peer {
  standing: Exclude<OwnerStanding, 'foreign'>;
}

/** The replica that every node holds: who needs which network. No network can have this ID. */
const DIRECTORY = '.';
/** A network is held this long after it was last looked at, published on or withdrawn from. */
const LINGER_MS = 5 * 60_000;
const LAPSE_INTERVAL_MS = 10_000;
const MOST_REPLICAS = 4_096;

interface Held {
  replica: ReplicaCore;
  neededAtMs: number;
}

/**
 * The endpoint table without I/O: a replica for each network that this node needs, and the directory, a replica like any
 * other that every node holds, whose records say which node needs which network. So need spreads as surely as endpoints do.
 *
 * A network is needed from the first publish or the first look at it. Then this node says so in the directory, and at once
 * exchanges with nodes that hold the network: the first answer brings all its records. Late knowledge of who else needs a
 * network costs time, never content: whoever appears in the directory is exchanged with, and every second checksums are compared.
 * Invariant: records are served of owners that live, and that the directory names as needing the network.
 */
export class GossipCore {
  readonly #options: GossipOptions;
  readonly #random: Random;
  readonly #directory: ReplicaCore;
  readonly #held = new Map<string, Held>();
  #members = new Map<string, KnownPeer>();
  #membersKnown = false;
  #participants = new Map<string, Set<string>>();
  #directorySynced = false;
  #nextLapseAtMs = 0;

  constructor(options: GossipOptions, random: Random) {
    this.#options = options;
    this.#random = random;
    this.#directory = this.#replica(DIRECTORY, options.startedAtMs);
  }

  /** Changes the own content; told to peers by the next flush. The same content again is no change. */
  publish(endpoint: LocalEndpoint, nowMs: number): Effects {
    const effects = noEffects();
    const held = this.#need(effects, endpoint.networkId, nowMs);
    this.#add(effects, held?.replica.publish(endpoint, nowMs), nowMs);
    return effects;
  }

  withdraw(networkId: string, endpointId: string, nowMs: number): Effects {
    const effects = noEffects();
    const held = this.#held.get(networkId);
    if (held === undefined) return effects;
    held.neededAtMs = nowMs;
    this.#add(effects, held.replica.withdraw(networkId, endpointId, nowMs), nowMs);
    return effects;
  }

  /** This node wants the records of a network from now on; the effects are owed even when there are none of the network. */
  need(networkId: string, nowMs: number): Effects {
    const effects = noEffects();
    this.#need(effects, networkId, nowMs);
    return effects;
  }

  /** Sends what was published since the last flush. */
  flush(nowMs: number): Effects {
    const effects = noEffects();
    for (const replica of this.#replicas()) this.#add(effects, replica.flush(nowMs), nowMs);
    return effects;
  }

  /** All members, this node left out or not. To be called when one came, went, died or returned. */
  setMembers(members: readonly KnownPeer[], nowMs: number): Effects {
    const effects = noEffects();
    const before = this.#members;
    this.#members = new Map(members.map((member) => [member.nodeId, member]));
    this.#members.delete(this.#options.nodeId);
    this.#membersKnown = true;
    const changed = new Set<string>();
    for (const nodeId of new Set([...before.keys(), ...this.#members.keys()])) {
      if (before.get(nodeId)?.standing !== this.#members.get(nodeId)?.standing) changed.add(nodeId);
    }
    for (const replica of this.#replicas()) this.#add(effects, replica.reconsider(changed), nowMs);
    const living = [...this.#members.values()].filter(({ standing }) => standing === 'served');
    this.#add(effects, this.#directory.setPeers(new Roster(living), true, nowMs), nowMs);
    this.#meet(effects, [...this.#held.keys()], nowMs);
    return effects;
  }

  /** @param source where the message came from; answers to nodes that are not yet peers go there. */
  receive(message: Message, source: { host: string; port: number }, nowMs: number): Effects {
    const effects = noEffects();
    const replica = message.networkId === DIRECTORY ? this.#directory : this.#held.get(message.networkId)?.replica;
    if (replica !== undefined) this.#add(effects, replica.receive(message, source, nowMs), nowMs);
    return effects;
  }

  /** Repeats, compares and forgets what is due; to be called about every 50 ms. */
  tick(nowMs: number): Effects {
    const effects = noEffects();
    for (const replica of this.#replicas()) this.#add(effects, replica.tick(nowMs), nowMs);
    if (nowMs >= this.#nextLapseAtMs) this.#lapse(effects, nowMs);
    return effects;
  }

  /** Live records of one network, as far as this node holds it. */
  network(networkId: string): readonly EndpointRecord[] {
    return this.#held.get(networkId)?.replica.records() ?? [];
  }

  /** Those, and the records of members that are dead. */
  located(networkId: string): readonly LocatedRecord[] {
    return this.#held.get(networkId)?.replica.located() ?? [];
  }

  /** Whether `need` was called for it, and it has not lapsed. Renews the need. */
  holds(networkId: string, nowMs: number): boolean {
    const held = this.#held.get(networkId);
    if (held !== undefined) held.neededAtMs = nowMs;
    return held !== undefined;
  }

  /** True once a full exchange has been done for every network that is needed, or this one, or it is known that nobody else has it. */
  synced(networkId?: string): boolean {
    if (!this.#membersKnown) return false;
    if (networkId === undefined) return this.#replicas().every((replica) => replica.synced());
    const replica = this.#held.get(networkId)?.replica;
    if (replica === undefined || !this.#directory.synced() || !replica.synced()) return false;
    // One that fell silent before it could be asked may have records that nobody else has.
    return this.#silentIn(networkId).every((owner) => replica.knows(owner));
  }

  #silentIn(networkId: string): string[] {
    const needs = this.#directory.located().filter(({ silent, endpointId }) => silent && endpointId === networkId);
    return needs.map(({ owner }) => owner);
  }

  #need(effects: Effects, networkId: string, nowMs: number): Held | undefined {
    const known = this.#held.get(networkId);
    if (known !== undefined) {
      known.neededAtMs = nowMs;
      return known;
    }
    if (networkId === DIRECTORY || this.#held.size >= MOST_REPLICAS) return undefined;
    // Greater than in any earlier need of the same network, on any clock that does not go back.
    const incarnation = this.#options.startedAtMs + Math.max(0, Math.floor(nowMs - this.#startedNowMs()));
    const held = { replica: this.#replica(networkId, incarnation), neededAtMs: nowMs };
    this.#held.set(networkId, held);
    this.#add(effects, this.#directory.publish(needRecord(networkId), nowMs), nowMs);
    this.#add(effects, this.#directory.flush(nowMs), nowMs);
    this.#meet(effects, [networkId], nowMs);
    return held;
  }

  /** Gives up networks that nobody here has used for long. */
  #lapse(effects: Effects, nowMs: number): void {
    this.#nextLapseAtMs = nowMs + LAPSE_INTERVAL_MS;
    for (const [networkId, { replica, neededAtMs }] of this.#held) {
      if (replica.hasOwn || nowMs - neededAtMs < LINGER_MS) continue;
      this.#held.delete(networkId);
      this.#add(effects, this.#directory.withdraw(DIRECTORY, networkId, nowMs), nowMs);
    }
    this.#add(effects, this.#directory.flush(nowMs), nowMs);
  }

  /** Takes over what a replica owes; news of the directory changes who is told what. */
  #add(effects: Effects, more: Effects | undefined, nowMs: number): void {
    if (more === undefined) return;
    const directoryChanged = more.changed.delete(DIRECTORY);
    append(effects, more);
    const synced = this.#directory.synced();
    if (!directoryChanged && synced === this.#directorySynced) return;
    this.#directorySynced = synced;
    const before = this.#participants;
    this.#participants = participantsOf(this.#directory.records());
    for (const [networkId, { replica }] of this.#held) {
      const changed = difference(before.get(networkId), this.#participants.get(networkId));
      append(effects, replica.reconsider(changed));
    }
    this.#meet(effects, [...this.#held.keys()], nowMs);
  }

  #meet(effects: Effects, networkIds: readonly string[], nowMs: number): void {
    for (const networkId of networkIds) {
      const peers = [...(this.#participants.get(networkId) ?? [])].flatMap((nodeId) => {
        const member = this.#members.get(nodeId);
        return member?.standing === 'served' ? [member] : [];
      });
      const replica = this.#held.get(networkId)?.replica;
      if (replica !== undefined) append(effects, replica.setPeers(new Roster(peers), this.#directory.synced(), nowMs));
    }
  }

  #replica(networkId: string, incarnation: number): ReplicaCore {
    const { nodeId, settleMs = 2_000, directPeers } = this.#options;
    const settleAtMs = this.#startedNowMs() + settleMs;
    const options = { nodeId, networkId, incarnation, settleAtMs };
    const owners: Owners = { standing: (owner) => this.#standing(owner, networkId) };
    const modules = { owners, random: this.#random };
    return new ReplicaCore(directPeers === undefined ? options : { ...options, directPeers }, modules);
  }

  #startedNowMs(): number {
    return this.#options.nowMs ?? this.#options.startedAtMs;
  }

  #replicas(): ReplicaCore[] {
    return [this.#directory, ...Array.from(this.#held.values(), ({ replica }) => replica)];
  }

  /** A living member that no longer says that it needs the network (it has forgotten it in a restart) has nothing there. */
  #standing(owner: string, networkId: string): OwnerStanding {
    const standing = this.#members.get(owner)?.standing ?? 'foreign';
    if (standing !== 'served' || networkId === DIRECTORY) return standing;
    return this.#participants.get(networkId)?.has(owner) === true ? 'served' : 'foreign';
  }
}

/** That this node needs a network: a record of the directory. Nothing but its ID counts. */
function needRecord(networkId: string): LocalEndpoint {
  const nothing = { address: '0.0.0.0', mac: '00:00:00:00:00:00', vtep: '0.0.0.0', vni: 0 };
  return { networkId: DIRECTORY, endpointId: networkId, ...nothing, names: [], services: [] };
}

function participantsOf(records: readonly EndpointRecord[]): Map<string, Set<string>> {
  const participants = new Map<string, Set<string>>();
  for (const { endpointId, owner } of records) {
    const known = participants.get(endpointId);
    if (known === undefined) participants.set(endpointId, new Set([owner]));
    else known.add(owner);
  }
  return participants;
}

/** What is in one of the two only. */
function difference(a: ReadonlySet<string> = new Set(), b: ReadonlySet<string> = new Set()): Set<string> {
  return a.symmetricDifference(b);
}
