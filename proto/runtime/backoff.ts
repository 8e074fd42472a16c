export interface BackoffOptions {
  minMs: number;
  maxMs: number;
  /** Growth per failure. */
  factor: number;
  /** 0..1: share of the delay that is random. */
  jitter: number;
}

/** Delay before try number `failures + 1`, `failures` counted from 1; `random` is in [0, 1). */
export function backoffDelayMs(options: BackoffOptions, failures: number, random: number): number {
  const grown = Math.min(options.maxMs, options.minMs * options.factor ** Math.max(0, failures - 1));
  return grown * (1 - options.jitter) + grown * options.jitter * random;
}
