import { describe, expect, it } from 'vitest';
import { type EndFacts, type PlacedEndpoint, resolveEnds } from '../../../../manager/diagnosis/trace-ends.ts';
import type { NetworkObject } from '../../../../proto/objects/network.ts';
import { newNetwork, newTask } from '../store/objects.ts';
import { endpoint } from './facts.ts';

function placed(node: string, id: string, networkId: string, address: string, name = id): PlacedEndpoint {
  const at = endpoint(`${networkId}-${id}`, address, { networkId, name, containerId: `c0ffee${id}` });
  return { nodeId: `id-${node}`, node, vtep: '192.168.0.1', endpoint: at };
}

function network(id: string, subnet: string): NetworkObject {
  const subnets = [{ Subnet: subnet, Gateway: '', IPRange: subnet }];
  const allocated = { Driver: 'overlay', VNIs: [1], Subnets: subnets, Options: {} };
  return { ...newNetwork(id, id), Allocated: allocated, Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
}

const TASK = { ...newTask('taskid0000000000000000001'), Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
const NETWORKS = new Map([
  ['n1', network('n1', '10.1.0.0/24')],
  ['n2', network('n2', '10.2.0.0/24')],
]);
const FACTS: EndFacts = {
  endpoints: [
    placed('h1', 'aa', 'n1', '10.1.0.2', 'here'),
    placed('h1', 'aa', 'n2', '10.2.0.2', 'here'),
    placed('h2', 'bb', 'n2', '10.2.0.3', 'there'),
    placed('h1', 'cc', 'n1', '10.1.0.4', 'twin'),
    placed('h2', 'dd', 'n1', '10.1.0.5', 'twin'),
    placed('h2', 'ee', 'n1', '10.1.0.6', 'a-task'),
  ],
  tasks: [
    {
      ...TASK,
      NodeID: 'id-h2',
      Slot: 1,
      ServiceAnnotations: { Name: 'web' },
      Status: { Timestamp: '', State: 'running' },
      DesiredState: 'running',
      NetworksAttachments: [{ NetworkID: 'n1', Addresses: ['10.1.0.6/24'] }],
    },
  ],
  networks: NETWORKS,
  silent: [],
};

function summary(from: string, to: string, only?: string): string {
  const ends = resolveEnds(FACTS, { from, to }, only === undefined ? undefined : NETWORKS.get(only));
  return `${ends.from.Address}@${ends.from.Node} ${ends.to.Address}@${ends.to.Node} ${ends.network?.ID ?? '-'}`;
}

describe('resolveEnds', () => {
  it.each([
    { id: 'names', from: 'here', to: 'there', is: '10.2.0.2@h1 10.2.0.3@h2 n2' },
    { id: 'the beginning of an ID', from: 'c0ffeeaa', to: 'c0ffeebb', is: '10.2.0.2@h1 10.2.0.3@h2 n2' },
    { id: 'a slot of a service', from: 'here', to: 'web.1', is: '10.1.0.2@h1 10.1.0.6@h2 n1' },
    { id: 'a task by ID', from: 'here', to: TASK.ID, is: '10.1.0.2@h1 10.1.0.6@h2 n1' },
    { id: 'a task by the beginning of its ID', from: 'here', to: 'taskid', is: '10.1.0.2@h1 10.1.0.6@h2 n1' },
    { id: 'an address', from: 'here', to: '10.2.0.3', is: '10.2.0.2@h1 10.2.0.3@h2 n2' },
    { id: 'an address of nobody', from: 'here', to: '10.2.0.99', is: '10.2.0.2@h1 10.2.0.99@ n2' },
    { id: 'an address of no network', from: 'here', to: '8.8.8.8', is: '10.1.0.2@h1 8.8.8.8@ -' },
    { id: 'no network in common', from: 'web.1', to: 'there', is: '10.1.0.6@h2 10.2.0.3@h2 -' },
    { id: 'the wrong network', from: 'here', to: 'there', only: 'n1', is: '10.1.0.2@h1 10.2.0.3@h2 -' },
  ])('finds who is meant by $id', ({ from, to, only, is }) => {
    expect(summary(from, to, only)).toBe(is);
  });

  it.each([
    { id: 'nobody', to: 'nobody', error: 'No such container or task on any overlay network: nobody' },
    {
      id: 'one name on two nodes',
      to: 'twin',
      error: 'container twin is ambiguous: c0ffeecc on h1, c0ffeedd on h2. Give an ID',
    },
    { id: 'an ID of several', to: 'c0ffee', error: 'container c0ffee is ambiguous' },
    { id: 'nothing', to: '', error: 'No such container or task' },
  ])('says why not: $id', ({ to, error }) => {
    expect(() => summary('here', to)).toThrow(error);
  });

  it('names the nodes that did not answer', () => {
    const silent = [{ nodeId: 'id-h2', node: 'h2', error: 'no answer within 4 s' }];
    const facts = { ...FACTS, endpoints: FACTS.endpoints.filter(({ node }) => node === 'h1'), silent };
    const resolve = (to: string) => () => resolveEnds(facts, { from: 'here', to }, undefined);
    expect(resolve('there')).toThrow('there (nodes that did not answer: h2)');
    expect(resolve('web.1')).toThrow('task web.1 is on node h2, which does not answer: no answer within 4 s');
  });
});
