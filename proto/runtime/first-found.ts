import type { Clock } from './clock.ts';

/** The first value that `look` finds, now or after a change; undefined when time is up. */
export function firstFound<T>(
  { waitMs, clock }: { waitMs: number; clock: Clock },
  look: () => T | undefined,
  onChange: (listener: () => void) => () => void,
): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<T | undefined>();
  const check = (): void => {
    const found = look();
    if (found !== undefined) resolve(found);
  };
  const unsubscribe = onChange(check);
  const cancel = clock.after(waitMs, () => resolve(undefined));
  check();
  return promise.finally(() => {
    cancel();
    unsubscribe();
  });
}
