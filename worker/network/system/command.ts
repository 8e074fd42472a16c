import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { WaggleError } from '../../../proto/runtime/errors.ts';

const TIMEOUT_MS = 10_000;
const MAX_WORDS = 4_000;
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
  throw failure(file, args, result);
}

/**
 * The same for a program with much to say, through a file without a name: iproute2 writes 4 KiB at a time, and to take a megabyte from a
 * pipe in such pieces costs more than all else that is done with it.
 */
export async function dump(file: string, args: readonly string[]): Promise<Buffer> {
  const name = path.join(tmpdir(), `waggle-${randomUUID()}`);
  const output = await open(name, 'wx+', 0o600);
  try {
    await unlink(name);
    await runInto(output.fd, file, args);
    const bytes = Buffer.alloc((await output.stat()).size);
    // The program has left the position at the end.
    await output.read(bytes, 0, bytes.length, 0);
    return bytes;
  } finally {
    await output.close();
  }
}

async function runInto(fd: number, file: string, args: readonly string[]): Promise<void> {
  const child = spawn(file, args, { stdio: ['ignore', fd, 'pipe'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL' });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => (stderr = (stderr + chunk.toString()).slice(0, MAX_WORDS)));
  const shortMessage = await new Promise<string | undefined>((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : `ended with ${code ?? signal}`));
  });
  if (shortMessage !== undefined) throw failure(file, args, { stderr, shortMessage });
}

function failure(
  file: string,
  args: readonly string[],
  { stderr = '', shortMessage = '' }: { stderr?: string | undefined; shortMessage?: string | undefined },
): WaggleError {
  return new WaggleError('internal', `${file} ${args.join(' ')}: ${stderr === '' ? shortMessage : stderr}`);
}
