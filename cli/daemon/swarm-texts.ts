import type { ApiObject } from '../../manager/controlapi/control-api.ts';
import type { ManagerStatus } from '../../proto/objects/node.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';

/** What Docker says (moby daemon/cluster/errors.go): clients compare these word for word. All answer 503. */

export function notInSwarm(): WaggleError {
  return unavailable(
    'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
}

export function notManager(): WaggleError {
  return unavailable(
    "This node is not a swarm manager. Worker nodes can't be used to view or modify cluster state. Please run this command on a manager node or promote the current node to a manager.",
  );
}

export function swarmLocked(): WaggleError {
  return unavailable(
    'Swarm is encrypted and needs to be unlocked before it can be used. Please use "docker swarm unlock" to unlock it.',
  );
}

/** For leaving without force. */
export function lockedMustForce(): WaggleError {
  return unavailable('Swarm is encrypted and locked. Please unlock it first or use `--force` to ignore this message.');
}

export function alreadyInSwarm(): WaggleError {
  return unavailable(
    'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
  );
}

export function notPartOfSwarm(): WaggleError {
  return unavailable('This node is not part of a swarm');
}

/** 409. */
export function notLocked(): WaggleError {
  return new WaggleError('already-exists', 'swarm is not locked');
}

/** For a node that comes back after it was taken out of the swarm; Docker has no text for it. */
export const REMOVED =
  'This node was removed from the swarm. Use "docker swarm leave --force" to forget the swarm here, then it can join again.';

/** The managers as the leader sees them; `isReachable` is the node's own state. */
export interface ManagerStats {
  isReachable: boolean;
  reachable: number;
  unreachable: number;
}

/** @param nodes as the Engine API shows them. */
export function managerStats(nodes: readonly ApiObject[], self: string): ManagerStats {
  const managers = nodes.flatMap((node) => {
    const status = node['ManagerStatus'] as ManagerStatus | null | undefined;
    return status === null || status === undefined ? [] : [{ id: node['ID'], state: status.Reachability }];
  });
  const count = (state: string): number => managers.filter((manager) => manager.state === state).length;
  return {
    isReachable: managers.some(({ id, state }) => id === self && state === 'reachable'),
    reachable: count('reachable'),
    unreachable: count('unreachable'),
  };
}

/** For a manager that leaves without force (moby daemon/cluster/swarm.go); without `stats` when no leader can be asked. */
export function managerMustForce(stats: ManagerStats | undefined): WaggleError {
  const { reachable, unreachable } = stats ?? { reachable: 0, unreachable: 0 };
  const participating = 'You are attempting to leave the swarm on a node that is participating as a manager. ';
  const restore =
    'The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message.';
  const losesQuorum = stats?.isReachable === true && reachable - 2 <= unreachable;
  if (!losesQuorum) return unavailable(`${participating}${restore}`);
  if (reachable + unreachable === 1) {
    const last =
      'Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. ';
    return unavailable(`${participating}${last}`);
  }
  const leaves = `Removing this node leaves ${reachable - 1} managers out of ${reachable + unreachable}. `;
  return unavailable(`${participating}${leaves}Without a Raft quorum your swarm will be inaccessible. ${restore}`);
}

function unavailable(message: string): WaggleError {
  return new WaggleError('unavailable', message);
}

export function notAttachable(name: string): WaggleError {
  return new WaggleError('permission-denied', `network ${name} not manually attachable`);
}

/** What a manager that was given its key fails with when it cannot begin all the same. */
export function notStarted(error: unknown): never {
  throw new WaggleError('unknown', `swarm component could not be started: ${messageOf(error)}`, { cause: error });
}
