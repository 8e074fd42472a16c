/** A request is asked about for 8 s at most after it was made (cli/daemon/leader-route.ts): this holds 4,000 a second for as long. */
const LIMIT = 32_768;

/**
 * The latest requests whose change is committed, oldest first, and the object that each created ('' for none). Part of the
 * replicated state: whoever leads next can tell what became of a request that the last leader did not answer.
 */
export class MadeRequests {
  readonly #created = new Map<string, string>();

  constructor(entries: Iterable<readonly [string, string]> = []) {
    for (const [request, id] of entries) this.add(request, id);
  }

  /** The first change of a request counts: what follows depends on it. */
  add(request: string, createdId: string): void {
    if (this.#created.has(request)) return;
    this.#created.set(request, createdId);
    if (this.#created.size <= LIMIT) return;
    for (const oldest of this.#created.keys()) {
      this.#created.delete(oldest);
      return;
    }
  }

  /** ID of what it created, '' for nothing; undefined when it was not made, or long ago. */
  get(request: string): string | undefined {
    return this.#created.get(request);
  }

  entries(): [string, string][] {
    return [...this.#created];
  }
}
