import type { ClusterOptions } from './cluster.ts';
import type { Faults } from './faults.ts';

const NONE: Faults = {
  loss: 0,
  duplicate: 0,
  late: 0,
  partitions: 0,
  crashes: 0,
  diskErrors: 0,
  freezes: 0,
  stalls: 0,
  changes: 0,
  transfers: 0,
  strikes: 0,
  strikesAtCommit: 0,
};

const BAD: Faults = {
  loss: 0.05,
  duplicate: 0.05,
  late: 0.1,
  partitions: 0.7,
  crashes: 0.7,
  diskErrors: 0.3,
  freezes: 0.4,
  stalls: 0.4,
  changes: 1.5,
  transfers: 0.3,
  strikes: 0.3,
  strikesAtCommit: 0.2,
};

const of = (members: number, faults: Partial<Faults>): ClusterOptions => ({
  members,
  clients: 4,
  steps: 8000,
  faults: { ...NONE, ...faults },
});

/** By name, for tests and for replay.ts. */
export const SCENARIOS: Readonly<Record<string, ClusterOptions>> = {
  quiet: of(3, {}),
  network: of(5, { loss: 0.15, duplicate: 0.15, late: 0.3 }),
  partitions: of(5, { loss: 0.02, late: 0.05, partitions: 2, freezes: 1, transfers: 0.3, strikes: 0.2 }),
  crashes: of(3, { loss: 0.02, crashes: 2.5, diskErrors: 1, strikesAtCommit: 0.3 }),
  membership: of(3, { loss: 0.02, changes: 5, transfers: 0.5, partitions: 0.4 }),
  /** Leaders that get no further than their own disk, again and again (paper, figure 8). */
  'figure-8': {
    ...of(5, { loss: 0.3, strikes: 0.4, strikesAtCommit: 1, strikeWith: ['crash'] }),
    clients: 0,
    tuning: { maxAppendBytes: 1, maxInflightAppends: 1 },
  },
  /** Changes while links and leaders fail. */
  'membership-fast': of(3, { loss: 0.1, late: 0.05, changes: 15, partitions: 2, crashes: 1, stalls: 2, strikes: 0.5 }),
  /** Leaders that are cut off right after they have changed the membership. */
  'membership-single': {
    ...of(4, { loss: 0.2, changes: 0.1, strikes: 1, strikeWith: ['partition'] }),
    clients: 0,
  },
  /** A cluster that can fall into two equal halves. */
  even: of(4, { partitions: 2 }),
  'everything-3': of(3, BAD),
  'everything-5': of(5, BAD),
  'everything-7': of(7, BAD),
};
