import { describe, expect, it } from 'vitest';
import { Cluster } from './cluster.ts';
import { mutatedCore } from './mutated-core.ts';
import { MUTANTS } from './mutants.ts';
import { SCENARIOS } from './scenarios.ts';

/** Several times what the hardest one to find has needed. */
const MAX_SEEDS = 1000;

describe('the simulation notices each rule that is broken', () => {
  for (const mutant of MUTANTS) {
    it(mutant.id, { timeout: 120_000 }, async () => {
      const core = await mutatedCore(mutant);
      const options = SCENARIOS[mutant.scenario];
      if (options === undefined) throw new Error(`no scenario ${mutant.scenario}`);
      expect(
        firstFailure((seed) => new Cluster(seed, options, { core }).run()),
        mutant.rule,
      ).toBeLessThan(MAX_SEEDS);
    });
  }
});

/** How a broken promise shows: seen from outside, by the core itself, or as a change of members that makes no sense. */
const SYMPTOMS = new Set(['SafetyError', 'InvariantError', 'ConfigurationError']);

/** The first seed at which `run` throws, or MAX_SEEDS. */
function firstFailure(run: (seed: number) => unknown): number {
  for (let seed = 1; seed < MAX_SEEDS; seed++) {
    try {
      run(seed);
    } catch (error) {
      if (error instanceof Error && SYMPTOMS.has(error.name)) return seed;
      throw error;
    }
  }
  return MAX_SEEDS;
}
