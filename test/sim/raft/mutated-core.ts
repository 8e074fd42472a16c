import type { Raft } from '../../../manager/raft/core/raft.ts';
import { mutatedSources } from '../mutated-sources.ts';
import type { Mutant } from './mutants.ts';

/** The core from a copy of its sources with one rule broken. @throws when the source has no such place, or several. */
export async function mutatedCore(mutant: Mutant): Promise<typeof Raft> {
  const [module] = await mutatedSources('manager/raft/core', [mutant], ['raft.ts']);
  return (module as { Raft: typeof Raft }).Raft;
}
