import { describe, expect, it } from 'vitest';
import { type BodyType, withFieldNames } from '../../../../manager/engineapi/field-names.ts';

const CASES: { id: string; type: BodyType; given: unknown; expected: unknown }[] = [
  {
    id: 'a mode as docker-py spells it',
    type: 'swarm.ServiceSpec',
    given: { Mode: { replicated: { replicas: 3 } }, RollbackConfig: { order: 'start-first' } },
    expected: { Mode: { Replicated: { Replicas: 3 } }, RollbackConfig: { Order: 'start-first' } },
  },
  {
    id: 'in lists',
    type: 'swarm.ServiceSpec',
    given: { taskTemplate: { containerspec: { MOUNTS: [{ target: '/a' }, { TARGET: '/b' }] } } },
    expected: { TaskTemplate: { ContainerSpec: { Mounts: [{ Target: '/a' }, { Target: '/b' }] } } },
  },
  {
    id: 'the keys of maps are left alone',
    type: 'swarm.ServiceSpec',
    given: { labels: { NAME: 'a', name: 'b' }, TaskTemplate: { LogDriver: { options: { MAX: '1' } } } },
    expected: { Labels: { NAME: 'a', name: 'b' }, TaskTemplate: { LogDriver: { Options: { MAX: '1' } } } },
  },
  {
    id: 'the later of two',
    type: 'swarm.NodeSpec',
    given: { role: 'worker', Role: 'manager', availability: 'drain' },
    expected: { Role: 'manager', Availability: 'drain' },
  },
  {
    id: 'the later of two, whichever is spelt right',
    type: 'swarm.NodeSpec',
    given: { Role: 'manager', role: 'worker' },
    expected: { Role: 'worker' },
  },
  {
    id: 'what nobody knows stays',
    type: 'swarm.ConfigSpec',
    given: { more: { name: 1 }, templating: { name: 'golang' } },
    expected: { more: { name: 1 }, Templating: { Name: 'golang' } },
  },
  {
    id: 'values of the wrong type are for others to refuse',
    type: 'swarm.Spec',
    given: { raft: null, CAConfig: 'x', Dispatcher: [7, { heartbeatperiod: 1 }] },
    expected: { Raft: null, CAConfig: 'x', Dispatcher: [7, { HeartbeatPeriod: 1 }] },
  },
  {
    id: 'a network',
    type: 'types.NetworkCreateRequest',
    given: { name: 'n', driver: 'overlay', ipam: { config: [{ subnet: '10.1.0.0/24' }] }, options: { Encrypted: '' } },
    expected: {
      Name: 'n',
      Driver: 'overlay',
      IPAM: { Config: [{ Subnet: '10.1.0.0/24' }] },
      Options: { Encrypted: '' },
    },
  },
];

describe('names of fields', () => {
  it.each(CASES)('$id', ({ type, given, expected }) => {
    expect(withFieldNames(given, type)).toEqual(expected);
  });

  it('a field named like a part of every object is nothing special', () => {
    const given: unknown = JSON.parse('{"__proto__":{"Name":"x"},"constructor":1,"hasOwnProperty":2}');
    const named = withFieldNames(given, 'swarm.ServiceSpec');
    expect(JSON.stringify(named)).toBe(JSON.stringify(given));
    expect(Object.getPrototypeOf(named)).toBe(Object.prototype);
  });
});
