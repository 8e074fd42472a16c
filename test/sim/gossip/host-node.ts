import type { GossipCore } from '../../../worker/gossip/core/gossip-core.ts';
import { knownPeers, standingOf } from '../../../worker/gossip/core/known-peers.ts';
import type { Effects } from '../../../worker/gossip/core/message.ts';
import type { OwnerStanding } from '../../../worker/gossip/core/record-lists.ts';
import type { Roster } from '../../../worker/gossip/core/roster.ts';
import type { SwimCore } from '../../../worker/gossip/core/swim-core.ts';
import type { SwimEffects } from '../../../worker/gossip/core/swim-message.ts';
import { LOCAL } from '../../../worker/gossip/core/swim-preset.ts';
import type { EndpointRecord, LocalEndpoint, LocatedRecord } from '../../../worker/gossip/endpoint-table.ts';
import type { MemberState } from '../../../worker/gossip/members.ts';
import type { Content } from '../../../worker/gossip/transport/envelope.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../worker/gossip/transport/message-codec.ts';
import { GossipError } from './gossip-error.ts';
import type { ModelNode, ModelSwarm } from './model-swarm.ts';
import { nodeName } from './swim-node.ts';

/** The product's cores, or broken ones. */
export interface Cores {
  SwimCore: typeof SwimCore;
  GossipCore: typeof GossipCore;
}

export interface HostOptions {
  index: number;
  /** Its wall clock when the daemon started: its incarnation. */
  startedAtMs: number;
  /** Its monotonic clock: offset and rate against the simulation's. */
  clock: HostClock;
  directPeers: number;
  /** Everything goes through the real encoding. */
  encoded: boolean;
}

export interface HostClock {
  offsetMs: number;
  rate: number;
}

const TICK_MS = 50;
/** Sizes play no part here, but that there are datagrams and streams. */
const BYTES = 500;
/** In any second, whatever has happened: twice what a swarm of seven has been seen to need. */
const STORM_PACKETS = 1_500;

/** A node's membership and endpoint table joined as EndpointGossip joins them, on a clock of its own. */
export class HostNode implements ModelNode {
  readonly options: HostOptions;
  readonly #swarm: ModelSwarm<HostNode>;
  readonly #swim: SwimCore;
  readonly #core: GossipCore;
  #standings = new Map<string, OwnerStanding>();
  #tickAtMs: number;
  #counter = 0;
  /** Where the present second began, and the counter then. */
  #second = { atMs: 0, counter: 0 };
  onChange: () => void = () => undefined;

  constructor(options: HostOptions, swarm: ModelSwarm<HostNode>, cores: Cores) {
    this.options = options;
    this.#swarm = swarm;
    const nodeId = nodeName(options.index);
    const { startedAtMs, directPeers } = options;
    const nowMs = this.#own(swarm.nowMs);
    this.#swim = new cores.SwimCore({ nodeId, incarnation: startedAtMs, preset: LOCAL }, swarm.random.next);
    this.#core = new cores.GossipCore({ nodeId, startedAtMs, nowMs, directPeers }, swarm.random.next);
    this.#tickAtMs = nowMs + swarm.random.next() * TICK_MS;
  }

  setRoster(roster: Roster, nowMs: number): void {
    this.#oweSwim(this.#swim.setRoster(roster, this.#own(nowMs)), nowMs);
    this.#learnMembers(nowMs);
  }

  leave(nowMs: number): void {
    this.#oweSwim(this.#swim.leave(this.#own(nowMs)), nowMs);
  }

  need(networkId: string, nowMs: number): void {
    if (this.#core.holds(networkId, this.#own(nowMs))) return;
    this.#owe(this.#core.need(networkId, this.#own(nowMs)));
  }

  publish(endpoint: LocalEndpoint, nowMs: number): void {
    this.#owe(this.#core.publish(endpoint, this.#own(nowMs)));
    this.#owe(this.#core.flush(this.#own(nowMs)));
  }

  withdraw({ networkId, endpointId }: LocalEndpoint, nowMs: number): void {
    this.#owe(this.#core.withdraw(networkId, endpointId, this.#own(nowMs)));
    this.#owe(this.#core.flush(this.#own(nowMs)));
  }

  receive(from: number, content: unknown, nowMs: number): void {
    const source = { host: String(from), port: 7946 };
    const heard = (content instanceof Uint8Array ? decodeEnvelope(content).content : content) as Content;
    if ('swim' in heard) {
      this.#oweSwim(this.#swim.receive(nodeName(from), source, heard.swim, this.#own(nowMs)), nowMs);
    } else this.#owe(this.#core.receive(heard.table, source, this.#own(nowMs)));
  }

  wake(nowMs: number): void {
    const own = this.#own(nowMs);
    if (own >= this.#swim.nextAtMs()) this.#oweSwim(this.#swim.tick(own), nowMs);
    if (own < this.#tickAtMs) return;
    this.#tickAtMs = own + TICK_MS;
    this.#owe(this.#core.tick(own));
  }

  nextAtMs(): number {
    const { offsetMs, rate } = this.options.clock;
    // A little late rather than a rounding early: it would be woken in vain.
    return (Math.min(this.#tickAtMs, this.#swim.nextAtMs()) - offsetMs) / rate + 1e-3;
  }

  sees(index: number): MemberState | undefined {
    return this.#swim.standing(nodeName(index))?.state;
  }

  /** What it holds a member's incarnation to be. */
  incarnationOf(index: number): number {
    return index === this.options.index
      ? this.#swim.incarnation
      : (this.#swim.standing(nodeName(index))?.incarnation ?? 0);
  }

  records(networkId: string): readonly EndpointRecord[] {
    return this.#core.network(networkId);
  }

  located(networkId: string): readonly LocatedRecord[] {
    return this.#core.located(networkId);
  }

  synced(): boolean {
    return this.#core.synced();
  }

  #own(nowMs: number): number {
    const { offsetMs, rate } = this.options.clock;
    return offsetMs + nowMs * rate;
  }

  #learnMembers(nowMs: number): void {
    const members = knownPeers(this.#swim);
    this.#standings = new Map(members.map(({ nodeId, standing }) => [nodeId, standing]));
    this.#owe(this.#core.setMembers(members, this.#own(nowMs)));
  }

  #oweSwim(effects: SwimEffects, nowMs: number): void {
    for (const { host, packet } of effects.sends) this.#send(Number(host), { swim: packet }, packet.stream);
    if (effects.changed.size === 0) return;
    const told = [...effects.changed].some((id) => standingOf(this.#swim, id) !== this.#standings.get(id));
    if (told) this.#learnMembers(nowMs);
    this.onChange();
  }

  #owe(effects: Effects): void {
    for (const { host, message } of effects.sends) {
      this.#send(Number(host), { table: message }, message.updates.length + message.digests.length > 10);
    }
    if (effects.changed.size > 0) this.onChange();
  }

  #send(to: number, content: Content, stream: boolean): void {
    const from = nodeName(this.options.index);
    this.#counter += 1;
    if (this.#swarm.nowMs >= this.#second.atMs + 1_000) {
      this.#second = { atMs: this.#swarm.nowMs, counter: this.#counter };
    } else if (this.#counter - this.#second.counter > STORM_PACKETS) {
      throw new GossipError(`${this.options.index} sends more than ${STORM_PACKETS} packets in a second`);
    }
    const said = this.options.encoded ? encodeEnvelope({ from, session: 1, counter: this.#counter, content }) : content;
    this.#swarm.send(this.options.index, to, said, BYTES, stream);
  }
}
