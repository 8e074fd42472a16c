import type { Random } from '../../../proto/runtime/random.ts';

const MOST_RECEIVERS = 20_000;
const SESSIONS = 2 ** 48;

/** Numbers what is sent, for each receiver from 1. Above 20,000 receivers all begin anew in a new session. */
export class SendCounters {
  readonly #random: Random;
  readonly #counters = new Map<string, number>();
  #session: number;

  constructor(random: Random) {
    this.#random = random;
    this.#session = Math.floor(random() * SESSIONS);
  }

  next(receiver: string): { session: number; counter: number } {
    if (this.#counters.size >= MOST_RECEIVERS && !this.#counters.has(receiver)) {
      this.#counters.clear();
      this.#session = Math.floor(this.#random() * SESSIONS);
    }
    const counter = (this.#counters.get(receiver) ?? 0) + 1;
    this.#counters.set(receiver, counter);
    return { session: this.#session, counter };
  }
}
