import { execa } from 'execa';

export interface RunResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

export interface RunOptions {
  input?: string;
  timeoutMs?: number;
  env?: Record<string, string>;
  /** Do not throw on a non-zero exit status. */
  check?: boolean;
}

/** Runs a program to its end. @throws Error with the whole command and what it printed, unless `check` is false. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const result = await execa(file, args, {
    reject: false,
    timeout: options.timeoutMs ?? 120_000,
    ...(options.input === undefined ? { stdin: 'ignore' as const } : { input: options.input }),
    ...(options.env === undefined ? {} : { env: options.env }),
  });
  const exitCode = result.exitCode ?? 255;
  if (exitCode !== 0 && options.check !== false) {
    const why = result.timedOut ? 'timed out' : `exit status ${exitCode}`;
    throw new Error(`${file} ${args.join(' ')}: ${why}\n${result.stdout}\n${result.stderr}`);
  }
  return { stdout: result.stdout, stderr: result.stderr, exitCode };
}
