import type { MemberChange } from '../../../manager/raft/core/configuration.ts';
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
}

const MAX_MEMBERS = 8;

/** What happens to the cluster in the next `seconds`. */
export function injectFault(cluster: Cluster, faults: Faults, seconds: number): void {
  const { random, network } = cluster;
  const happens = (perSecond: number): boolean => random.chance(perSecond * seconds);
  const leader = random.pick(cluster.leaders());
  // Leaders are where it hurts.
  const victim = (random.chance(0.5) ? leader?.id : undefined) ?? random.pick(cluster.running())?.id ?? 0;
  if (happens(faults.partitions)) {
    network.partition(cluster.ids(), victim);
    cluster.queue.schedule(random.int(50, 1500), () => network.heal());
  }
  if (happens(faults.crashes)) cluster.crash(victim);
  if (happens(faults.crashes / 10)) for (const id of cluster.ids()) cluster.crash(id);
  if (happens(faults.diskErrors)) cluster.failDisk(victim);
  if (happens(faults.freezes)) cluster.freeze(victim, random.int(50, 800));
  if (happens(faults.stalls)) cluster.stallDisk(victim, random.int(50, 500));
  if (leader === undefined) return;
  if (happens(faults.transfers)) leader.transfer(random.pick(leader.status().configuration.voters) ?? 0);
  if (happens(faults.changes)) changeMembership(cluster, leader);
}

function changeMembership(cluster: Cluster, leader: Member): void {
  const { random } = cluster;
  const { voters, learners } = leader.status().configuration;
  const count = random.chance(0.7) ? 1 : random.int(2, 3);
  const changes: MemberChange[] = [];
  let size = voters.length;
  const others = random.shuffle([...voters, ...learners]);
  for (let at = 0; at < count; at++) {
    const isVoter = voters.includes(others[at] ?? 0);
    const id = others[at] ?? 0;
    if (random.chance(0.4) && cluster.ids().length < MAX_MEMBERS + 6 && others.length < MAX_MEMBERS) {
      changes.push({ kind: random.chance(0.6) ? 'add-voter' : 'add-learner', id: cluster.recruit() });
    } else if (!isVoter && id !== 0) {
      changes.push({ kind: random.chance(0.8) ? 'add-voter' : 'remove', id });
    } else if (size > 2 && id !== 0) {
      size--;
      changes.push({ kind: random.chance(0.7) ? 'remove' : 'add-learner', id });
    }
  }
  if (changes.length > 0) leader.change({ changes });
}
