import type { Command, Option } from 'commander';
import { CommandError } from './command.ts';

/** Verbs whose flags end at the first positional argument. */
const PASS_THROUGH = new Set(['create']);
const TRUE = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);
const FALSE = new Set(['0', 'f', 'F', 'false', 'FALSE', 'False']);

/**
 * Rewrites flags as Go programs take them into what commander understands: `--detach=false`, `-d=false`, `-p=80:80`.
 * A flag set to false becomes its `--no-` form where there is one, and is left out otherwise: false is what a switch is without it.
 */
export function normalizeFlags(program: Command, argv: readonly string[]): string[] {
  const out: string[] = [];
  let command = program;
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (word === '--') return [...out, ...argv.slice(at)];
    if (!word.startsWith('-') || word === '-') {
      const verb = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
      // What follows the image is the container's own command line.
      if (verb === undefined && PASS_THROUGH.has(command.name())) return [...out, ...argv.slice(at)];
      out.push(word);
      command = verb ?? command;
      continue;
    }
    const equals = word.indexOf('=');
    if (equals >= 0) {
      out.push(...assigned(command, word.slice(0, equals), word.slice(equals + 1)));
      continue;
    }
    out.push(word);
    const option = findOption(command, word);
    const value = argv[at + 1];
    if (option?.required === true && value !== undefined) {
      out.push(value);
      at++;
    }
  }
  return out;
}

function assigned(command: Command, flag: string, value: string): string[] {
  const option = findOption(command, flag);
  if (option === undefined) return [`${flag}=${value}`];
  if (option.required || option.optional) return flag.startsWith('--') ? [`${flag}=${value}`] : [flag, value];
  if (TRUE.has(value)) return [flag];
  if (FALSE.has(value) && findOption(command, flag.replace('--', '--no-')) !== undefined)
    return [flag.replace('--', '--no-')];
  if (FALSE.has(value)) return flag.length > 2 && !flag.startsWith('--') ? [flag.slice(0, -1)] : [];
  throw new CommandError(`invalid argument "${value}" for "${flag}" flag: parse error`, 125);
}

/** `-it` is decided by its last letter. */
function findOption(command: Command, word: string): Option | undefined {
  const flag = word.startsWith('--') ? word : `-${word.at(-1) ?? ''}`;
  for (let at: Command | null = command; at !== null; at = at.parent) {
    const option = at.options.find((each) => each.short === flag || each.long === flag);
    if (option !== undefined) return option;
  }
  return undefined;
}
