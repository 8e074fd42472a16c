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
    let at = this.#heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(at, parent)) break;
      this.#swap(at, parent);
      at = parent;
    }
  }

  /** Runs the next event. @returns false when there is none. */
  step(): boolean {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (first === undefined || last === undefined) return false;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink();
    }
    this.#now = first.at;
    first.run();
    return true;
  }

  #sink(): void {
    for (let at = 0; ; ) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = at;
      if (left < this.#heap.length && this.#isBefore(left, least)) least = left;
      if (right < this.#heap.length && this.#isBefore(right, least)) least = right;
      if (least === at) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #isBefore(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return false;
    return first.at < second.at || (first.at === second.at && first.order < second.order);
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return;
    this.#heap[a] = second;
    this.#heap[b] = first;
  }
}
