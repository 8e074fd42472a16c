import { spawn } from 'node:child_process';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

/** Programs of their own: what is looked at is how they end. */

const MODULE = path.resolve(import.meta.dirname, '../../lab/interruption.ts');

interface End {
  /** Exit status, or the signal that it died of. */
  by: number | string | null;
  out: string;
}

/** Runs `body`, and sends one of the signals whenever the program says that it is ready for it. */
function end(body: string, ...signals: NodeJS.Signals[]): Promise<End> {
  const program = `
    import { undoWhenFailed, undoWhenInterrupted } from ${JSON.stringify(MODULE)};
    const say = (line) => void process.stdout.write(line + '\\n');
    const aMoment = () => new Promise((resolve) => setTimeout(resolve, 50));
    setTimeout(() => say('was not ended'), 10_000);
    ${body}
    say('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let out = '';
  child.stdout.on('data', (chunk: Buffer) => {
    const lines = chunk.toString();
    out += lines;
    for (const _ of lines.matchAll(/ready\n/g)) if (signals.length > 0) child.kill(signals.shift());
  });
  return new Promise((resolve) => child.on('close', (status, signal) => resolve({ by: status ?? signal, out })));
}

describe('a program that is ended from outside', () => {
  const UNDO = `undoWhenInterrupted(async () => { await aMoment(); say('undone'); });`;

  it.each([
    { signal: 'SIGTERM', status: 143 },
    { signal: 'SIGINT', status: 130 },
  ] as const)('undoes what it has done before it ends by $signal', async ({ signal, status }) => {
    expect(await end(UNDO, signal)).toEqual({ by: status, out: 'ready\nundone\n' });
  });

  it('does not end sooner, nor undo anything twice, when it is told again', async () => {
    const slow = `undoWhenInterrupted(async () => { say('ready'); await aMoment(); say('undone'); });`;
    expect(await end(slow, 'SIGTERM', 'SIGINT')).toEqual({ by: 143, out: 'ready\nready\nundone\n' });
  });

  it('undoes the rest when something cannot be undone', async () => {
    const failing = `process.stderr.write = () => true; undoWhenInterrupted(() => Promise.reject(new Error('no')));`;
    expect(await end(`${failing} ${UNDO}`, 'SIGTERM')).toEqual({ by: 143, out: 'ready\nundone\n' });
  });

  it('ends as any other when nothing is to be undone any more', async () => {
    const taken = `undoWhenInterrupted(async () => say('undone'))();`;
    expect(await end(taken, 'SIGTERM')).toEqual({ by: 'SIGTERM', out: 'ready\n' });
  });

  it('undoes what it has done also when it fails', async () => {
    const failing = `undoWhenFailed(); process.stderr.write = () => true; setTimeout(() => { throw new Error('no'); }, 20);`;
    expect(await end(`${UNDO} ${failing}`)).toEqual({ by: 1, out: 'ready\nundone\n' });
  });
});
