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

/**
 * Looks at a container after each of its events until `decide` answers. A broken connection says nothing about the
 * container, so it is waited for however long the engine is away.
 * @throws WaggleError what the engine answers for good (not-found), what `decide` throws, the signal's reason.
 */
export async function watchContainer<T>(
  containerId: string,
  decide: (container: Docker.ContainerInspectInfo) => T | undefined,
  signal: AbortSignal,
  options: ContainerWatchOptions,
  modules: ContainerWatchModules,
): Promise<T> {
  const wake = new Wake();
  const unsubscribe = modules.events.subscribe({
    event: (event) => {
      if (event.id === containerId) wake.ring();
    },
    resync: () => wake.ring(),
  });
  let failures = 0;
  try {
    for (;;) {
      let delay = options.pollMs;
      try {
        const container = await inspectContainer(containerId, signal, modules.engine);
        const answer = decide(container);
        if (answer !== undefined) return answer;
        failures = 0;
      } catch (error) {
        signal.throwIfAborted();
        if (!mayPass(error)) throw error;
        failures++;
        delay = backoffDelayMs(options.backoff, failures, modules.random());
      }
      await wake.wait(modules.clock, delay, signal);
    }
  } finally {
    unsubscribe();
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
