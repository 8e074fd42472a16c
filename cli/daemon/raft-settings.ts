import { clusterOf } from '../../manager/ca/cluster-membership.ts';
import type { RaftSettings } from '../../manager/raft/raft-settings.ts';
import { ControlLoop, type LoopBody } from '../../manager/store/control-loop.ts';
import type { Store } from '../../manager/store/transaction.ts';
import type { ClusterSpec } from '../../proto/objects/cluster.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';

/** Length of one tick of Raft's timers. */
export const TICK_MS = 50;
/** One tick of the cluster spec. Docker says that its length may change; its own is a second. */
const SPEC_TICKS = 2;
/** With the spec's default of 10 a leader is missed after 0.75 to 1.5 s; of two followers the first one on average after 1 s. */
const ELECTION_TICKS_PER_SPEC_TICK = 1.5;

const DEFAULTS = {
  SnapshotInterval: 10_000,
  KeepOldSnapshots: 0,
  LogEntriesForSlowFollowers: 500,
  ElectionTick: 10,
  HeartbeatTick: 1,
};

/** What a cluster spec asks of Raft; what it leaves out or has as 0 is as Docker's default. */
export function raftSettings(spec: ClusterSpec['Raft']): RaftSettings {
  const given = Object.fromEntries(Object.entries(spec ?? {}).filter(([, value]) => value > 0));
  const raft = { ...DEFAULTS, ...given };
  const heartbeatTicks = raft.HeartbeatTick * SPEC_TICKS;
  return {
    snapshotInterval: raft.SnapshotInterval,
    keepOldSnapshots: raft.KeepOldSnapshots,
    entriesForSlowFollowers: raft.LogEntriesForSlowFollowers,
    heartbeatTicks,
    electionTicks: Math.max(heartbeatTicks + 1, Math.round(raft.ElectionTick * ELECTION_TICKS_PER_SPEC_TICK)),
  };
}

export interface RaftSettingsLoopModules {
  store: Store;
  raft: { configure(settings: RaftSettings): void };
  clock: Clock;
  log: Log;
}

/** Keeps Raft on this manager as the cluster spec asks, from its restored state on and with each change. */
export class RaftSettingsLoop implements Startable {
  readonly #loop: ControlLoop;

  constructor({ store, raft, clock, log }: RaftSettingsLoopModules) {
    const body: LoopBody = {
      name: 'raft-settings',
      tables: ['clusters'],
      debounceMs: 0,
      async tick() {
        raft.configure(raftSettings(store.view(clusterOf)?.Spec.Raft));
        await Promise.resolve();
        return undefined;
      },
    };
    this.#loop = new ControlLoop(body, { store, clock, log });
  }

  start(): Promise<void> {
    return this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }
}
