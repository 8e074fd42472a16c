import type { MemberState } from '../../../worker/gossip/members.ts';
import type { ModelNode, ModelSwarm } from './model-swarm.ts';

/**
 * A model of hashicorp/memberlist with its LAN defaults, for comparison: the same model network, figures and formulas of its
 * config.go, util.go, suspicion.go, state.go (NETWORK.md section 3.2); and Docker's habit to try one failed member a second
 * (networkdb/cluster.go, reconnectNode). Sizes are on the low side: field names, which memberlist's encoding has in every message, are not counted.
 */
export interface MemberlistConfig {
  probeIntervalMs: number;
  probeTimeoutMs: number;
  indirectChecks: number;
  gossipIntervalMs: number;
  gossipNodes: number;
  gossipToDeadMs: number;
  retransmitMult: number;
  suspicionMult: number;
  suspicionMaxMult: number;
  awarenessMax: number;
  /** Times ceil(log2 n - 5) + 1 above 32 nodes. */
  pushPullIntervalMs: number;
  reconnectIntervalMs: number;
}

export const MEMBERLIST_LAN: MemberlistConfig = {
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  indirectChecks: 3,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  gossipToDeadMs: 30_000,
  retransmitMult: 4,
  suspicionMult: 4,
  suspicionMaxMult: 6,
  awarenessMax: 8,
  pushPullIntervalMs: 30_000,
  reconnectIntervalMs: 1_000,
};

type News = { kind: 'alive' | 'suspect' | 'dead'; subject: number; incarnation: number; from: number };
type Packet =
  | { kind: 'ping'; sequence: number; news: News[] }
  | { kind: 'ack'; sequence: number; news: News[] }
  | { kind: 'indirect'; sequence: number; target: number; news: News[] }
  | { kind: 'nack'; sequence: number; news: News[] }
  | { kind: 'gossip'; news: News[] }
  | { kind: 'state'; reply: boolean; news: News[] };

interface Known {
  state: MemberState;
  incarnation: number;
  changedAtMs: number;
}
interface Suspected {
  startMs: number;
  wanted: number;
  from: Set<number>;
}

const PACKET_BYTES = 60;
const NEWS_BYTES = 60;
const NEWS_PER_PACKET = 20;

export class MemberlistNode implements ModelNode {
  readonly #index: number;
  readonly #count: number;
  readonly #swarm: ModelSwarm<MemberlistNode>;
  readonly #config: MemberlistConfig;
  readonly #known = new Map<number, Known>();
  readonly #suspected = new Map<number, Suspected>();
  readonly #queue = new Map<string, { news: News; sends: number }>();
  readonly #timers: { atMs: number; run: () => void }[] = [];
  readonly #acks = new Map<number, () => void>();
  readonly #nacks = new Map<number, number>();
  #order: number[] = [];
  #sequence = 0;
  #incarnation = 0;
  #score = 0;
  #nowMs: number;
  onChange: (subject: number, nowMs: number) => void = () => undefined;

  constructor(index: number, count: number, swarm: ModelSwarm<MemberlistNode>, config = MEMBERLIST_LAN) {
    this.#index = index;
    this.#config = config;
    this.#count = count;
    this.#swarm = swarm;
    this.#nowMs = swarm.nowMs;
    const { probeIntervalMs, gossipIntervalMs, reconnectIntervalMs } = config;
    this.#after(swarm.random.next() * this.#pushPullMs(), () => this.#pushPull());
    this.#after(swarm.random.next() * reconnectIntervalMs, () => this.#reconnect());
    this.#after(swarm.random.next() * probeIntervalMs, () => this.#probe());
    this.#after(swarm.random.next() * gossipIntervalMs, () => this.#gossip());
  }

  sees(index: number): MemberState {
    return this.#known.get(index)?.state ?? 'alive';
  }

  nextAtMs(): number {
    return this.#timers.reduce((least, { atMs }) => Math.min(least, atMs), Number.POSITIVE_INFINITY);
  }

  wake(nowMs: number): void {
    this.#nowMs = nowMs;
    for (const timer of this.#timers.filter(({ atMs }) => atMs <= nowMs).toSorted((a, b) => a.atMs - b.atMs)) {
      this.#timers.splice(this.#timers.indexOf(timer), 1);
      timer.run();
    }
  }

  receive(from: number, content: unknown, nowMs: number): void {
    this.#nowMs = nowMs;
    const packet = content as Packet;
    // The dead of another's state are suspects first, as its mergeState has it.
    for (const news of packet.news)
      this.#hear(packet.kind === 'state' && news.kind === 'dead' ? { ...news, kind: 'suspect', from } : news);
    switch (packet.kind) {
      case 'ping':
        return this.#send(from, { kind: 'ack', sequence: packet.sequence, news: [] });
      case 'indirect':
        return this.#pingFor(from, packet.target, packet.sequence);
      case 'ack':
        return this.#acks.get(packet.sequence)?.();
      case 'nack':
        this.#nacks.set(packet.sequence, (this.#nacks.get(packet.sequence) ?? 0) + 1);
        return;
      case 'state':
        if (!packet.reply) this.#sendState(from, true);
        return;
      case 'gossip':
    }
  }

  #pushPullMs(): number {
    const { pushPullIntervalMs } = this.#config;
    return pushPullIntervalMs * (this.#count <= 32 ? 1 : Math.ceil(Math.log2(this.#count) - 5) + 1);
  }

  #pushPull(): void {
    this.#after(this.#pushPullMs(), () => this.#pushPull());
    const [target] = this.#some(1, this.#index);
    if (target !== undefined) this.#sendState(target, false);
  }

  #reconnect(): void {
    this.#after(this.#config.reconnectIntervalMs, () => this.#reconnect());
    const dead = [...this.#known].filter(([, { state }]) => state === 'dead');
    const [target] = this.#swarm.random.pick(dead) ?? [];
    if (target !== undefined) this.#sendState(target, false);
  }

  /** Of every member; those of whom nothing was ever said are counted, not listed. */
  #sendState(to: number, reply: boolean): void {
    const news: News[] = [{ kind: 'alive', subject: this.#index, incarnation: this.#incarnation, from: this.#index }];
    for (const [subject, { state, incarnation }] of this.#known) {
      if (state !== 'left') news.push({ kind: state, subject, incarnation, from: this.#index });
    }
    this.#swarm.send(this.#index, to, { kind: 'state', reply, news }, NEWS_BYTES * this.#count, true);
  }

  #probe(): void {
    const { probeIntervalMs, probeTimeoutMs, indirectChecks } = this.#config;
    const intervalMs = probeIntervalMs * (this.#score + 1);
    this.#after(intervalMs, () => this.#probe());
    const target = this.#next();
    if (target === undefined) return;
    const sequence = ++this.#sequence;
    let asked = 0;
    const forget = (): void => {
      this.#acks.delete(sequence);
      this.#nacks.delete(sequence);
    };
    let acked = false;
    this.#acks.set(sequence, () => {
      acked = true;
      this.#score = Math.max(0, this.#score - 1);
      forget();
    });
    this.#send(target, { kind: 'ping', sequence, news: [] });
    this.#after(probeTimeoutMs * (this.#score + 1), () => {
      if (acked) return;
      for (const helper of this.#some(indirectChecks, target)) {
        asked += 1;
        this.#send(helper, { kind: 'indirect', sequence, target, news: [] });
      }
      this.#send(target, { kind: 'ping', sequence, news: [] }, true);
    });
    this.#after(intervalMs, () => {
      if (acked) return;
      const missing = asked > 0 ? asked - (this.#nacks.get(sequence) ?? 0) : 1;
      this.#score = Math.min(this.#config.awarenessMax - 1, this.#score + missing);
      forget();
      this.#hear({ kind: 'suspect', subject: target, incarnation: this.#of(target).incarnation, from: this.#index });
    });
  }

  #pingFor(origin: number, target: number, sequence: number): void {
    const own = ++this.#sequence;
    let acked = false;
    this.#acks.set(own, () => {
      acked = true;
      this.#acks.delete(own);
      this.#send(origin, { kind: 'ack', sequence, news: [] });
    });
    this.#send(target, { kind: 'ping', sequence: own, news: [] });
    this.#after(this.#config.probeTimeoutMs * 0.8, () => {
      this.#acks.delete(own);
      if (!acked) this.#send(origin, { kind: 'nack', sequence, news: [] });
    });
  }

  #hear(news: News): void {
    const { subject, incarnation, kind } = news;
    if (subject === this.#index) {
      if (kind === 'alive' || incarnation < this.#incarnation) return;
      this.#incarnation = incarnation + 1;
      this.#score = Math.min(this.#config.awarenessMax - 1, this.#score + 1);
      return this.#broadcast({ kind: 'alive', subject, incarnation: this.#incarnation, from: subject });
    }
    const known = this.#of(subject);
    if (kind === 'alive' && incarnation > known.incarnation) this.#set(news, 'alive');
    else if (kind === 'dead' && incarnation >= known.incarnation && known.state !== 'dead') this.#set(news, 'dead');
    else if (kind === 'suspect' && incarnation >= known.incarnation && known.state !== 'dead')
      this.#suspect(news, known);
  }

  #suspect(news: News, known: Known): void {
    const suspected = this.#suspected.get(news.subject);
    if (suspected !== undefined) {
      if (suspected.from.size - 1 >= suspected.wanted || suspected.from.has(news.from)) return;
      suspected.from.add(news.from);
      this.#judgeLater(news.subject, suspected);
      return this.#broadcast(news);
    }
    if (known.state !== 'alive') return;
    this.#set(news, 'suspect');
    const { suspicionMult } = this.#config;
    const wanted = this.#count - 2 < suspicionMult - 2 ? 0 : suspicionMult - 2;
    const begun = { startMs: this.#nowMs, wanted, from: new Set([news.from]) };
    this.#suspected.set(news.subject, begun);
    this.#judgeLater(news.subject, begun);
  }

  #judgeLater(subject: number, suspected: Suspected): void {
    const { suspicionMult, suspicionMaxMult, probeIntervalMs } = this.#config;
    const minMs = suspicionMult * Math.max(1, Math.log10(Math.max(1, this.#count))) * probeIntervalMs;
    const { wanted } = suspected;
    const part = wanted === 0 ? 1 : Math.log(suspected.from.size) / Math.log(wanted + 1);
    const maxMs = suspicionMaxMult * minMs;
    const timeoutMs = Math.max(minMs, maxMs - part * (maxMs - minMs));
    this.#after(suspected.startMs + timeoutMs - this.#nowMs, () => {
      if (this.#suspected.get(subject) !== suspected) return;
      this.#hear({ kind: 'dead', subject, incarnation: this.#of(subject).incarnation, from: this.#index });
    });
  }

  #set(news: News, state: MemberState): void {
    if (state !== 'suspect') this.#suspected.delete(news.subject);
    this.#known.set(news.subject, { state, incarnation: news.incarnation, changedAtMs: this.#nowMs });
    this.#broadcast(news);
    this.onChange(news.subject, this.#nowMs);
  }

  #broadcast(news: News): void {
    this.#queue.set(String(news.subject), { news, sends: 0 });
  }

  #gossip(): void {
    const { gossipIntervalMs, gossipNodes } = this.#config;
    this.#after(gossipIntervalMs, () => this.#gossip());
    const recent = this.#nowMs - this.#config.gossipToDeadMs;
    for (const target of this.#some(gossipNodes, this.#index, recent)) {
      const news = this.#take();
      if (news.length > 0) this.#transmit(target, { kind: 'gossip', news });
    }
  }

  #take(): News[] {
    const limit = this.#config.retransmitMult * Math.ceil(Math.log10(this.#count + 1));
    const first = [...this.#queue].toSorted(([, a], [, b]) => a.sends - b.sends).slice(0, NEWS_PER_PACKET);
    for (const [key, entry] of first) {
      entry.sends += 1;
      if (entry.sends >= limit) this.#queue.delete(key);
    }
    return first.map(([, { news }]) => news);
  }

  #send(to: number, packet: Packet, stream = false): void {
    const known = this.#known.get(to);
    const news = this.#take();
    if (known?.state === 'suspect') {
      news.push({ kind: 'suspect', subject: to, incarnation: known.incarnation, from: this.#index });
    }
    this.#transmit(to, { ...packet, news }, stream);
  }

  #transmit(to: number, packet: Packet, stream = false): void {
    this.#swarm.send(this.#index, to, packet, PACKET_BYTES + NEWS_BYTES * packet.news.length, stream);
  }

  #next(): number | undefined {
    for (let tries = 0; tries < this.#count; tries++) {
      if (this.#order.length === 0) {
        this.#order = this.#swarm.random.shuffle(Array.from({ length: this.#count }, (_, index) => index));
      }
      const target = this.#order.pop();
      if (target !== undefined && target !== this.#index && this.sees(target) !== 'dead') return target;
    }
    return undefined;
  }

  /** Different members at random that live, or died after `diedAfterMs`. */
  #some(count: number, except: number, diedAfterMs = Number.POSITIVE_INFINITY): number[] {
    const found = new Set<number>();
    for (let tries = 0; tries < Math.min(3 * this.#count + 8, 200) && found.size < count; tries++) {
      const index = this.#swarm.random.int(0, this.#count - 1);
      const known = this.#known.get(index);
      const told = known?.state !== 'dead' || known.changedAtMs > diedAfterMs;
      if (index !== this.#index && index !== except && told) found.add(index);
    }
    return [...found];
  }

  #of(subject: number): Known {
    return this.#known.get(subject) ?? { state: 'alive', incarnation: 0, changedAtMs: 0 };
  }

  #after(delayMs: number, run: () => void): void {
    this.#timers.push({ atMs: this.#nowMs + Math.max(0, delayMs), run });
  }
}
