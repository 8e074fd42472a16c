import type { ModelNode, ModelSwarm } from './model-swarm.ts';

/**
 * A model of how moby's networkdb spreads a table event on one network, for comparison (NETWORK.md section 3.1): every 200 ms three
 * random peers of the network get one packet of up to 1400 bytes, filled with what was sent least; each event in as many ticks as the
 * retransmit limit says; every 30 s a bulk sync with one random peer.
 */
export interface NetworkdbConfig {
  gossipMs: number;
  gossipNodes: number;
  /** Ticks in which a node sends one event, in a network of so many. */
  ticks: (count: number) => number;
}

export const NETWORKDB: NetworkdbConfig = {
  gossipMs: 200,
  gossipNodes: 3,
  ticks: (count) => 4 * Math.ceil(Math.log10(count + 1)),
};
const BULK_SYNC_MS = 30_000;
const PACKET_BYTES = 1_400;

export interface TableEvent {
  id: number;
  bytes: number;
}
type Packet = { kind: 'gossip'; events: TableEvent[] } | { kind: 'bulk'; events: TableEvent[]; reply: boolean };

export class NetworkdbNode implements ModelNode {
  readonly #config: NetworkdbConfig;
  readonly known = new Map<number, TableEvent>();
  readonly #index: number;
  readonly #count: number;
  readonly #swarm: ModelSwarm<NetworkdbNode>;
  readonly #queue = new Map<number, { event: TableEvent; ticks: number }>();
  #gossipAtMs: number;
  #bulkAtMs: number;
  onLearn: (id: number, nowMs: number) => void = () => undefined;

  constructor(index: number, count: number, swarm: ModelSwarm<NetworkdbNode>, config = NETWORKDB) {
    this.#index = index;
    this.#config = config;
    this.#count = count;
    this.#swarm = swarm;
    this.#gossipAtMs = swarm.nowMs + swarm.random.next() * config.gossipMs;
    this.#bulkAtMs = swarm.nowMs + swarm.random.next() * BULK_SYNC_MS;
  }

  publish(event: TableEvent, nowMs: number): void {
    this.#learn(event, nowMs);
  }

  nextAtMs(): number {
    return Math.min(this.#gossipAtMs, this.#bulkAtMs);
  }

  wake(nowMs: number): void {
    if (nowMs >= this.#gossipAtMs) this.#gossip();
    if (nowMs >= this.#bulkAtMs) {
      this.#bulkAtMs += BULK_SYNC_MS;
      const [peer] = this.#peers(1);
      if (peer !== undefined) this.#bulk(peer, false);
    }
  }

  receive(from: number, content: unknown, nowMs: number): void {
    const packet = content as Packet;
    for (const event of packet.events) this.#learn(event, nowMs);
    if (packet.kind === 'bulk' && !packet.reply) this.#bulk(from, true);
  }

  #learn(event: TableEvent, nowMs: number): void {
    if (this.known.has(event.id)) return;
    this.known.set(event.id, event);
    this.#queue.set(event.id, { event, ticks: 0 });
    this.onLearn(event.id, nowMs);
  }

  #gossip(): void {
    this.#gossipAtMs += this.#config.gossipMs;
    const limit = this.#config.ticks(this.#count);
    const events: TableEvent[] = [];
    let room = PACKET_BYTES - 60;
    for (const entry of [...this.#queue.values()].toSorted((a, b) => a.ticks - b.ticks)) {
      if (entry.event.bytes > room) break;
      room -= entry.event.bytes;
      events.push(entry.event);
      entry.ticks += 1;
      if (entry.ticks >= limit) this.#queue.delete(entry.event.id);
    }
    if (events.length === 0) return;
    const bytes = PACKET_BYTES - room;
    for (const peer of this.#peers(this.#config.gossipNodes))
      this.#swarm.send(this.#index, peer, { kind: 'gossip', events }, bytes, false);
  }

  #bulk(to: number, reply: boolean): void {
    const events = [...this.known.values()];
    const bytes = events.reduce((sum, event) => sum + event.bytes, 100);
    this.#swarm.send(this.#index, to, { kind: 'bulk', events, reply }, bytes, true);
  }

  #peers(count: number): number[] {
    const found = new Set<number>();
    while (found.size < Math.min(count, this.#count - 1)) {
      const index = this.#swarm.random.int(0, this.#count - 1);
      if (index !== this.#index) found.add(index);
    }
    return [...found];
  }
}
