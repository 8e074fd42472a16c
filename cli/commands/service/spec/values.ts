import { CommandError } from '../../../command.ts';
import { csvFields } from './go-csv.ts';
import { parseBytes, parseDuration } from '../../../format/units.ts';

/** Parsers of single flag values, which name the flag when they refuse. */

export function parseInteger(flag: string, text: string): number {
  return /^[-+]?\d+$/.test(text) ? Number(text) : refuse(flag, text, badNumber('ParseInt', text));
}

export function parseCount(flag: string, text: string): number {
  return /^\d+$/.test(text) ? Number(text) : refuse(flag, text, badNumber('ParseUint', text));
}

function badNumber(parser: string, text: string): string {
  return `strconv.${parser}: parsing "${text}": invalid syntax`;
}

export function ratio(flag: string, text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 1)) refuse(flag, text, 'not a number between 0 and 1');
  return value;
}

/** CPUs -> NanoCPUs. */
export function cpus(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0)) refuse(flag, text, `failed to parse ${text} as a rational number`);
  return Math.round(value * 1e9);
}

export function bytes(flag: string, text: string): number {
  return named(flag, text, parseBytes);
}

/** Go duration -> nanoseconds. */
export function duration(flag: string, text: string): number {
  return named(flag, text, parseDuration);
}

/** `a=b,c=d` -> fields; a word without `=` is a switch. */
export function fields(text: string): Map<string, string> {
  const parts = csvFields(text).map((part) => part.trim());
  return new Map(
    parts.map((part) => {
      const at = part.indexOf('=');
      return at < 0 ? [part.toLowerCase(), ''] : [part.slice(0, at).toLowerCase(), part.slice(at + 1)];
    }),
  );
}

export function refuse(flag: string, text: string, why: string): never {
  throw new CommandError(
    `invalid argument "${text}" for "${flag.startsWith('-') ? flag : `--${flag}`}" flag: ${why}`,
    125,
  );
}

function named(flag: string, text: string, parse: (text: string) => number): number {
  try {
    return parse(text);
  } catch (error) {
    return refuse(flag, text, error instanceof Error ? error.message : String(error));
  }
}
