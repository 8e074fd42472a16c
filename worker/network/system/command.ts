import { execa } from 'execa';
import { WaggleError } from '../../../proto/runtime/errors.ts';

const TIMEOUT_MS = 10_000;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** Runs a program to its end. @returns its standard output. @throws WaggleError internal with the program's own words. */
export async function command(file: string, args: readonly string[]): Promise<string> {
  return (await commandBytes(file, args)).toString();
}

/** The same as the bytes that it wrote: much output costs time to read as text. */
export async function commandBytes(file: string, args: readonly string[]): Promise<Buffer> {
  const result = await execa(file, args, {
    stdin: 'ignore',
    reject: false,
    timeout: TIMEOUT_MS,
    maxBuffer: MAX_OUTPUT_BYTES,
    encoding: 'buffer',
    stripFinalNewline: true,
  });
  if (!result.failed) return Buffer.from(result.stdout.buffer, result.stdout.byteOffset, result.stdout.byteLength);
  const said = Buffer.from(result.stderr ?? []).toString();
  const words = said === '' ? result.shortMessage : said;
  throw new WaggleError('internal', `${file} ${args.join(' ')}: ${words}`);
}
