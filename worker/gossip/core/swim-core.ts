import type { Random } from '../../../proto/runtime/random.ts';
import { Awareness } from './awareness.ts';
import { BroadcastQueue } from './broadcast-queue.ts';
import { isGone, MemberList, type Standing, supersedes } from './member-list.ts';
import type { Peer } from './message.ts';
import { Objections } from './objections.ts';
import { Prober } from './prober.ts';
import { ProbeOrder } from './probe-order.ts';
import type { Roster } from './roster.ts';
import { Suspicion } from './suspicion.ts';
import type { Address, MemberNews, SwimEffects, SwimKind, SwimPacket, SwimSend } from './swim-message.ts';
import { probePaceMs, pushPullMs, retransmitLimit, suspicionMinMs, type SwimPreset } from './swim-preset.ts';

export interface SwimOptions {
  nodeId: string;
  /** Greater than in every earlier life, best the time of the start; a wrong one is put right by refuting. */
  incarnation: number;
  preset: SwimPreset;
}

/** What fits beside the fixed fields into a sealed datagram of 1400 bytes. */
const NEWS_BYTES = 1_200;
/**
 * Least time between two flushes of fresh news, so that what comes in a burst leaves together. Doubles from flush to flush up to the
 * gossip interval, until there has been none for four of those: so a swarm that loses every fourth packet, and is full of suspicions
 * and objections, sends at most two rounds in an interval.
 */
const FLUSH_GAP_MS = 5;
const FLUSH_REST_INTERVALS = 4;
/** In a swarm of up to so many others fresh news goes to every one at once. */
const TELL_ALL = 10;
/** While there are suspicions they are looked at this often. */
const CHECK_MS = 20;
/** With that much of a standstill a node takes itself for unwell, not only late. */
const UNWELL_STALL_MS = 300;

/**
 * Who lives: SWIM with Lifeguard's three parts, without I/O. Inputs: setRoster, receive, tick, leave; each takes a time that never
 * goes backwards and returns what the caller owes. `nextAtMs` tells when tick has something to do.
 *
 * States of a member: alive -> suspect (a probe failed, or someone says so) -> dead (nobody cleared it in time); suspect or dead
 * -> alive when it objects with a greater incarnation; any -> left when it says so itself. Ways news travels: on every ping and
 * ack; fresh news at once to some; then in rounds until each node has sent it often enough; and by comparing whole states over
 * TCP when checksums on pings differ for long. Beyond the papers: a new suspect is probed by a few others out of turn
 * (confirmations come quickly); a node that stood still moves its deadlines; the dead are pinged now and then.
 * Invariants: members are exactly those of the roster; only a member raises its incarnation; only this node says `left` of itself.
 */
export class SwimCore {
  readonly #options: SwimOptions;
  readonly #preset: SwimPreset;
  readonly #random: Random;
  readonly #members: MemberList;
  readonly #awareness: Awareness;
  readonly #queue = new BroadcastQueue();
  readonly #suspicions = new Map<string, Suspicion>();
  readonly #objections: Objections;
  readonly #order: ProbeOrder;
  readonly #prober: Prober;
  #incarnation: number;
  #leaving = false;
  #effects: SwimEffects = { sends: [], changed: new Set() };
  #nowMs = 0;
  #dueAtMs = Number.POSITIVE_INFINITY;
  #nextProbeAtMs = Number.POSITIVE_INFINITY;
  #nextGossipAtMs = 0;
  #nextReconnectAtMs = 0;
  #nextCheckAtMs = 0;
  #nextSyncAtMs = 0;
  #flushedAtMs = Number.NEGATIVE_INFINITY;
  #flushGapMs = FLUSH_GAP_MS;
  #learntAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: SwimOptions, random: Random) {
    this.#options = options;
    this.#preset = options.preset;
    this.#random = random;
    this.#incarnation = options.incarnation;
    this.#members = new MemberList(options.nodeId);
    this.#awareness = new Awareness(options.preset.awarenessMax);
    this.#objections = new Objections(options.preset.objectionFadeMs);
    this.#order = new ProbeOrder(random);
    this.#prober = new Prober(options.preset, this.#awareness, {
      send: (to, kind, content) => this.#send(to, kind, content),
      repeat: (to, sequence) => this.#send(to, 'ping', { sequence }, 0),
      helpers: (count, except) =>
        this.#members.sample(count, random, ({ state }, nodeId) => state === 'alive' && nodeId !== except),
      objections: (nodeId) => this.#objections.of(nodeId, this.#nowMs),
      unreached: (nodeId) => this.#unreached(nodeId),
    });
  }

  get awareness(): number {
    return this.#awareness.score;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  get peers(): readonly Peer[] {
    return this.#members.peers;
  }

  peer(nodeId: string): Peer | undefined {
    return this.#members.peer(nodeId);
  }

  /** undefined for whom the manager did not name. */
  standing(nodeId: string): Standing | undefined {
    return this.#members.standing(nodeId);
  }

  /** When tick is next to be called; infinite while there is nobody. */
  nextAtMs(): number {
    return this.#dueAtMs;
  }

  /** The same roster again is no change. */
  setRoster(roster: Roster, nowMs: number): SwimEffects {
    this.#begin(nowMs);
    const first = this.#members.peers.length === 0;
    const { came, went } = this.#members.setRoster(roster, nowMs);
    for (const nodeId of went) this.#forget(nodeId);
    for (const nodeId of [...went, ...came.map((peer) => peer.nodeId)]) this.#effects.changed.add(nodeId);
    if (came.length > 0 || went.length > 0) this.#order.reset(roster.peers.length);
    const pace = this.#paceMs();
    if (this.#members.size < 2) this.#nextProbeAtMs = Number.POSITIVE_INFINITY;
    else if (this.#nextProbeAtMs === Number.POSITIVE_INFINITY) this.#nextProbeAtMs = nowMs + this.#random() * pace;
    if (first && came.length > 0) {
      // What it has missed, and that it is here.
      this.#announceSelf();
      for (const peer of this.#members.sample(2, this.#random, () => true)) this.#sendState(peer, 'state');
    }
    return this.#finish();
  }

  receive(from: string, source: Address, packet: SwimPacket, nowMs: number): SwimEffects {
    if (from === this.#options.nodeId) return noEffects();
    this.#begin(nowMs);
    const peer = this.#members.peer(from);
    const greeting: MemberNews = { nodeId: from, state: 'alive', incarnation: packet.incarnation, accuser: '' };
    this.#hear(greeting, 'quietly');
    const whole = packet.kind === 'state' || packet.kind === 'state-reply';
    for (const news of packet.news) this.#hear(whole ? softened(news, from) : news, whole ? 'quietly' : 'aloud');
    this.#answer(from, peer ?? { nodeId: from, ...source }, packet);
    if (peer !== undefined) this.#correct(peer, packet);
    return this.#finish();
  }

  tick(nowMs: number): SwimEffects {
    this.#begin(nowMs);
    this.#prober.tick(nowMs);
    if (nowMs >= this.#nextProbeAtMs) this.#probeNext();
    if (this.#suspicions.size > 0 && nowMs >= this.#nextCheckAtMs) this.#judge();
    if (this.#members.gone > 0 && nowMs >= this.#nextReconnectAtMs) this.#reconnect();
    if (!this.#queue.empty && nowMs >= this.#nextGossipAtMs) this.#gossip(this.#preset.gossipFanout);
    return this.#finish();
  }

  /** Says farewell; what is heard afterwards is not objected to. */
  leave(nowMs: number): SwimEffects {
    this.#begin(nowMs);
    this.#leaving = true;
    this.#queue.put(this.#selfNews('left'));
    const wanted = Math.max(TELL_ALL, 2 * retransmitLimit(this.#preset, this.#members.size));
    this.#gossip(wanted);
    return this.#finish();
  }

  /** A timer that is late shows that this node stood still: nothing that fell due meanwhile proves anything of others. */
  #begin(nowMs: number): void {
    this.#effects = noEffects();
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const lateMs = this.#nowMs - this.#dueAtMs;
    if (lateMs < this.#preset.stallMs) return;
    this.#prober.postpone(lateMs);
    for (const suspicion of this.#suspicions.values()) suspicion.postpone(lateMs);
    if (lateMs >= UNWELL_STALL_MS) this.#awareness.add(1);
  }

  #finish(): SwimEffects {
    if (this.#queue.hasFresh && this.#nowMs >= this.#flushedAtMs + this.#flushGapMs) this.#flush();
    this.#dueAtMs = this.#dueAt();
    const effects = this.#effects;
    this.#effects = noEffects();
    return effects;
  }

  #flush(): void {
    const { gossipIntervalMs, gossipFanout } = this.#preset;
    const rested = this.#nowMs - this.#flushedAtMs >= FLUSH_REST_INTERVALS * gossipIntervalMs;
    this.#flushGapMs = rested ? FLUSH_GAP_MS : Math.min(2 * this.#flushGapMs, gossipIntervalMs);
    this.#flushedAtMs = this.#nowMs;
    this.#gossip(this.#members.size - 1 <= TELL_ALL ? TELL_ALL : gossipFanout);
  }

  #dueAt(): number {
    let due = Math.min(this.#prober.nextAtMs(), this.#nextProbeAtMs);
    if (!this.#queue.empty && this.#members.size > 1) {
      const flushAt = this.#queue.hasFresh ? this.#flushedAtMs + this.#flushGapMs : Number.POSITIVE_INFINITY;
      due = Math.min(due, this.#nextGossipAtMs, flushAt);
    }
    if (this.#suspicions.size > 0) due = Math.min(due, this.#nextCheckAtMs);
    if (this.#members.gone > 0) due = Math.min(due, this.#nextReconnectAtMs);
    return Math.max(due, this.#nowMs);
  }

  /** Quietly: what is merely the first sign of a member is not passed on; the others get it as this node did. */
  #hear(news: MemberNews, how: 'quietly' | 'aloud' = 'aloud'): void {
    if (news.nodeId === this.#options.nodeId) return this.#hearOfSelf(news);
    const known = this.#members.standing(news.nodeId);
    if (known === undefined) return;
    if (supersedes(news, known)) {
      const firstSign = known.incarnation === 0 && known.state === 'alive' && news.state === 'alive';
      return this.#accept(news, known, how === 'aloud' || !firstSign);
    }
    if (news.state !== 'suspect' || known.state !== 'suspect' || news.incarnation !== known.incarnation) return;
    const suspicion = this.#suspicions.get(news.nodeId);
    if (suspicion?.confirm(news.accuser) === true) this.#queue.add(news);
  }

  #accept(news: MemberNews, known: Standing, passOn: boolean): void {
    const { nodeId, state, incarnation } = news;
    this.#members.set(nodeId, state, incarnation, this.#nowMs);
    this.#learntAtMs = this.#nowMs;
    if (state !== known.state) this.#effects.changed.add(nodeId);
    if (state === 'suspect') return this.#suspect(news);
    this.#suspicions.delete(nodeId);
    if (known.state === 'suspect' && state === 'alive') this.#objections.add(nodeId, this.#nowMs);
    if (isGone(state)) this.#prober.drop(nodeId);
    if (passOn) this.#queue.put({ nodeId, state, incarnation, accuser: '' });
  }

  #suspect(news: MemberNews): void {
    const members = this.#members.size;
    const minMs = suspicionMinMs(this.#preset, members);
    const wanted = Math.min(this.#preset.confirmations, Math.max(0, members - 2));
    const bounds = { minMs, maxMs: minMs * this.#preset.suspicionMaxMult, wanted };
    const suspicion = new Suspicion(bounds, news.accuser, this.#nowMs);
    if (this.#suspicions.size === 0) this.#nextCheckAtMs = this.#nowMs + CHECK_MS;
    this.#suspicions.set(news.nodeId, suspicion);
    this.#queue.put(news);
    const peer = this.#members.peer(news.nodeId);
    if (peer === undefined || this.#prober.isProbing(peer.nodeId)) return;
    if (this.#random() < this.#preset.confirmingProbes / Math.max(1, members - 1)) this.#probe(peer);
  }

  /** What others believe of this node: it objects to all but a farewell of its own. */
  #hearOfSelf(news: MemberNews): void {
    if (this.#leaving) return;
    if (news.state === 'alive' ? news.incarnation <= this.#incarnation : news.incarnation < this.#incarnation) return;
    this.#incarnation = news.incarnation + 1;
    // Whoever is accused may be the slow one (Lifeguard 4.1).
    if (news.state === 'suspect' || news.state === 'dead') this.#awareness.add(1);
    this.#announceSelf();
  }

  #announceSelf(): void {
    this.#queue.put(this.#selfNews('alive'));
  }

  #selfNews(state: 'alive' | 'left'): MemberNews {
    return { nodeId: this.#options.nodeId, state, incarnation: this.#incarnation, accuser: '' };
  }

  #answer(from: string, peer: Peer, packet: SwimPacket): void {
    const { sequence, stream } = packet;
    switch (packet.kind) {
      case 'ping':
        return this.#send(peer, 'ack', { sequence, stream });
      case 'ping-request': {
        const target = this.#members.peer(packet.target);
        if (target !== undefined) this.#prober.relay(target, peer, sequence, this.#nowMs);
        return;
      }
      case 'ack':
        return this.#prober.acked(from, sequence, this.#nowMs);
      case 'nack':
        return this.#prober.nacked(from, sequence);
      case 'state':
        return this.#sendState(peer, 'state-reply');
      case 'state-reply':
      case 'news':
    }
  }

  /** The sender is told what is believed of it (Lifeguard's buddy system), and states are compared when they differ for long. */
  #correct(peer: Peer, packet: SwimPacket): void {
    const standing = this.#members.standing(peer.nodeId);
    if (standing === undefined) return;
    if (packet.kind !== 'ping' && (isGone(standing.state) || standing.state === 'suspect')) {
      this.#send(peer, 'news', { sequence: 0 });
    }
    if (packet.kind === 'state' || packet.kind === 'state-reply') return;
    const quietMs = 2 * this.#preset.probeIntervalMs;
    if (packet.checksum === this.#members.checksum(this.#incarnation)) return;
    if (this.#nowMs < this.#nextSyncAtMs || this.#nowMs - this.#learntAtMs < quietMs) return;
    this.#sendState(peer, 'state');
  }

  #sendState(peer: Peer, kind: 'state' | 'state-reply'): void {
    if (kind === 'state') this.#nextSyncAtMs = this.#nowMs + pushPullMs(this.#preset, this.#members.size);
    const news = [this.#selfNews('alive'), ...this.#members.news()];
    this.#owe(peer, { ...this.#packet(kind, { sequence: 0, stream: true }), news });
  }

  #probeNext(): void {
    const paceMs = this.#awareness.stretch(this.#paceMs());
    // After a standstill it goes on from now; missed turns are not made up for.
    this.#nextProbeAtMs = this.#nowMs + paceMs;
    const { peers } = this.#members;
    const index = this.#order.next((at) => {
      const standing = this.#members.standing(peers[at]?.nodeId ?? '');
      return standing !== undefined && !isGone(standing.state);
    });
    const target = index === undefined ? undefined : peers[index];
    if (target !== undefined && !this.#prober.isProbing(target.nodeId)) this.#probe(target);
  }

  #probe(target: Peer): void {
    this.#prober.begin(target, this.#nowMs);
  }

  #unreached(nodeId: string): void {
    const standing = this.#members.standing(nodeId);
    if (standing === undefined || isGone(standing.state)) return;
    const { incarnation } = standing;
    this.#hear({ nodeId, state: 'suspect', incarnation, accuser: this.#options.nodeId });
  }

  #judge(): void {
    this.#nextCheckAtMs = this.#nowMs + CHECK_MS;
    for (const [nodeId, suspicion] of [...this.#suspicions]) {
      if (this.#nowMs >= suspicion.deadlineMs) this.#condemn(nodeId);
    }
  }

  #condemn(nodeId: string): void {
    const incarnation = this.#members.standing(nodeId)?.incarnation ?? 0;
    this.#hear({ nodeId, state: 'dead', incarnation, accuser: '' });
  }

  #reconnect(): void {
    this.#nextReconnectAtMs = this.#nowMs + this.#preset.reconnectIntervalMs;
    const peer = this.#members.anyGone(this.#random);
    if (peer !== undefined) this.#send(peer, 'ping', { sequence: 0 });
  }

  #gossip(fanout: number): void {
    this.#nextGossipAtMs = this.#nowMs + this.#preset.gossipIntervalMs;
    const recent = this.#nowMs - this.#preset.gossipToDeadMs;
    const targets = this.#members.sample(
      fanout,
      this.#random,
      ({ state, changedAtMs }) => !isGone(state) || (state === 'dead' && changedAtMs > recent),
    );
    if (targets.length === 0) return;
    const limit = retransmitLimit(this.#preset, this.#members.size);
    const packet = this.#packet('news', { sequence: 0 });
    const news = this.#queue.take(NEWS_BYTES, targets.length, limit);
    if (news.length > 0) for (const target of targets) this.#owe(target, { ...packet, news });
  }

  /** With what is believed of the receiver first, and then news as there is room. */
  #send(
    to: Address & { nodeId?: string },
    kind: SwimKind,
    content: { sequence: number; target?: string; stream?: boolean },
    roomBytes = NEWS_BYTES - 100,
  ): void {
    const standing = to.nodeId === undefined ? undefined : this.#members.standing(to.nodeId);
    const news: MemberNews[] = [];
    if (to.nodeId !== undefined && standing !== undefined && standing.state !== 'alive') {
      const accuser = standing.state === 'suspect' ? this.#options.nodeId : '';
      news.push({ nodeId: to.nodeId, state: standing.state, incarnation: standing.incarnation, accuser });
    }
    const limit = retransmitLimit(this.#preset, this.#members.size);
    if (roomBytes > 0) news.push(...this.#queue.take(roomBytes, 1, limit));
    this.#owe(to, { ...this.#packet(kind, content), news });
  }

  #packet(kind: SwimKind, content: { sequence: number; target?: string; stream?: boolean }): SwimPacket {
    const checksum = this.#members.checksum(this.#incarnation);
    return { kind, target: '', incarnation: this.#incarnation, checksum, stream: false, news: [], ...content };
  }

  #owe({ host, port }: Address, packet: SwimPacket): void {
    const send: SwimSend = { host, port, packet };
    this.#effects.sends.push(send);
  }

  #forget(nodeId: string): void {
    this.#suspicions.delete(nodeId);
    this.#objections.forget(nodeId);
    this.#queue.drop(nodeId);
    this.#prober.drop(nodeId);
  }

  #paceMs(): number {
    return probePaceMs(this.#preset, this.#members.size);
  }
}

function noEffects(): SwimEffects {
  return { sends: [], changed: new Set() };
}

/** The dead of another's whole state are suspects first: the two may have been apart, and each sees the other's side dead. */
function softened(news: MemberNews, from: string): MemberNews {
  return news.state === 'dead' || news.state === 'suspect' ? { ...news, state: 'suspect', accuser: from } : news;
}
