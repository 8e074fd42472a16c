import { WaggleError } from '../../proto/runtime/errors.ts';

/** While no manager leads. */
export const NO_LEADER =
  "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. Make sure more than half of the managers are online.";

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

/** For a manager that leaves without force. */
export function managerMustForce(managers: number): WaggleError {
  const last =
    managers <= 1
      ? 'Removing the last manager erases all current state of the swarm. Use `--force` to ignore this message. '
      : 'Removing this node leaves the swarm without enough managers. The only way to restore a swarm that has lost consensus is to reinitialize it with `--force-new-cluster`. Use `--force` to suppress this message. ';
  return unavailable(
    `You are attempting to leave the swarm on a node that is participating as a manager. ${last}`.trimEnd(),
  );
}

function unavailable(message: string): WaggleError {
  return new WaggleError('unavailable', message);
}
