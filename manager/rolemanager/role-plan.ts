import type { ManagerStatus, NodeObject } from '../../proto/objects/node.ts';
import { type MemberChange, membersOf, type RaftGroup, type RaftId } from './raft-group.ts';

/** A learner this close to the end of the log becomes a voter. */
const CAUGHT_UP_ENTRIES = 200;

export type RoleStep =
  | { kind: 'change'; change: MemberChange }
  /** The leader itself is to go: another one must lead first. */
  | { kind: 'transfer'; to: RaftId }
  | { kind: 'none' };

export interface RolePlan {
  /** Nodes whose ManagerStatus is not what Raft shows. */
  statuses: { nodeId: string; status: ManagerStatus }[];
  /** Demoted nodes that are out of Raft: their membership is forgotten. */
  released: string[];
  /** One change of the membership at a time. */
  step: RoleStep;
}

/**
 * Brings the group of managers in line with the nodes' roles (swarmkit manager/role_manager.go): caught-up learners vote,
 * demoted and removed nodes leave Raft before they lose their role, and nobody leaves whose going would cost the quorum.
 *
 * @param reachable members that have been heard of lately.
 * @param moved members that say themselves where they are, host:port, when that is not what the store has.
 */
export function planRoles(
  nodes: readonly NodeObject[],
  raft: ReturnType<RaftGroup['status']>,
  reachable: ReadonlySet<RaftId>,
  moved: ReadonlyMap<RaftId, string> = new Map(),
): RolePlan {
  const members = nodes.filter((node) => node.RaftID !== undefined);
  const inRaft = membersOf(raft.configuration);
  const statuses = members.flatMap((node) => {
    const status = statusOf(node, raft, reachable, moved);
    return same(node.ManagerStatus, status) ? [] : [{ nodeId: node.ID, status }];
  });
  const released = members
    .filter((node) => node.Spec.Role === 'worker' && !inRaft.has(node.RaftID ?? 0))
    .map((node) => node.ID);
  return { statuses, released, step: nextStep(members, raft, inRaft, reachable) };
}

function nextStep(
  members: readonly NodeObject[],
  raft: ReturnType<RaftGroup['status']>,
  inRaft: ReadonlySet<RaftId>,
  reachable: ReadonlySet<RaftId>,
): RoleStep {
  const { configuration, progress, committed, id: self } = raft;
  const wanted = new Map(members.map((node) => [node.RaftID ?? 0, node.Spec.Role === 'manager']));
  // A member whose node object is gone was removed from the swarm by force.
  const leaving = [...inRaft].filter((id) => wanted.get(id) !== true);
  for (const id of leaving) {
    if (id === self) {
      const to = successor(configuration.voters, self, progress, reachable);
      if (to !== undefined) return { kind: 'transfer', to };
    } else if (keepsQuorum(configuration.voters, [id], reachable)) {
      return { kind: 'change', change: { kind: 'remove', id } };
    }
  }
  const ready = configuration.learners.find((id) => {
    // One that has never answered has matched nothing, however short the log is.
    const match = progress.get(id)?.match ?? 0;
    return wanted.get(id) === true && reachable.has(id) && match > 0 && committed - match < CAUGHT_UP_ENTRIES;
  });
  return ready === undefined ? { kind: 'none' } : { kind: 'change', change: { kind: 'add-voter', id: ready } };
}

/** True when those that remain and are reachable still are a majority of those that remain. */
export function keepsQuorum(
  voters: readonly RaftId[],
  without: readonly RaftId[],
  reachable: ReadonlySet<RaftId>,
): boolean {
  const remaining = voters.filter((id) => !without.includes(id));
  return remaining.filter((id) => reachable.has(id)).length > remaining.length / 2;
}

function successor(
  voters: readonly RaftId[],
  self: RaftId,
  progress: ReadonlyMap<RaftId, { match: number }>,
  reachable: ReadonlySet<RaftId>,
): RaftId | undefined {
  return voters
    .filter((id) => id !== self && reachable.has(id))
    .toSorted((a, b) => (progress.get(b)?.match ?? 0) - (progress.get(a)?.match ?? 0))[0];
}

function statusOf(
  node: NodeObject,
  { leader, configuration }: ReturnType<RaftGroup['status']>,
  reachable: ReadonlySet<RaftId>,
  moved: ReadonlyMap<RaftId, string>,
): ManagerStatus {
  const id = node.RaftID ?? 0;
  // One that does not vote yet is none that a quorum can be counted on with.
  const reached = configuration.learners.includes(id) ? 'unknown' : 'reachable';
  return {
    ...(id === leader ? { Leader: true } : {}),
    Reachability: reachable.has(id) ? reached : 'unreachable',
    Addr: moved.get(id) ?? node.ManagerStatus?.Addr ?? '',
  };
}

function same(a: ManagerStatus | undefined, b: ManagerStatus): boolean {
  return (
    a !== undefined &&
    (a.Leader === true) === (b.Leader === true) &&
    a.Reachability === b.Reachability &&
    a.Addr === b.Addr
  );
}
