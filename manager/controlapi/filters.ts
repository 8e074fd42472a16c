import type { Labels } from '../../proto/objects/meta.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Filters } from './control-api.ts';

/** One condition on a row; rows that fail one are left out. */
export type Condition<R> = (row: R) => boolean;

/** @throws WaggleError invalid-argument for a key that this list does not know. */
export function assertFilterKeys(filters: Filters, accepted: readonly string[]): void {
  const unknown = Object.keys(filters).find((key) => !accepted.includes(key));
  if (unknown !== undefined) throw new WaggleError('invalid-argument', `Invalid filter '${unknown}'`);
}

/** The values given for `key`; none and an empty list are the same. */
export function filterValues(filters: Filters, key: string): readonly string[] {
  return Object.hasOwn(filters, key) ? (filters[key] ?? []) : [];
}

/** True when no prefix is asked for, or `value` begins with one of them. */
export function matchesPrefix(value: string, prefixes: readonly string[]): boolean {
  return prefixes.length === 0 || prefixes.some((prefix) => value.startsWith(prefix));
}

/** True when no value is asked for, or `value` is one of them. */
export function matchesExactly(value: string, wanted: readonly string[]): boolean {
  return wanted.length === 0 || wanted.includes(value);
}

/**
 * As network names are matched: anywhere in the name, or at its ends with `^` and `$`. (Docker takes any regular
 * expression; these are what scripts use, and a manager must not run a stranger's.)
 */
export function matchesPart(value: string, patterns: readonly string[]): boolean {
  return patterns.length === 0 || patterns.some((pattern) => matchesAnchored(value, pattern));
}

/** True when the labels have every `key` and `key=value` asked for. */
export function matchesLabels(labels: Labels | null | undefined, wanted: readonly string[]): boolean {
  return wanted.every((entry) => {
    const at = entry.indexOf('=');
    const key = at < 0 ? entry : entry.slice(0, at);
    const value = at < 0 ? '' : entry.slice(at + 1);
    if (labels === null || labels === undefined || !Object.hasOwn(labels, key)) return false;
    return value === '' || labels[key] === value;
  });
}

/** Values of a filter that only knows a few words. @throws WaggleError invalid-argument `Invalid role filter: 'x'`. */
export function wordsOf<W extends string>(filters: Filters, key: string, words: readonly W[]): readonly W[] {
  return filterValues(filters, key)
    .filter((value) => value !== '')
    .map((value) => {
      const word = words.find((candidate) => candidate === value.toLowerCase());
      if (word === undefined) throw new WaggleError('invalid-argument', `Invalid ${key} filter: '${value}'`);
      return word;
    });
}

/** The rows that meet every condition, in the order of their IDs, so that lists are stable. */
export function select<R extends { ID: string }>(rows: Iterable<R>, conditions: readonly Condition<R>[]): R[] {
  return [...rows]
    .filter((row) => conditions.every((condition) => condition(row)))
    .toSorted((a, b) => (a.ID < b.ID ? -1 : 1));
}

function matchesAnchored(value: string, pattern: string): boolean {
  const start = pattern.startsWith('^');
  const end = pattern.length > 1 && pattern.endsWith('$');
  const text = pattern.slice(start ? 1 : 0, end ? -1 : undefined);
  if (start && end) return value === text;
  if (start) return value.startsWith(text);
  return end ? value.endsWith(text) : value.includes(text);
}
