import { sleep, systemClock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';

/** Repeats `attempt` until it neither throws nor returns false. @throws the last failure when time is up. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T> | T,
  options: { timeoutMs?: number; everyMs?: number } = {},
): Promise<Exclude<T, false>> {
  const deadline = systemClock.monotonic() + (options.timeoutMs ?? 30_000);
  for (;;) {
    let failure = 'it did not come true';
    try {
      const value = await attempt();
      if (value !== false) return value as Exclude<T, false>;
    } catch (error) {
      failure = messageOf(error);
    }
    if (systemClock.monotonic() > deadline) throw new Error(`${what}: ${failure}`);
    await sleep(systemClock, options.everyMs ?? 100);
  }
}
