const WINDOW = 256;
const MOST_SESSIONS = 20_000;

interface Session {
  highest: number;
  /** Bit of counter modulo WINDOW. */
  seen: Uint32Array;
}

/**
 * Tells each number of a session from its repetition (RFC 4303 3.4.3, with a window of 256): what is older than the window counts as
 * repeated. Bounded: above 20,000 sessions the one that began first is forgotten; a repetition from it is then taken for new,
 * which is harmless, since the cores ignore what they know.
 */
export class ReplayWindow {
  readonly #sessions = new Map<string, Session>();

  get size(): number {
    return this.#sessions.size;
  }

  /** @returns false when this number has come before. */
  accept(session: string, counter: number): boolean {
    const known = this.#sessions.get(session);
    if (known === undefined) {
      this.#sessions.set(session, begun(counter));
      const [oldest] = this.#sessions.keys();
      if (this.#sessions.size > MOST_SESSIONS && oldest !== undefined) this.#sessions.delete(oldest);
      return true;
    }
    if (counter > known.highest) {
      const from = Math.max(known.highest + 1, counter - WINDOW + 1);
      for (let skipped = from; skipped < counter; skipped++) mark(known.seen, skipped, false);
      mark(known.seen, counter, true);
      known.highest = counter;
      return true;
    }
    if (counter <= known.highest - WINDOW || isMarked(known.seen, counter)) return false;
    mark(known.seen, counter, true);
    return true;
  }
}

function begun(counter: number): Session {
  const session = { highest: counter, seen: new Uint32Array(WINDOW / 32) };
  mark(session.seen, counter, true);
  return session;
}

function mark(seen: Uint32Array, counter: number, on: boolean): void {
  const bit = counter % WINDOW;
  const word = seen[bit >>> 5] ?? 0;
  seen[bit >>> 5] = on ? word | (1 << (bit & 31)) : word & ~(1 << (bit & 31));
}

function isMarked(seen: Uint32Array, counter: number): boolean {
  const bit = counter % WINDOW;
  return (((seen[bit >>> 5] ?? 0) >>> (bit & 31)) & 1) === 1;
}
