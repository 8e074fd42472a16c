import { messageOf } from '../../proto/runtime/errors.ts';
import { CommandError } from '../command.ts';

/** Prints one value by a template. */
export type Printer = (value: unknown) => string;

const FUNCTIONS = {
  json: { fn: (value: unknown) => goJson(value), argTypes: ['value'] },
  join: {
    fn: (list: unknown, separator: unknown) => (list as unknown[]).join(String(separator)),
    argTypes: ['list', 'string'],
  },
  lower: { fn: (text: unknown) => String(text).toLowerCase(), argTypes: ['string'] },
  upper: { fn: (text: unknown) => String(text).toUpperCase(), argTypes: ['string'] },
  title: {
    fn: (text: unknown) => String(text).replace(/\b\w/g, (letter) => letter.toUpperCase()),
    argTypes: ['string'],
  },
  split: {
    fn: (text: unknown, separator: unknown) => String(text).split(String(separator)),
    argTypes: ['string', 'string'],
  },
  truncate: {
    fn: (text: unknown, length: unknown) => String(text).slice(0, Number(length)),
    argTypes: ['string', 'value'],
  },
  println: { fn: (...parts: unknown[]) => `${parts.map(String).join(' ')}\n`, argTypes: ['value'] },
} as const;

const ESCAPED: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

/** JSON on one line with the characters escaped that Go escapes. */
export function goJson(value: unknown): string {
  return JSON.stringify(value ?? null).replace(/[<>&\u2028\u2029]/g, (character) => ESCAPED[character] ?? character);
}

/** A Go template as `--format` takes it; the engine is loaded only when one is used. @throws CommandError */
export async function compileTemplate(source: string): Promise<Printer> {
  const { createEngine } = await import('@promptctl/go-template-js');
  const engine = createEngine<string>({
    fromString: (text) => text,
    toString: (value) => stringify(value),
    isT: (value): value is string => typeof value === 'string',
    funcs: FUNCTIONS as never,
  });
  const text = source.replaceAll('\\t', '\t').replaceAll('\\n', '\n');
  try {
    const render = engine.compile(text);
    return (value) => {
      try {
        return render(value as never)
          .map(stringify)
          .join('');
      } catch (error) {
        throw templateError(error);
      }
    };
  } catch (error) {
    throw templateError(error);
  }
}

function stringify(value: unknown): string {
  if (typeof value === 'string') return value;
  if (value === undefined || value === null) return '<no value>';
  if (Array.isArray(value)) return `[${value.map(stringify).join(' ')}]`;
  if (typeof value !== 'object') return `${value as number | boolean}`;
  const entries = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `map[${entries.map(([key, each]) => `${key}:${stringify(each)}`).join(' ')}]`;
}

function templateError(error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  const line = (error as { pos?: { line?: number } }).pos?.line ?? 1;
  return new CommandError(`template parsing error: template: :${line}: ${messageOf(error)}`, 64);
}
