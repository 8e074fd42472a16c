import { describe, expect, it } from 'vitest';
import { GossipCore } from '../../../worker/gossip/core/gossip-core.ts';
import { SwimCore } from '../../../worker/gossip/core/swim-core.ts';
import { type Edit, mutatedSources } from '../mutated-sources.ts';
import { runHistory } from './history.ts';
import type { Cores } from './host-node.ts';
import { HASTE, MUTANTS } from './mutants.ts';

/** Several times what the hardest one to find has needed: one of them shows in every 140th history. */
const MAX_SEEDS = 500;

describe('histories notice each rule that is broken', () => {
  for (const mutant of MUTANTS) {
    it(mutant.id, { timeout: 120_000 }, async () => {
      const cores = await changed([...HASTE, mutant]);
      expect(firstFailure(cores, mutant.from ?? 1), mutant.rule).toBeLessThan(MAX_SEEDS);
    });
  }

  it('and nothing when none is broken', async () => {
    const cores = await changed(HASTE);
    for (let seed = 1; seed <= 40; seed++) runHistory(seed, cores);
  });
});

async function changed(edits: readonly Edit[]): Promise<Cores> {
  const entries = ['swim-core.ts', 'gossip-core.ts'];
  const modules = await mutatedSources('worker/gossip/core', edits, entries);
  return Object.assign({ SwimCore, GossipCore }, ...modules);
}

/** The first seed whose history breaks a promise, or MAX_SEEDS. */
function firstFailure(cores: Cores, from: number): number {
  for (let seed = from; seed < MAX_SEEDS; seed++) {
    try {
      runHistory(seed, cores);
    } catch (error) {
      if (error instanceof Error && error.name === 'GossipError') return seed;
      throw error;
    }
  }
  return MAX_SEEDS;
}
