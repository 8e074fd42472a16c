import { expect, it } from 'vitest';
import { localStatus } from '../../../../cli/daemon/local-status.ts';
import type { Membership } from '../../../../cli/daemon/swarm-member.ts';
import { REMOVED, swarmLocked } from '../../../../cli/daemon/swarm-texts.ts';

const config = { advertise: { host: '10.0.0.1', port: 2377 } };
const identity = { nodeId: 'n1', isLocked: false };
const facts = { managers: [{ nodeId: 'n2', address: '10.0.0.2:2377' }] };

function active(changes: object, connectivity: object = { connected: true }): Membership {
  const worker = { agent: { connectivity, facts } };
  return {
    state: 'active',
    member: { config, identity, worker, isRemoved: false, ...changes },
  } as unknown as Membership;
}

function waiting(state: 'pending' | 'error', error: string, isLocked = false): Membership {
  return { state, error, config, identity: { ...identity, isLocked } } as unknown as Membership;
}

const none = { nodeId: '', nodeAddr: '', error: '', manager: false, remoteManagers: [] };
const here = { ...none, nodeId: 'n1', nodeAddr: '10.0.0.1' };
const remoteManagers = [{ NodeID: 'n2', Addr: '10.0.0.2:2377' }];
const locked = { ...none, nodeAddr: '10.0.0.1', state: 'locked', error: swarmLocked().message };

it.each<{ id: string; membership: Membership; expected: object }>([
  { id: 'in no swarm', membership: { state: 'inactive' }, expected: { ...none, state: 'inactive' } },
  { id: 'on its way', membership: waiting('pending', ''), expected: { ...here, state: 'pending' } },
  { id: 'not back', membership: waiting('error', 'why'), expected: { ...here, state: 'error', error: 'why' } },
  { id: 'locked on its way', membership: waiting('pending', '', true), expected: locked },
  {
    id: 'locked in the swarm',
    membership: active({ identity: { ...identity, isLocked: true } }),
    expected: locked,
  },
  { id: 'a worker', membership: active({}), expected: { ...here, state: 'active', remoteManagers } },
  {
    id: 'a manager',
    membership: active({ manager: {} }),
    expected: { ...here, state: 'active', manager: true, remoteManagers },
  },
  {
    id: 'without a manager that answers',
    membership: active({}, { connected: false, error: 'nobody' }),
    expected: { ...here, state: 'active', error: 'nobody', remoteManagers },
  },
  {
    id: 'removed',
    membership: active({ isRemoved: true }),
    expected: { ...here, state: 'error', error: REMOVED, remoteManagers },
  },
])('localStatus of a node that is $id', ({ membership, expected }) => {
  expect(localStatus(membership)).toEqual(expected);
});
