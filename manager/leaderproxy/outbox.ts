/** A part of a long message of its own; short ones share one. */
const MAX_PART_BYTES = 512 * 1024;

/** The end of a stream that is written to. */
export interface Sink<Item> {
  /** @returns false when nothing more should be given before `Outbox.drained`. */
  write(items: Item[]): boolean;
}

/**
 * Gathers what is to be sent in one turn of the event loop: a message of a gRPC stream costs much the same with one item as with
 * thirty. Holds back while the peer does not take more; how much that is, its owner bounds.
 */
export class Outbox<Item> {
  readonly #sink: Sink<Item>;
  #queue: { item: Item; bytes: number }[] = [];
  #isScheduled = false;
  #isBlocked = false;

  constructor(sink: Sink<Item>) {
    this.#sink = sink;
  }

  add(item: Item, bytes: number): void {
    this.#queue.push({ item, bytes });
    this.#schedule();
  }

  /** The peer takes more. */
  drained(): void {
    this.#isBlocked = false;
    this.#schedule();
  }

  /** What has not been sent yet never will be. */
  close(): void {
    this.#queue = [];
    this.#isBlocked = true;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#isBlocked) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.#queue.length > 0 && !this.#isBlocked) {
      let bytes = 0;
      let count = 0;
      for (const queued of this.#queue) {
        bytes += queued.bytes;
        if (count > 0 && bytes > MAX_PART_BYTES) break;
        count++;
      }
      const items = this.#queue.splice(0, count).map(({ item }) => item);
      this.#isBlocked = !this.#sink.write(items);
    }
  }
}

/** Cuts what is too long for one message; at least one part, if an empty one. */
export function* partsOf(bytes: Uint8Array): Generator<{ part: Uint8Array; last: boolean }> {
  let at = 0;
  do {
    const part = bytes.subarray(at, at + MAX_PART_BYTES);
    at += MAX_PART_BYTES;
    yield { part, last: at >= bytes.length };
  } while (at < bytes.length);
}
