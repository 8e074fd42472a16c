import { expect, it } from 'vitest';
import { PeerAges } from '../../../../../worker/network/overlay/peer-ages.ts';
import type { LocatedRecord } from '../../../../../worker/gossip/endpoint-table.ts';

function record(endpointId: string, silent = false): LocatedRecord {
  const where = { networkId: 'n', owner: `of-${endpointId}`, address: '10.0.0.5', mac: '02:42:0A:00:00:05', vni: 1 };
  return { ...where, endpointId, vtep: '192.168.0.2', names: [], services: [], silent };
}

const sinceOf = (ages: PeerAges, ...records: LocatedRecord[]): [string, number][] =>
  ages.peersOf(records).map(({ endpointId, since }) => [endpointId, since]);

it('what a silent owner has is older than all else, and has its age again when the owner answers', () => {
  const ages = new PeerAges();
  expect(sinceOf(ages, record('a'))).toEqual([['a', 1]]);
  expect(sinceOf(ages, record('a'), record('b'))).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
  expect(sinceOf(ages, record('a'), record('b', true))).toEqual([
    ['a', 1],
    ['b', 0],
  ]);
  expect(sinceOf(ages, record('a'), record('b'))).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
});
