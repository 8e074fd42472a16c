/**
 * What has been missing for a while: a thing that is not where it should be counts as gone only when it is still missing some time
 * later, since it may be just being made, or the one who was asked may be just beginning. Not durable: after a restart the wait begins anew.
 */
export class Absences {
  readonly #confirmMs: number;
  /** Name to when it was first found missing, on the monotonic clock. */
  #since = new Map<string, number>();

  /** @param confirmMs milliseconds after which the missing is gone. */
  constructor(confirmMs: number) {
    this.#confirmMs = confirmMs;
  }

  /** How many are missing and not yet gone. */
  get size(): number {
    return this.#since.size;
  }

  /** Takes note of all that is missing now, and forgets what is not. @returns which of them are gone; they are not kept. */
  gone(missing: Iterable<string>, now: number): string[] {
    const since = new Map<string, number>();
    const gone: string[] = [];
    for (const name of missing) {
      const first = this.#since.get(name) ?? now;
      if (now - first < this.#confirmMs) since.set(name, first);
      else gone.push(name);
    }
    this.#since = since;
    return gone;
  }
}
