/** `npm test`: format, lint, types, unit tests, simulations, then everything on real engines. `check` leaves the engines out. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import { isInterrupted, undoWhenInterrupted } from './interruption.ts';
import { removeAbandonedLabs } from './lab.ts';
import { installRequirements } from './requirements.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const VITEST = ['run', '--config', 'test/vitest.config.ts'];

const STEPS: readonly [string, ...string[]][] = [
  ['biome', 'format', '.'],
  ['oxlint', '--type-aware'],
  ['tsc', '--noEmit'],
  ['vitest', ...VITEST, '--project', 'unit', '--project', 'sim'],
];
const REAL: readonly [string, ...string[]][] = [['vitest', ...VITEST, '--project', 'e2e']];

const quick = process.argv[2] === 'check';
if (!quick) await installRequirements((line) => process.stdout.write(`${line}\n`));
for (const [program, ...args] of quick ? STEPS : [...STEPS, ...REAL]) {
  process.stdout.write(`\n> ${program} ${args.join(' ')}\n`);
  const status = await runStep(program, args);
  if (status !== 0) {
    process.exitCode = status;
    break;
  }
}

/** Ended from outside it ends the step first, and then removes the labs that the step has left. @returns the exit status. */
async function runStep(program: string, args: readonly string[]): Promise<number> {
  const child = spawn(program, args, { cwd: ROOT, stdio: 'inherit' });
  const ended = new Promise<number>((resolve, reject) => {
    child.on('close', (status) => resolve(status ?? 1));
    child.on('error', reject);
  });
  const done = undoWhenInterrupted(async () => {
    child.kill('SIGTERM');
    await ended;
    await removeAbandonedLabs();
  });
  const status = await ended;
  // The process ends when the labs are removed.
  if (isInterrupted()) return new Promise<number>(() => undefined);
  done();
  return status;
}
