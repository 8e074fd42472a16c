import { type ConfigurationChange, encodeChange } from './core/configuration.ts';
import type { HardState, LogEntry, RaftId } from './core/entry.ts';
import type { StoredState } from './log/log-store.ts';

export interface NewClusterOptions {
  id: RaftId;
  /** Begin a new cluster with this member alone, when the log is empty. */
  bootstrap: boolean;
  /**
   * A majority is lost for good: go on alone with what the own log holds, committed or not, as `swarm init
   * --force-new-cluster`. The others must never come back as they were.
   */
  forceNewCluster?: boolean;
}

/** The entry with which a cluster of one begins, or begins anew, behind what is stored; undefined when none does. */
export function newClusterEntry(
  { snapshot, entries, hardState }: StoredState,
  { id, bootstrap, forceNewCluster }: NewClusterOptions,
): { entry: LogEntry; hardState: HardState } | undefined {
  const last = entries.at(-1) ?? snapshot?.meta ?? { index: 0, term: 0 };
  const isNew = last.index === 0 && hardState.term === 0;
  if (!(isNew && bootstrap) && !(last.index > 0 && forceNewCluster === true)) return undefined;
  const changes: ConfigurationChange['changes'] = [{ kind: 'add-voter', id }];
  const change: ConfigurationChange = isNew ? { changes } : { changes, startsAnew: true };
  const index = last.index + 1;
  const term = Math.max(last.term, hardState.term) + 1;
  return {
    entry: { term, index, type: 'conf-change', data: encodeChange(change) },
    hardState: { term, vote: isNew ? 0 : id, commit: index },
  };
}
