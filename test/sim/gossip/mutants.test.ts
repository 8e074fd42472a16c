import { describe, expect, it } from 'vitest';
import { GossipCore } from '../../../worker/gossip/core/gossip-core.ts';
import { SwimCore } from '../../../worker/gossip/core/swim-core.ts';
import { type Edit, mutatedSources } from '../mutated-sources.ts';
import { runHistory } from './history.ts';
import type { Cores } from './host-node.ts';
import { HASTE, MUTANTS } from './mutants.ts';

/** From where each begins; several times what any has needed from there. */
const MOST_HISTORIES = 200;

describe('histories notice each rule that is broken', () => {
  for (const mutant of MUTANTS) {
    it(mutant.id, { timeout: 120_000 }, async () => {
      const cores = await changed([...HASTE, mutant]);
      expect(firstFailure(cores, mutant.from ?? 1), mutant.rule).toBeDefined();
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

/** The first seed from there whose history breaks a promise; undefined when none of many does. */
function firstFailure(cores: Cores, from: number): number | undefined {
  for (let seed = from; seed < from + MOST_HISTORIES; seed++) {
    try {
      runHistory(seed, cores);
    } catch (error) {
      if (error instanceof Error && error.name === 'GossipError') return seed;
      throw error;
    }
  }
  return undefined;
}
