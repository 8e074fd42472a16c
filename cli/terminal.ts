import type { Terminal } from './program.ts';

/** The process's own standard streams. */
export function createTerminal(): Terminal {
  const write = (text: string): void => void process.stdout.write(text);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    // The reader has gone away (`waggle … | head`): nothing is left to be said.
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  return {
    print: (line) => write(`${line}\n`),
    warn: (line) => void process.stderr.write(`${line}\n`),
    write,
    interactive: process.stdout.isTTY === true,
    readSecret,
  };
}

async function readSecret(prompt: string): Promise<string> {
  const { createInterface } = await import('node:readline');
  const { stdin } = process;
  if (stdin.isTTY) process.stderr.write(prompt);
  if (stdin.isTTY) stdin.setRawMode(false);
  const lines = createInterface({ input: stdin, terminal: false });
  for await (const line of lines) {
    lines.close();
    return line.trim();
  }
  return '';
}
