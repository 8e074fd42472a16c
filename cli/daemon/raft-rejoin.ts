import type { Leadership } from '../../manager/raft/raft-node.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';

/** Longer than an election takes; the first delay is also how long a manager has to be without a leader. */
const ASK: BackoffOptions = { minMs: 3_000, maxMs: 15_000, factor: 1.5, jitter: 0.2 };

export interface RaftRejoinModules {
  raft: { readonly leadership: Leadership; onLeadership(listener: (leadership: Leadership) => void): () => void };
  /** Asks the managers once to be (still) one of them, under its present Raft ID. */
  join: (signal: AbortSignal) => Promise<void>;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * A manager that was taken out of Raft may be meant to be one again before it has noticed: nobody sends it anything then, and by
 * itself it cannot tell that from a lost majority. So whoever is without a leader for long asks to be taken in. Under the same ID that
 * is safe, since its log and its vote are still there.
 */
export class RaftRejoin implements Startable {
  readonly #modules: RaftRejoinModules;
  #abort = new AbortController();
  #unsubscribe: (() => void) | undefined;
  #asking: Promise<void> | undefined;

  constructor(modules: RaftRejoinModules) {
    this.#modules = modules;
  }

  async start(): Promise<void> {
    this.#unsubscribe = this.#modules.raft.onLeadership(() => this.#ask());
    this.#ask();
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#abort.abort(new Error('the manager stops'));
    await this.#asking;
  }

  #ask(): void {
    if (this.#asking !== undefined || !this.#isWithoutLeader()) return;
    this.#asking = this.#untilThereIsOne().finally(() => {
      this.#asking = undefined;
      // It may have gone again in the very moment.
      if (!this.#abort.signal.aborted) this.#ask();
    });
  }

  async #untilThereIsOne(): Promise<void> {
    const { join, clock, random, log } = this.#modules;
    const { signal } = this.#abort;
    for (let failures = 1; ; failures++) {
      await sleep(clock, backoffDelayMs(ASK, failures, random()), signal).catch(() => undefined);
      if (signal.aborted || !this.#isWithoutLeader()) return;
      try {
        await join(signal);
        log.info({}, 'without a leader: the managers have this one among them');
      } catch (error) {
        log.debug({ error: messageOf(error), failures }, 'without a leader, and the managers do not take this one in');
      }
    }
  }

  #isWithoutLeader(): boolean {
    const { leader, isLeader } = this.#modules.raft.leadership;
    return leader === 0 && !isLeader;
  }
}
