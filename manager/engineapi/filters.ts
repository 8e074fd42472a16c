import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Filters } from '../controlapi/control-api.ts';
import { JsonSyntaxError, scanJson } from './json-scan.ts';

/**
 * The `filters` query parameter, in today's encoding (`{"label": {"a": true}}`) or that of before API 1.22
 * (`{"label": ["a"]}`); both are in use (docker CLI, docker-py).
 * @throws WaggleError invalid-argument.
 */
export function parseFilters(raw: string | null): Filters {
  if (raw === null || raw === '') return {};
  const parsed = parseText(raw);
  if (parsed === null) return {};
  if (typeof parsed !== 'object' || Array.isArray(parsed)) throw new WaggleError('invalid-argument', 'invalid filter');
  // Whatever a key is called, it becomes one of the object's own.
  return Object.fromEntries(Object.entries(parsed).map(([key, value]) => [key, valuesOf(value)]));
}

/** @throws WaggleError invalid-argument for a filter that is not among `accepted`. */
export function requireKnownFilters(filters: Filters, accepted: readonly string[]): void {
  for (const key of Object.keys(filters)) {
    if (!accepted.includes(key)) throw new WaggleError('invalid-argument', `Invalid filter '${key}'`);
  }
}

/** In the encoding that every engine takes. */
export function formatFilters(filters: Filters): string {
  const encoded: Record<string, Record<string, true>> = {};
  for (const [key, values] of Object.entries(filters)) {
    encoded[key] = Object.fromEntries(values.map((value) => [value, true as const]));
  }
  return JSON.stringify(encoded);
}

/** True when `key` is not filtered on, or `source` is one of its values. */
export function exactMatch(filters: Filters, key: string, source: string): boolean {
  const values = filters[key];
  return values === undefined || values.length === 0 || values.includes(source);
}

/** True when `key` is not filtered on, or one of its values is a beginning of `source`. */
export function prefixMatch(filters: Filters, key: string, source: string): boolean {
  const values = filters[key];
  return values === undefined || values.length === 0 || values.some((value) => source.startsWith(value));
}

/** True when `key` is not filtered on, or one of its values, taken as a regular expression, occurs in `source`. */
export function patternMatch(filters: Filters, key: string, source: string): boolean {
  const values = filters[key];
  if (values === undefined || values.length === 0) return true;
  return values.some((value) => value === source || compiled(value)?.test(source) === true);
}

/** True when every value of `key` (`name` or `name=value`) is among `labels`. */
export function labelsMatch(filters: Filters, key: string, labels: Readonly<Record<string, string>>): boolean {
  return (filters[key] ?? []).every((wanted) => {
    const at = wanted.indexOf('=');
    if (at < 0) return Object.hasOwn(labels, wanted);
    return Object.hasOwn(labels, wanted.slice(0, at)) && labels[wanted.slice(0, at)] === wanted.slice(at + 1);
  });
}

function parseText(raw: string): unknown {
  try {
    return JSON.parse(raw);
  } catch {
    throw new WaggleError('invalid-argument', syntaxMessage(raw));
  }
}

/** What is wrong with a text that JSON.parse refused, in Go's words. */
export function syntaxMessage(text: string): string {
  try {
    scanJson(text);
    return 'invalid JSON';
  } catch (error) {
    if (error instanceof JsonSyntaxError) return error.message;
    throw error;
  }
}

function valuesOf(value: unknown): string[] {
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value;
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return Object.keys(value);
  throw new WaggleError('invalid-argument', 'invalid filter');
}

function compiled(pattern: string): RegExp | undefined {
  try {
    return new RegExp(pattern);
  } catch {
    return undefined;
  }
}
