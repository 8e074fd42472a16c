import { afterAll, describe, expect, it } from 'vitest';
import { Raft } from '../../../manager/raft/core/raft.ts';
import { Cluster } from './cluster.ts';
import { SCENARIOS } from './scenarios.ts';

/**
 * Whole clusters under a seeded adversary: election safety, log matching, leader completeness, state-machine safety and
 * durability of what is committed are checked at every step, clients' histories and recovery at the end of each run.
 * `RAFT_SIM_SEEDS=2000 npm run sim` looks longer; a failure tells how to see it again.
 */
const SEEDS = Number(process.env['RAFT_SIM_SEEDS'] ?? 100);

let steps = 0;
let answers = 0;

describe('Raft keeps its promises', () => {
  for (const [name, options] of Object.entries(SCENARIOS)) {
    it(`${name}, ${SEEDS} seeds`, { timeout: 60_000 + SEEDS * 2000 }, () => {
      for (let seed = 1; seed <= SEEDS; seed++) {
        const outcome = replayable(name, seed, () => new Cluster(seed, options, { core: Raft }).run());
        steps += outcome.steps;
        answers += outcome.answered;
      }
    });
  }

  it('runs the same again for the same seed', () => {
    const run = () => new Cluster(7, SCENARIOS['everything-5'] ?? fail(), { core: Raft }).run();
    expect(run()).toEqual(run());
  });

  afterAll(() => {
    process.stdout.write(`raft: ${steps} steps, ${answers} answers to clients\n`);
  });
});

function replayable<T>(name: string, seed: number, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Error(`again with: node test/sim/raft/replay.ts ${name} ${seed}`, { cause: error });
  }
}

function fail(): never {
  throw new Error('no such scenario');
}
