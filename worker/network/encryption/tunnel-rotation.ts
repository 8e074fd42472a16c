import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { messageOf } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';

/** Not all hosts at once, since each of them may lose packets for a moment. */
const SPREAD_MS = 3_600_000;

export interface TunnelRotationModules {
  /** Makes the next key and has the managers told of it. */
  rotate(): Promise<void>;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * When the tunnel's key is replaced: within an hour after the swarm's keys, which are every 12 h. The first that is heard of them is
 * no rotation: a restart in between leaves it to the next time. What came while one was waited for is the same one.
 */
export class TunnelRotation {
  readonly #modules: TunnelRotationModules;
  #newestTag: number | undefined;
  #cancel: CancelTimer | undefined;

  constructor(modules: TunnelRotationModules) {
    this.#modules = modules;
  }

  /** The swarm's newest key, as a manager has just told it. */
  learn(newestTag: number): void {
    const isNewer = this.#newestTag !== undefined && newestTag > this.#newestTag;
    this.#newestTag = Math.max(newestTag, this.#newestTag ?? newestTag);
    if (!isNewer || this.#cancel !== undefined) return;
    const { clock, random, log } = this.#modules;
    this.#cancel = clock.after(random() * SPREAD_MS, () => {
      this.#cancel = undefined;
      this.#modules.rotate().catch((error: unknown) => {
        log.warn({ error: messageOf(error) }, 'tunnel key stays until the next time');
      });
    });
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
  }
}
