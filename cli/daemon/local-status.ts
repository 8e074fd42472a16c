import type { LocalStatus } from '../../manager/engineapi/backend.ts';
import type { Membership } from './swarm-member.ts';
import { REMOVED, swarmLocked } from './swarm-texts.ts';

/** Pure: what `/info` tells of a node and its swarm. */
export function localStatus(membership: Membership): LocalStatus {
  const none = { nodeId: '', nodeAddr: '', error: '', manager: false, remoteManagers: [] };
  if (membership.state === 'inactive') return { ...none, state: 'inactive' };
  const { config, identity } = membership.state === 'active' ? membership.member : membership;
  const nodeAddr = config.advertise.host;
  if (isLocked(membership)) return { ...none, nodeAddr, state: 'locked', error: swarmLocked().message };
  const nodeId = identity?.nodeId ?? '';
  if (membership.state !== 'active') {
    return { ...none, nodeId, nodeAddr, state: membership.state, error: membership.error };
  }
  const { isRemoved, worker, manager } = membership.member;
  const { connectivity, facts } = worker.agent;
  const error = connectivity.connected ? '' : connectivity.error;
  return {
    nodeId,
    nodeAddr,
    state: isRemoved ? 'error' : 'active',
    manager: manager !== undefined,
    error: isRemoved ? REMOVED : error,
    remoteManagers: (facts?.managers ?? []).map((each) => ({ NodeID: each.nodeId, Addr: each.address })),
  };
}

/** A manager's keys are sealed, and nobody has unlocked them. */
export function isLocked(membership: Membership): boolean {
  if (membership.state === 'inactive') return false;
  return (membership.state === 'active' ? membership.member : membership).identity?.isLocked === true;
}
