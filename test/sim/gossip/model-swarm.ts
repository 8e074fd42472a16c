import { EventQueue } from '../raft/event-queue.ts';
import { SeededRandom } from '../raft/seeded-random.ts';

/** One node of any protocol in a simulated swarm. */
export interface ModelNode {
  receive(from: number, content: unknown, nowMs: number): void;
  /** Its timer. */
  wake(nowMs: number): void;
  /** When it wants to be woken next; infinite: not before it has received something. */
  nextAtMs(): number;
}

export interface ModelNetworkOptions {
  seed: number;
  /** Probability that a datagram is lost; a stream is delayed instead. */
  loss?: number;
  /** Probability that a datagram arrives twice. */
  duplicate?: number;
  /** Probability that a datagram takes up to 3 s more, and so comes after later ones. */
  late?: number;
  /** One way, at least. Default 0.3 ms. */
  minDelayMs?: number;
  /** Mean of the exponential part above the least. Default 0.5 ms. */
  meanJitterMs?: number;
}

/** Ethernet, IPv4 and UDP headers. */
const HEADER_BYTES = 42;
const STREAM_HANDSHAKE_BYTES = 7 * 54;
/** What a standing process finds in its socket when it goes on. */
const SOCKET_BUFFER_PACKETS = 2_000;
const RETRANSMIT_MS = 200;
const LATE_MS = 3_000;

interface Slot<N> {
  node: N;
  up: boolean;
  frozen: boolean;
  side: number;
  /** Added to every input, at random up to this: a starved processor. */
  slowMs: number;
  waiting: (() => void)[];
  wakeAtMs: number;
  unwell: boolean;
  sentBytes: number;
  sentPackets: number;
}

/** Nodes and what lies between them, in virtual time, all chance from one seed. */
export class ModelSwarm<N extends ModelNode> {
  readonly random: SeededRandom;
  readonly options: ModelNetworkOptions;
  readonly #queue = new EventQueue();
  readonly #slots: Slot<N>[] = [];
  /** One-way cuts, as "from to". */
  readonly #cuts = new Set<string>();

  constructor(options: ModelNetworkOptions) {
    this.options = { ...options };
    this.random = new SeededRandom(options.seed);
  }

  get nowMs(): number {
    return this.#queue.now;
  }

  get size(): number {
    return this.#slots.length;
  }

  get nodes(): N[] {
    return this.#slots.map((slot) => slot.node);
  }

  node(index: number): N {
    return this.#slot(index).node;
  }

  add(node: N): number {
    const slot = { node, up: true, frozen: false, side: 0, slowMs: 0, waiting: [], unwell: false };
    this.#slots.push({ ...slot, wakeAtMs: Number.POSITIVE_INFINITY, sentBytes: 0, sentPackets: 0 });
    this.#arm(this.#slots.length - 1);
    return this.#slots.length - 1;
  }

  /** Replaces a node that was down or restarts it without its memory. */
  replace(index: number, node: N): void {
    const slot = this.#slot(index);
    Object.assign(slot, { node, up: true, frozen: false, waiting: [], wakeAtMs: Number.POSITIVE_INFINITY });
    this.#arm(index);
  }

  kill(index: number): void {
    this.#slot(index).up = false;
  }

  isUp(index: number): boolean {
    return this.#slot(index).up;
  }

  freeze(index: number): void {
    Object.assign(this.#slot(index), { frozen: true, unwell: true });
  }

  /** What fell due meanwhile happens now, timers first, as an event loop does it. */
  thaw(index: number): void {
    const slot = this.#slot(index);
    if (!slot.frozen) return;
    slot.frozen = false;
    this.#wake(index);
    for (const input of slot.waiting.splice(0)) input();
  }

  slow(index: number, ms: number): void {
    const slot = this.#slot(index);
    slot.slowMs = ms;
    slot.unwell ||= ms > 0;
  }

  /** Whether it ever stood still or was slow. */
  hasBeenUnwell(index: number): boolean {
    return this.#slot(index).unwell;
  }

  /** Nodes hear each other when they are on the same side. */
  setSide(index: number, side: number): void {
    this.#slot(index).side = side;
  }

  /** From now on nothing gets from one to the other; the way back is open. */
  cut(from: number, to: number): void {
    this.#cuts.add(`${from} ${to}`);
  }

  /** All on one side, and no cuts. */
  mend(): void {
    this.#cuts.clear();
    for (const slot of this.#slots) slot.side = 0;
  }

  send(from: number, to: number, content: unknown, bytes: number, stream: boolean): void {
    const sender = this.#slot(from);
    const packets = stream ? 3 + Math.ceil(bytes / 1400) : 1;
    sender.sentPackets += packets;
    sender.sentBytes += bytes + packets * HEADER_BYTES + (stream ? STREAM_HANDSHAKE_BYTES : 0);
    const { loss = 0, duplicate = 0, late = 0 } = this.options;
    if (stream) return this.#fly(from, to, content, this.#streamDelayMs(packets, loss));
    if (this.random.chance(loss)) return;
    const moreMs = late > 0 && this.random.chance(late) ? this.random.next() * LATE_MS : 0;
    this.#fly(from, to, content, this.#delayMs() + moreMs);
    if (duplicate > 0 && this.random.chance(duplicate))
      this.#fly(from, to, content, this.#delayMs() + this.random.next() * 500);
  }

  /** Lets a node act and then notices when it wants to be woken. */
  act(index: number, action: (node: N, nowMs: number) => void): void {
    action(this.node(index), this.nowMs);
    this.#arm(index);
  }

  schedule(delayMs: number, run: () => void): void {
    this.#queue.schedule(delayMs, run);
  }

  run(ms: number): void {
    let open = true;
    this.#queue.schedule(ms, () => {
      open = false;
    });
    while (open) this.#queue.step();
  }

  /** Runs until `done`, looked at every `everyMs`. @returns the time it took, or undefined when it took longer than `limitMs`. */
  runUntil(done: () => boolean, limitMs: number, everyMs = 1): number | undefined {
    const start = this.nowMs;
    while (!done()) {
      if (this.nowMs - start >= limitMs) return undefined;
      this.run(everyMs);
    }
    return this.nowMs - start;
  }

  /** Sent since the last call, by all. */
  takeTraffic(): { bytes: number; packets: number } {
    const total = { bytes: 0, packets: 0 };
    for (const slot of this.#slots) {
      total.bytes += slot.sentBytes;
      total.packets += slot.sentPackets;
      slot.sentBytes = 0;
      slot.sentPackets = 0;
    }
    return total;
  }

  #fly(from: number, to: number, content: unknown, delayMs: number): void {
    this.#queue.schedule(delayMs, () => {
      const [sender, receiver] = [this.#slot(from), this.#slot(to)];
      if (sender.side !== receiver.side || !receiver.up) return;
      if (this.#cuts.size > 0 && this.#cuts.has(`${from} ${to}`)) return;
      const { node } = receiver;
      const input = (): void => {
        if (receiver.node !== node || !receiver.up) return;
        node.receive(from, content, this.nowMs);
        this.#arm(to);
      };
      if (receiver.frozen) {
        if (receiver.waiting.length < SOCKET_BUFFER_PACKETS) receiver.waiting.push(input);
      } else if (receiver.slowMs > 0) this.#queue.schedule(this.random.next() * receiver.slowMs, input);
      else input();
    });
  }

  #wake(index: number): void {
    const slot = this.#slot(index);
    slot.wakeAtMs = Number.POSITIVE_INFINITY;
    if (slot.frozen || !slot.up) return;
    slot.node.wake(this.nowMs);
    this.#arm(index);
  }

  #arm(index: number): void {
    const slot = this.#slot(index);
    const { node } = slot;
    const at = node.nextAtMs();
    if (at >= slot.wakeAtMs || at === Number.POSITIVE_INFINITY) return;
    slot.wakeAtMs = at;
    const late = slot.slowMs > 0 ? this.random.next() * slot.slowMs : 0;
    this.#queue.schedule(at - this.nowMs + late, () => {
      if (slot.node === node && slot.wakeAtMs === at) this.#wake(index);
    });
  }

  #delayMs(): number {
    const { minDelayMs = 0.3, meanJitterMs = 0.5 } = this.options;
    return minDelayMs - meanJitterMs * Math.log(1 - this.random.next());
  }

  /** A handshake, the data, and a retransmission for each packet that is lost on the way (RFC 6298: at least 200 ms in Linux, doubling). */
  #streamDelayMs(packets: number, loss: number): number {
    let delayMs = 3 * this.#delayMs();
    let backoffMs = RETRANSMIT_MS;
    for (let at = 0; at < Math.min(packets, 10); at++) {
      while (this.random.chance(loss)) {
        delayMs += backoffMs;
        backoffMs *= 2;
      }
    }
    return delayMs;
  }

  #slot(index: number): Slot<N> {
    const slot = this.#slots[index];
    if (slot === undefined) throw new RangeError(`no node ${index}`);
    return slot;
  }
}
