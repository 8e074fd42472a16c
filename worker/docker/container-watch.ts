import type Docker from 'dockerode';
import { type BackoffOptions, backoffDelayMs } from '../../proto/runtime/backoff.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { isTemporary, WaggleError } from '../../proto/runtime/errors.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { Engine } from './engine.ts';
import type { EngineEvents } from './events.ts';
import { Wake } from './wake.ts';

export interface ContainerWatchOptions {
  /** A container is looked at this often even if no event says so. */
  pollMs: number;
  /** Between looks while the engine is away. */
  backoff: BackoffOptions;
}

export const DEFAULT_CONTAINER_WATCH_OPTIONS: ContainerWatchOptions = {
  pollMs: 30_000,
  backoff: { minMs: 100, maxMs: 2_000, factor: 2, jitter: 0.3 },
};

export interface ContainerWatchModules {
  engine: Engine;
  events: EngineEvents;
  clock: Clock;
  random: Random;
}

/** Events after which a container is what it was before. */
const UNCHANGING = /^(create|attach|detach|resize|top)$|^exec_/;

/**
 * Looks at a container after each of its events. From its making to `close` no event is missed, so that a look holds
 * until the next event: whoever asks again in between is answered without the engine.
 */
export class ContainerWatch {
  readonly containerId: string;
  readonly #options: ContainerWatchOptions;
  readonly #modules: ContainerWatchModules;
  readonly #wake = new Wake();
  readonly #unsubscribe: () => void;
  #changed = true;
  #startTold = false;
  #last: Docker.ContainerInspectInfo | undefined;

  constructor(containerId: string, options: ContainerWatchOptions, modules: ContainerWatchModules) {
    this.containerId = containerId;
    this.#options = options;
    this.#modules = modules;
    this.#unsubscribe = modules.events.subscribe({
      event: ({ id, action }) => {
        if (id !== containerId || UNCHANGING.test(action)) return;
        // Of no news to whoever looks, or has looked, after the engine has answered the start.
        if (action === 'start') this.#startTold = true;
        else this.#changed = true;
        this.#wake.ring();
      },
      resync: () => {
        this.#changed = true;
        this.#wake.ring();
      },
    });
  }

  close(): void {
    this.#unsubscribe();
    this.#changed = true;
  }

  /** The container as of the last event. @throws WaggleError as Engine.call. */
  async look(signal: AbortSignal): Promise<Docker.ContainerInspectInfo> {
    if (this.#last !== undefined && this.#holds(this.#last)) return this.#last;
    this.#changed = false;
    try {
      this.#last = await inspectContainer(this.containerId, signal, this.#modules.engine);
      return this.#last;
    } catch (error) {
      this.#changed = true;
      throw error;
    }
  }

  /**
   * Looks until `decide` answers. A broken connection says nothing about the container, so it is waited for however long the
   * engine is away. One caller at a time.
   * @throws WaggleError what the engine answers for good (not-found), what `decide` throws, the signal's reason.
   */
  async until<T>(decide: (container: Docker.ContainerInspectInfo) => T | undefined, signal: AbortSignal): Promise<T> {
    const { clock, random } = this.#modules;
    let failures = 0;
    for (;;) {
      let delay = this.#options.pollMs;
      try {
        const answer = decide(await this.look(signal));
        if (answer !== undefined) return answer;
        failures = 0;
      } catch (error) {
        signal.throwIfAborted();
        if (!mayPass(error)) throw error;
        failures++;
        delay = backoffDelayMs(this.#options.backoff, failures, random());
      }
      // Not told of anything for so long, it looks all the same.
      if (!(await this.#wake.wait(clock, delay, signal))) this.#changed = true;
    }
  }

  #holds(container: Docker.ContainerInspectInfo): boolean {
    if (this.#changed || !this.#modules.events.connected) return false;
    return container.State.Running || !this.#startTold;
  }
}

/** @throws WaggleError as Engine.call. */
export function inspectContainer(
  id: string,
  signal: AbortSignal,
  engine: Engine,
): Promise<Docker.ContainerInspectInfo> {
  return engine.call((docker, abortSignal) => docker.getContainer(id).inspect({ abortSignal }), { signal });
}

/** An inspect that fails with 500 is the engine going down or coming up. */
function mayPass(error: unknown): boolean {
  return isTemporary(error) || (error instanceof WaggleError && error.code === 'internal');
}
