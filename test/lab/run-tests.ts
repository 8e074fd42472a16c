/** `npm test`: format, lint, types, unit tests, simulations, then everything on real engines. `check` leaves the engines out. */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
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
  const { status } = spawnSync(program, args, { cwd: ROOT, stdio: 'inherit' });
  if (status !== 0) {
    process.exitCode = status ?? 1;
    break;
  }
}
