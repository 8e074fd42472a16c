import { WaggleError } from '../../proto/runtime/errors.ts';

const TRUE_WORDS = ['1', 't', 'T', 'true', 'TRUE', 'True'];
const FALSE_WORDS = ['0', 'f', 'F', 'false', 'FALSE', 'False'];
const LOOSE_FALSE_WORDS = ['', '0', 'no', 'false', 'none'];
const MAX_UINT64 = 2n ** 64n - 1n;

/** Docker's `BoolValue`: anything but a few words is true. */
export function looseBool(query: URLSearchParams, key: string): boolean {
  return !LOOSE_FALSE_WORDS.includes((query.get(key) ?? '').trim().toLowerCase());
}

/**
 * Go's `strconv.ParseBool`; absent is false.
 * @param cause adds Go's own explanation, as some of Docker's routes do.
 * @throws WaggleError invalid-argument.
 */
export function strictBool(query: URLSearchParams, key: string, cause: 'with-cause' | 'plain'): boolean {
  const value = query.get(key) ?? '';
  if (value === '' || FALSE_WORDS.includes(value)) return false;
  if (TRUE_WORDS.includes(value)) return true;
  const detail = cause === 'with-cause' ? `: strconv.ParseBool: parsing ${JSON.stringify(value)}: invalid syntax` : '';
  throw new WaggleError('invalid-argument', `invalid value for ${key}: ${value}${detail}`);
}

/**
 * The `version` parameter that every update must carry.
 * @throws WaggleError invalid-argument, in the words of the noun's own route.
 */
export function versionParam(query: URLSearchParams, noun: string, style: 'detailed' | 'short'): number {
  const value = query.get('version') ?? '';
  if (/^\d+$/.test(value) && BigInt(value) <= MAX_UINT64) return Number(value);
  if (style === 'short') throw new WaggleError('invalid-argument', `invalid ${noun} version`);
  const problem = /^\d+$/.test(value) ? 'value out of range' : 'invalid syntax';
  throw new WaggleError(
    'invalid-argument',
    `invalid ${noun} version '${value}': strconv.ParseUint: parsing ${JSON.stringify(value)}: ${problem}`,
  );
}
