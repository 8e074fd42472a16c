import type { MemberChange } from '../../../manager/raft/core/configuration.ts';
import type { RaftId } from '../../../manager/raft/core/entry.ts';
import type { Cluster } from './cluster.ts';
import type { Member } from './member.ts';
import type { NetworkFaults } from './model-network.ts';

/** How often things go wrong, per second of virtual time in the whole cluster. */
export interface Faults extends NetworkFaults {
  partitions: number;
  crashes: number;
  diskErrors: number;
  freezes: number;
  /** Disks that take up to half a second for a write. */
  stalls: number;
  /** Changes of the membership that are asked for. */
  changes: number;
  transfers: number;
  /** 0..1: share of the new leaders that something happens to at once. */
  strikes: number;
  /** The same when they have just committed something, and nobody else knows. */
  strikesAtCommit: number;
  /** What happens; anything when absent. */
  strikeWith?: readonly Strike[];
}

type Strike = 'crash' | 'partition' | 'freeze' | 'stall' | 'transfer';
const STRIKES: readonly Strike[] = ['crash', 'crash', 'partition', 'partition', 'freeze', 'stall', 'transfer'];

const MAX_VOTERS = 6;
const MAX_IDS = 24;

/** What happens to the cluster in the next `seconds`. */
export function injectFault(cluster: Cluster, faults: Faults, seconds: number): void {
  const { random } = cluster;
  const happens = (perSecond: number): boolean => random.chance(perSecond * seconds);
  // Leaders are where it hurts.
  const victim =
    (random.chance(0.5) ? random.pick(cluster.leaders())?.id : undefined) ?? random.pick(cluster.ids()) ?? 0;
  if (happens(faults.partitions)) partition(cluster, victim);
  if (happens(faults.crashes)) cluster.crash(victim);
  if (happens(faults.crashes / 10)) for (const id of cluster.ids()) cluster.crash(id);
  if (happens(faults.diskErrors)) cluster.failDisk(victim);
  if (happens(faults.freezes)) cluster.freeze(victim, random.int(50, 800));
  if (happens(faults.stalls)) cluster.stallDisk(victim, random.int(50, 500));
  const leader = random.pick(cluster.leaders());
  if (leader === undefined) return;
  if (happens(faults.transfers)) leader.transfer(random.pick(leader.status().configuration.voters) ?? 0);
  if (happens(faults.changes)) changeMembership(cluster, leader);
}

/** A new leader is seen: strike while its first entries are on their way. */
export function strikeLeader(cluster: Cluster, faults: Faults, id: RaftId): void {
  const { random } = cluster;
  const leader = cluster.leaders().find((each) => each.id === id);
  if (leader !== undefined && faults.changes > 0 && random.chance(0.5)) changeMembership(cluster, leader);
  const strike = random.pick(faults.strikeWith ?? STRIKES);
  switch (strike) {
    case 'crash':
      return cluster.crash(id);
    case 'partition':
      return partition(cluster, id);
    case 'freeze':
      return cluster.freeze(id, random.int(50, 500));
    case 'stall':
      return cluster.stallDisk(id, random.int(50, 500));
    case 'transfer':
      return leader?.transfer(random.pick(leader.status().configuration.voters) ?? 0);
    case undefined:
  }
}

function partition({ network, queue, random, ids }: Cluster, victim: RaftId): void {
  network.partition(ids(), victim);
  queue.schedule(random.int(50, 1200), () => network.heal());
}

/** One member more or less, or several at once, which goes through a joint configuration. */
function changeMembership(cluster: Cluster, leader: Member): void {
  const { random } = cluster;
  const { voters, learners } = leader.status().configuration;
  const changes: MemberChange[] = [];
  const most = random.chance(0.5) ? 1 : 3;
  const canAdd = Math.min(MAX_VOTERS - voters.length, MAX_IDS - cluster.ids().length);
  const added = Math.max(0, Math.min(random.int(0, most), canAdd));
  const removed = Math.min(random.int(0, most), most - (most === 1 ? added : 0), voters.length + added - 2);
  for (const id of learners)
    if (random.chance(0.3)) changes.push({ kind: random.chance(0.8) ? 'add-voter' : 'remove', id });
  for (let at = 0; at < added; at++) {
    changes.push({ kind: random.chance(0.7) ? 'add-voter' : 'add-learner', id: cluster.recruit() });
  }
  for (const id of random.shuffle(voters).slice(0, Math.max(0, removed))) {
    changes.push({ kind: random.chance(0.8) ? 'remove' : 'add-learner', id });
  }
  if (changes.length > 0) leader.change({ changes });
}
