/** What may be changed while a member runs. */
export interface RaftSettings {
  electionTicks: number;
  heartbeatTicks: number;
  /** Log entries between snapshots, and how many are kept behind one for followers that are a little slow. */
  snapshotInterval: number;
  entriesForSlowFollowers: number;
  /** Beside the newest one. */
  keepOldSnapshots: number;
}
