import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';

/** Who asked, and under which ID. */
export interface ForwardedClient {
  id: number;
  address: string;
  port: number;
}

/** Docker's resolver tries three servers for 4 s each. */
const EXPIRY_MS = 15_000;
const MOST = 4_096;

/** Queries passed on over one socket, by the ID that they were given for it. IDs go round, so an old answer finds nobody. */
export class ForwardTable {
  readonly #clock: Clock;
  readonly #open = new Map<number, ForwardedClient & { untilMs: number }>();
  #next = 0;
  #cancel: CancelTimer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @returns undefined when too many are open. */
  add(client: ForwardedClient): number | undefined {
    if (this.#open.size >= MOST) this.#expire();
    if (this.#open.size >= MOST) return undefined;
    do this.#next = (this.#next + 1) % 0x10000;
    while (this.#open.has(this.#next));
    this.#open.set(this.#next, { ...client, untilMs: this.#clock.monotonic() + EXPIRY_MS });
    this.#cancel ??= this.#clock.after(EXPIRY_MS, () => this.#expire());
    return this.#next;
  }

  take(id: number): ForwardedClient | undefined {
    const client = this.#open.get(id);
    this.#open.delete(id);
    return client;
  }

  clear(): void {
    this.#cancel?.();
    this.#open.clear();
  }

  #expire(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    const now = this.#clock.monotonic();
    for (const [id, { untilMs }] of this.#open) if (untilMs <= now) this.#open.delete(id);
    if (this.#open.size > 0) this.#cancel = this.#clock.after(EXPIRY_MS, () => this.#expire());
  }
}
