interface Waiter {
  resolve: () => void;
  reject: (error: Error) => void;
}

/** Read barriers on their way: first a quorum must confirm the leader, then the state machine must have come as far. */
export class PendingReads {
  readonly #waiting = new Map<number, Waiter>();
  #confirmed: { request: number; index: number }[] = [];

  add(request: number, waiter: Waiter): void {
    this.#waiting.set(request, waiter);
  }

  /** What the core answers (Ready.reads). */
  confirm(reads: readonly { request: number; index: number }[]): void {
    this.#confirmed.push(...reads);
  }

  /** The state machine holds everything up to `index`. */
  applied(index: number): void {
    if (this.#confirmed.length === 0) return;
    const ready = this.#confirmed.filter((read) => read.index <= index);
    this.#confirmed = this.#confirmed.filter((read) => read.index > index);
    for (const { request } of ready) {
      this.#waiting.get(request)?.resolve();
      this.#waiting.delete(request);
    }
  }

  abandon(error: Error): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    this.#confirmed = [];
  }
}
