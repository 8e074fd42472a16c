interface Scheduled {
  at: number;
  order: number;
  run: () => void;
}

/** Virtual time: what is to happen, earliest first; at the same moment in the order it was scheduled. A binary heap. */
export class EventQueue {
  readonly #heap: Scheduled[] = [];
  #order = 0;
  #now = 0;

  get now(): number {
    return this.#now;
  }

  schedule(delay: number, run: () => void): void {
    const event = { at: this.#now + Math.max(0, delay), order: this.#order++, run };
    const heap = this.#heap;
    let hole = heap.push(event) - 1;
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !isBefore(event, above)) break;
      heap[hole] = above;
      hole = parent;
    }
    heap[hole] = event;
  }

  /** Runs the next event. @returns false when there is none. */
  step(): boolean {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return false;
    if (this.#heap.length > 0) this.#sink(last);
    this.#now = first.at;
    first.run();
    return true;
  }

  /** Puts an event where the first was, and lower until nothing below it is earlier. */
  #sink(event: Scheduled): void {
    const heap = this.#heap;
    let hole = 0;
    for (;;) {
      const left = 2 * hole + 1;
      const [one, other] = [heap[left], heap[left + 1]];
      if (one === undefined) break;
      const earlier = other !== undefined && isBefore(other, one) ? other : one;
      if (!isBefore(earlier, event)) break;
      heap[hole] = earlier;
      hole = earlier === one ? left : left + 1;
    }
    heap[hole] = event;
  }
}

function isBefore(a: Scheduled, b: Scheduled): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}
