import { execa } from 'execa';
import { WaggleError } from '../../../proto/runtime/errors.ts';

const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_CHARACTERS = 256 * 1024 * 1024;

/** Runs a program to its end. @returns its standard output. @throws WaggleError internal with the program's own words. */
export async function command(file: string, args: readonly string[]): Promise<string> {
  const result = await execa(file, args, {
    stdin: 'ignore',
    reject: false,
    timeout: TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT_CHARACTERS,
  });
  if (!result.failed) return result.stdout;
  const words = result.stderr === undefined || result.stderr === '' ? result.shortMessage : result.stderr;
  throw new WaggleError('internal', `${file} ${args.join(' ')}: ${words}`);
}
