import { describe, expect, it } from 'vitest';
import { type EndFacts, type PlacedEndpoint, resolveEnds } from '../../../../manager/diagnosis/trace-ends.ts';
import type { TraceEnd } from '../../../../proto/objects/diagnosis/report.ts';
import type { SurveyedEndpoint } from '../../../../proto/objects/diagnosis/survey.ts';
import type { NetworkObject } from '../../../../proto/objects/network.ts';
import { newNetwork, newTask } from '../store/objects.ts';
import { endpoint } from './facts.ts';

function placed(
  node: string,
  id: string,
  networkId: string,
  address: string,
  name = id,
  more: Partial<SurveyedEndpoint> = {},
): PlacedEndpoint {
  const at = endpoint(`${networkId}-${id}`, address, { networkId, name, containerId: `c0ffee${id}`, ...more });
  return { nodeId: `id-${node}`, node, vtep: '192.168.0.1', endpoint: at };
}

function network(id: string, ...subnet: string[]): NetworkObject {
  const subnets = subnet.map((each) => ({ Subnet: each, Gateway: '', IPRange: each }));
  const allocated = { Driver: 'overlay', VNIs: [1], Subnets: subnets, Options: {} };
  return { ...newNetwork(id, id), Allocated: allocated, Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
}

const TASK = { ...newTask('taskid0000000000000000001'), Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '' };
const NETWORKS = new Map([
  ['n1', network('n1', '10.1.0.0/24')],
  ['n2', network('n2', '10.2.0.0/24')],
  ['n6', network('n6', '10.6.0.0/24', 'fd06::/64')],
]);
const FACTS: EndFacts = {
  endpoints: [
    placed('h1', 'aa', 'n1', '10.1.0.2', 'here'),
    placed('h1', 'aa', 'n2', '10.2.0.2', 'here'),
    placed('h2', 'bb', 'n2', '10.2.0.3', 'there'),
    placed('h1', 'cc', 'n1', '10.1.0.4', 'twin'),
    placed('h2', 'dd', 'n1', '10.1.0.5', 'twin'),
    placed('h2', 'ee', 'n1', '10.1.0.6', 'a-task'),
    placed('h1', 'ff', 'n6', '10.6.0.2', 'six', { address6: 'fd06::2' }),
    placed('h2', 'f0', 'n6', '10.6.0.3', 'sixth', { address6: 'fd06::3' }),
    placed('h2', 'f1', 'n6', '10.6.0.4', 'fourth'),
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
    { id: 'all that both have', to: 'sixth', is: '4,6: 10.6.0.2 fd06::2 to 10.6.0.3 fd06::3' },
    { id: 'all that one has', to: 'fourth', is: '4: 10.6.0.2 to 10.6.0.4' },
    { id: 'that of the address', to: 'fd06::3', is: '6: fd06::2 to fd06::3' },
    { id: 'that of the address, however it is written', to: 'FD06:0::0003', is: '6: fd06::2 to fd06::3' },
    { id: 'that of an IPv4 address', to: '10.6.0.3', is: '4: 10.6.0.2 to 10.6.0.3' },
    { id: 'that of an address of nobody', to: 'fd06::9', is: '6: fd06::2 to fd06::9' },
    { id: 'the one asked for', to: 'sixth', family: 6 as const, is: '6: fd06::2 to fd06::3' },
    { id: 'the one asked for, had or not', to: 'fourth', family: 6 as const, is: '6: fd06::2 to 10.6.0.4' },
  ])('traces the right families: $id', ({ to, family, is }) => {
    const request = { from: 'six', to, ...(family === undefined ? {} : { family }) };
    const ends = resolveEnds(FACTS, request, undefined);
    const words = ({ Address, Address6 }: TraceEnd): string => [Address, Address6 ?? []].flat().join(' ');
    expect(`${ends.families.join()}: ${words(ends.from)} to ${words(ends.to)}`).toBe(is);
    expect(ends.network?.ID).toBe('n6');
  });

  it('refuses an address of another family than asked for', () => {
    const request = { from: 'six', to: '10.6.0.3', family: 6 as const };
    expect(() => resolveEnds(FACTS, request, undefined)).toThrow('10.6.0.3 is not an IPv6 address');
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
