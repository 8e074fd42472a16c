/** A priority queue whose least element may grow: `sink` puts it in its new place. */
export class BinaryHeap<T> {
  readonly #items: T[];
  readonly #less: (a: T, b: T) => boolean;

  /** Takes the array over; costs its length. */
  constructor(items: T[], less: (a: T, b: T) => boolean) {
    this.#items = items;
    this.#less = less;
    for (let at = (items.length >> 1) - 1; at >= 0; at--) this.#siftDown(at);
  }

  get size(): number {
    return this.#items.length;
  }

  peek(): T | undefined {
    return this.#items[0];
  }

  /** To be called after the least element grew. */
  sink(): void {
    this.#siftDown(0);
  }

  /** Removes the least element. */
  pop(): void {
    const last = this.#items.pop();
    if (last === undefined || this.#items.length === 0) return;
    this.#items[0] = last;
    this.#siftDown(0);
  }

  #siftDown(from: number): void {
    const items = this.#items;
    for (let at = from; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) {
        if (this.#lessAt(child, least)) least = child;
      }
      if (least === at) return;
      [items[at], items[least]] = [items[least] as T, items[at] as T];
      at = least;
    }
  }

  #lessAt(a: number, b: number): boolean {
    return a < this.#items.length && this.#less(this.#items[a] as T, this.#items[b] as T);
  }
}
