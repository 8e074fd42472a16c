import type { Server } from '@grpc/grpc-js';
import { MANAGERS, type RpcGate } from '../../proto/rpc/gate.ts';
import { raftMembershipService } from '../../proto/rpc/services.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ReadTx, Store } from '../store/transaction.ts';
import { membersOf, type RaftGroup, type RaftId } from './raft-group.ts';

export interface RaftMember {
  raftId: RaftId;
  nodeId: string;
  /** host:port. */
  address: string;
}

/** Every manager that takes part in Raft, as the state store knows them. */
export function raftMembers(tx: ReadTx): RaftMember[] {
  return [...tx.all('nodes')].flatMap((node) =>
    node.RaftID === undefined
      ? []
      : [{ raftId: node.RaftID, nodeId: node.ID, address: node.ManagerStatus?.Addr ?? '' }],
  );
}

export interface MembershipModules {
  store: Store;
  raft: RaftGroup;
}

/**
 * Takes a manager into Raft, first as a learner: it becomes a voter when it has caught up, so that one that never comes up cannot
 * cost the quorum. The same again changes nothing; another address replaces the one known. Leader only.
 * @throws WaggleError failed-precondition for a node that is not to be a manager.
 */
async function joinRaft(
  modules: MembershipModules,
  request: { nodeId: string; raftId: RaftId; address: string },
): Promise<RaftMember[]> {
  const { store, raft } = modules;
  const { nodeId, raftId, address } = request;
  await store.update((tx) => {
    const node = tx.get('nodes', nodeId);
    if (node === undefined) throw new WaggleError('not-found', `node ${nodeId} not found`);
    if (node.Spec.Role !== 'manager') {
      throw new WaggleError('failed-precondition', `node ${nodeId} is not meant to be a manager`);
    }
    if (node.RaftID === raftId && node.ManagerStatus?.Addr === address) return;
    tx.update('nodes', { ...node, RaftID: raftId, ManagerStatus: { Reachability: 'unknown', Addr: address } });
  });
  if (!membersOf(raft.status().configuration).has(raftId)) {
    await raft.changeMembers({ changes: [{ kind: 'add-learner', id: raftId }] });
  }
  return store.view(raftMembers);
}

/**
 * After the managers' majority was lost and one goes on alone: the others become workers, which they find out when they come back,
 * and until then may be removed.
 */
export async function dismissManagers(store: Store, self: RaftId): Promise<void> {
  await store.update((tx) => {
    for (const node of [...tx.all('nodes')]) {
      if (node.RaftID === undefined || node.RaftID === self) continue;
      const { RaftID: _id, ManagerStatus: _status, ...former } = node;
      tx.update('nodes', { ...former, CertificateRole: 'worker', Spec: { ...node.Spec, Role: 'worker' } });
    }
  });
}

export interface MembershipEdge {
  /** Undefined while this manager does not lead. */
  leading: () => MembershipModules | undefined;
  /** host:port of the leader, as far as known. */
  leader: () => string | undefined;
}

/** A manager that does not lead points to the one that does: a new one may know no other than this. */
export function addMembershipService(server: Server, gate: RpcGate, edge: MembershipEdge): void {
  raftMembershipService.add(server, {
    join: gate.unary(MANAGERS, async ({ raftId, address }, { nodeId }) => {
      if (!Number.isSafeInteger(raftId) || raftId <= 0 || !/^\S+:\d+$/.test(address)) {
        throw new WaggleError('invalid-argument', 'a Raft ID and an address host:port are needed');
      }
      const leading = edge.leading();
      if (leading !== undefined) return { members: await joinRaft(leading, { nodeId, raftId, address }) };
      const leader = edge.leader();
      if (!leader)
        throw new WaggleError('unavailable', 'this manager does not lead the swarm, and nobody does right now');
      return { leader };
    }),
  });
}
