import type { MemberState } from '../../../worker/gossip/members.ts';
import type { ModelNode, ModelSwarm } from './model-swarm.ts';

/**
 * A model of hashicorp/memberlist with its LAN defaults, for comparison: the same model network, figures and formulas of its
 * config.go, util.go, suspicion.go, state.go (NETWORK.md section 3.2). Left out: push/pull, which plays no part in the times compared.
 */
export const MEMBERLIST_LAN = {
  probeIntervalMs: 1_000,
  probeTimeoutMs: 500,
  indirectChecks: 3,
  gossipIntervalMs: 200,
  gossipNodes: 3,
  retransmitMult: 4,
  suspicionMult: 4,
  suspicionMaxMult: 6,
  awarenessMax: 8,
};

type News = { kind: 'alive' | 'suspect' | 'dead'; subject: number; incarnation: number; from: number };
type Packet =
  | { kind: 'ping'; sequence: number; news: News[] }
  | { kind: 'ack'; sequence: number; news: News[] }
  | { kind: 'indirect'; sequence: number; target: number; news: News[] }
  | { kind: 'nack'; sequence: number; news: News[] }
  | { kind: 'gossip'; news: News[] };

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

  constructor(index: number, count: number, swarm: ModelSwarm<MemberlistNode>) {
    this.#index = index;
    this.#count = count;
    this.#swarm = swarm;
    this.#nowMs = swarm.nowMs;
    const { probeIntervalMs, gossipIntervalMs } = MEMBERLIST_LAN;
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
    for (const news of packet.news) this.#hear(news);
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
      case 'gossip':
    }
  }

  #probe(): void {
    const { probeIntervalMs, probeTimeoutMs, indirectChecks } = MEMBERLIST_LAN;
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
      this.#score = Math.min(MEMBERLIST_LAN.awarenessMax - 1, this.#score + missing);
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
    this.#after(MEMBERLIST_LAN.probeTimeoutMs * 0.8, () => {
      this.#acks.delete(own);
      if (!acked) this.#send(origin, { kind: 'nack', sequence, news: [] });
    });
  }

  #hear(news: News): void {
    const { subject, incarnation, kind } = news;
    if (subject === this.#index) {
      if (kind === 'alive' || incarnation < this.#incarnation) return;
      this.#incarnation = incarnation + 1;
      this.#score = Math.min(MEMBERLIST_LAN.awarenessMax - 1, this.#score + 1);
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
    const { suspicionMult } = MEMBERLIST_LAN;
    const wanted = this.#count - 2 < suspicionMult - 2 ? 0 : suspicionMult - 2;
    const begun = { startMs: this.#nowMs, wanted, from: new Set([news.from]) };
    this.#suspected.set(news.subject, begun);
    this.#judgeLater(news.subject, begun);
  }

  #judgeLater(subject: number, suspected: Suspected): void {
    const { suspicionMult, suspicionMaxMult, probeIntervalMs } = MEMBERLIST_LAN;
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
    const { gossipIntervalMs, gossipNodes } = MEMBERLIST_LAN;
    this.#after(gossipIntervalMs, () => this.#gossip());
    for (const target of this.#some(gossipNodes, this.#index)) {
      const news = this.#take();
      if (news.length > 0) this.#transmit(target, { kind: 'gossip', news });
    }
  }

  #take(): News[] {
    const limit = MEMBERLIST_LAN.retransmitMult * Math.ceil(Math.log10(this.#count + 1));
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

  #some(count: number, except: number): number[] {
    const found = new Set<number>();
    for (let tries = 0; tries < 3 * this.#count + 8 && found.size < count; tries++) {
      const index = this.#swarm.random.int(0, this.#count - 1);
      if (index !== this.#index && index !== except && this.sees(index) !== 'dead') found.add(index);
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
