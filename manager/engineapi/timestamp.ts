import { WaggleError } from '../../proto/runtime/errors.ts';

const NANOS_PER_MS = 1_000_000n;
const NANOS_PER_SECOND = 1_000_000_000n;
const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
};
const DURATION = /^(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h)/;

/** RFC 3339 with up to nine digits of fraction, to nanoseconds since the epoch. */
export function nanosOfTime(time: string): bigint {
  const fraction = /\.(\d+)/.exec(time)?.[1] ?? '';
  const seconds = Date.parse(time.replace(/\.\d+/, ''));
  if (Number.isNaN(seconds)) return 0n;
  return BigInt(seconds) * NANOS_PER_MS + BigInt(fraction.padEnd(9, '0').slice(0, 9));
}

/** The API's `seconds[.nanoseconds]`; undefined for anything else. */
export function nanosOfUnix(value: string): bigint | undefined {
  const match = /^(\d{1,12})(?:\.(\d{1,9}))?$/.exec(value);
  if (match?.[1] === undefined) return undefined;
  return BigInt(match[1]) * NANOS_PER_SECOND + BigInt((match[2] ?? '').padEnd(9, '0'));
}

/**
 * The `until` of a prune: a Go duration before `nowMs`, a Unix time, or a date.
 * @returns nanoseconds since the epoch. @throws WaggleError invalid-argument.
 */
export function nanosOfUntil(value: string, nowMs: number): bigint {
  const duration = durationMs(value);
  if (duration !== undefined) return BigInt(Math.round(nowMs - duration)) * NANOS_PER_MS;
  const unix = nanosOfUnix(value);
  if (unix !== undefined) return unix;
  if (Number.isNaN(Date.parse(value))) {
    throw new WaggleError('invalid-argument', `failed to parse value as time or duration: ${JSON.stringify(value)}`);
  }
  return nanosOfTime(value);
}

function durationMs(text: string): number | undefined {
  let rest = text;
  let total = 0;
  while (rest !== '') {
    const part = DURATION.exec(rest)?.[0];
    if (part === undefined) return undefined;
    const amount = Number.parseFloat(part);
    total += amount * (UNIT_MS[part.replace(/^[\d.]+/, '')] ?? 0);
    rest = rest.slice(part.length);
  }
  return text === '' ? undefined : total;
}
