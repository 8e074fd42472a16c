import { describe, expect, it } from 'vitest';
import type { EndpointRecord } from '../../../../../worker/gossip/endpoint-table.ts';
import { type Answer, type AnswerContext, answerQuestion } from '../../../../../worker/network/resolver/answer.ts';
import { indexNames } from '../../../../../worker/network/resolver/name-index.ts';

const A = 1;
const PTR = 12;
const MX = 15;
const AAAA = 28;
const HTTPS = 65;
const ANY = 255;

const records: EndpointRecord[] = [
  record('front', '10.1.0.3', ['web.1.x', 'abc123'], ['web', 'tasks.web']),
  record('front', '10.1.0.2', ['web.2.y'], ['web', 'tasks.web']),
  record('front', '10.1.0.9', ['Db'], []),
  record('back', '10.2.0.7', ['db', 'dotted.name'], ['web']),
  record('front', '10.1.0.20', ['twin'], []),
  record('front', '10.1.0.21', ['twin'], []),
  { ...record('front', '10.1.0.30', ['six.1', 'cafe'], ['six', 'mixed']), address6: 'fd00:1::30' },
  { ...record('front', '10.1.0.31', ['six.2'], ['six']), address6: 'fd00:1::1:31' },
  record('front', '10.1.0.32', [], ['mixed']),
];
const both = [
  { networkId: 'front', name: 'Front-Net' },
  { networkId: 'back', name: 'back.net' },
];

function ask(name: string, type = A, context: Partial<AnswerContext> = {}): Answer {
  const names = (networkId: string) => indexNames(records.filter((it) => it.networkId === networkId));
  return answerQuestion({ name, type, class: 1 }, { networks: both, names, incomplete: false, turn: 0, ...context });
}
const addresses = (...list: string[]): Answer => ({ kind: 'addresses', addresses: list });

describe('answerQuestion', () => {
  const cases: { id: string; name: string; type?: number; context?: Partial<AnswerContext>; expected: Answer }[] = [
    { id: 'a service: all its tasks', name: 'web', expected: addresses('10.1.0.2', '10.1.0.3') },
    { id: 'rotated by turn', name: 'web', context: { turn: 3 }, expected: addresses('10.1.0.3', '10.1.0.2') },
    { id: 'tasks.', name: 'tasks.web', expected: addresses('10.1.0.2', '10.1.0.3') },
    { id: 'a task', name: 'web.1.x', expected: addresses('10.1.0.3') },
    { id: 'a short ID', name: 'abc123', expected: addresses('10.1.0.3') },
    { id: 'case and the final dot do not matter', name: 'TASKS.Web.', expected: addresses('10.1.0.2', '10.1.0.3') },
    { id: 'the first network that knows the name answers', name: 'db', expected: addresses('10.1.0.9') },
    { id: 'a network by its name, with a dot in it', name: 'db.back.net', expected: addresses('10.2.0.7') },
    { id: 'a network by its name, other case', name: 'db.front-net', expected: addresses('10.1.0.9') },
    { id: 'a name with a dot', name: 'dotted.name', expected: addresses('10.2.0.7') },
    { id: 'two containers of one name', name: 'twin', expected: addresses('10.1.0.20', '10.1.0.21') },
    {
      id: 'not on a network that the sandbox is not on',
      name: 'dotted.name',
      context: { networks: both.slice(0, 1) },
      expected: { kind: 'forward' },
    },
    { id: 'an own name has no AAAA', name: 'web', type: AAAA, expected: { kind: 'empty' } },
    { id: 'AAAA of a service', name: 'six', type: AAAA, expected: addresses('fd00:1::1:31', 'fd00:1::30') },
    { id: 'A of a service with IPv6', name: 'six', expected: addresses('10.1.0.30', '10.1.0.31') },
    { id: 'AAAA where only some have IPv6', name: 'mixed', type: AAAA, expected: addresses('fd00:1::30') },
    { id: 'ANY is both families', name: 'cafe', type: ANY, expected: addresses('10.1.0.30', 'fd00:1::30') },
    { id: 'PTR of half an IPv6 address', name: '1.3.0.0.ip6.arpa', type: PTR, expected: { kind: 'forward' } },
    {
      id: 'PTR of an IPv6 address of ours',
      name: '1.3.0.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.D.F.ip6.arpa.',
      type: PTR,
      expected: { kind: 'pointer', name: 'six.2.Front-Net' },
    },
    { id: 'an own name has no MX', name: 'web', type: MX, expected: { kind: 'empty' } },
    { id: 'an own name has no HTTPS', name: 'db', type: HTTPS, expected: { kind: 'empty' } },
    { id: 'ANY is the address', name: 'db', type: ANY, expected: addresses('10.1.0.9') },
    { id: 'AAAA of a foreign name', name: 'example.com', type: AAAA, expected: { kind: 'forward' } },
    { id: 'a foreign name', name: 'example.com', expected: { kind: 'forward' } },
    { id: 'a name like ours that is not there', name: 'web.3.z', expected: { kind: 'forward' } },
    { id: 'the name of a network alone', name: 'back.net', expected: { kind: 'forward' } },
    { id: 'the root', name: '.', expected: { kind: 'forward' } },
    {
      id: 'a pointer',
      name: '3.0.1.10.in-addr.arpa',
      type: PTR,
      expected: { kind: 'pointer', name: 'web.1.x.Front-Net' },
    },
    { id: 'a pointer to a foreign address', name: '8.8.8.8.in-addr.arpa', type: PTR, expected: { kind: 'forward' } },
    { id: 'a pointer that is none', name: 'web', type: PTR, expected: { kind: 'forward' } },
    {
      id: 'incomplete: an unknown name waits',
      name: 'example.com',
      context: { incomplete: true },
      expected: { kind: 'hold' },
    },
    {
      id: 'incomplete: a service waits for its other tasks',
      name: 'web',
      context: { incomplete: true },
      expected: { kind: 'hold' },
    },
    {
      id: 'incomplete: AAAA of a service waits too',
      name: 'web',
      type: AAAA,
      context: { incomplete: true },
      expected: { kind: 'hold' },
    },
    {
      id: 'incomplete: a container is known',
      name: 'web.1.x',
      context: { incomplete: true },
      expected: addresses('10.1.0.3'),
    },
    {
      id: 'incomplete: an unknown pointer waits',
      name: '8.8.8.8.in-addr.arpa',
      type: PTR,
      context: { incomplete: true },
      expected: { kind: 'hold' },
    },
    {
      id: 'no networks known, not held any longer',
      name: 'web',
      context: { networks: [] },
      expected: { kind: 'forward' },
    },
  ];
  for (const { id, name, type, context, expected } of cases) {
    it(id, () => expect(ask(name, type, context)).toEqual(expected));
  }

  it('passes on what is not of class IN', () => {
    const names = () => indexNames(records);
    const context = { networks: both, names, incomplete: false, turn: 0 };
    expect(answerQuestion({ name: 'web', type: A, class: 3 }, context)).toEqual({ kind: 'forward' });
  });
});

function record(networkId: string, address: string, names: string[], services: string[]): EndpointRecord {
  return {
    networkId,
    endpointId: `${networkId}-${address}`,
    owner: 'n1',
    address,
    mac: '',
    vtep: '',
    vni: 1,
    names,
    services,
  };
}
