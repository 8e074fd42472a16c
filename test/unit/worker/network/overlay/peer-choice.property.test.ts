import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import type { LocatedRecord } from '../../../../../worker/gossip/endpoint-table.ts';
import { type DesiredOverlay, emptyOverlay } from '../../../../../worker/network/overlay/overlay-state.ts';
import { PeerAges } from '../../../../../worker/network/overlay/peer-ages.ts';
import { choosePeers } from '../../../../../worker/network/overlay/peer-choice.ts';
import { advance } from '../../../../../worker/network/overlay/advance.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';

const ADDRESS = '10.0.0.5';

function desired(ages: PeerAges, records: readonly LocatedRecord[]): DesiredOverlay {
  const facts = { networkId: 'n1', vni: 4097, dataPath: 'vxlan' as const, mtu: 1450, vtep: '192.168.0.1', port: 4789 };
  const subnets = [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' }];
  return { ...facts, subnets, local: [], peers: ages.peersOf(records) };
}

/** Records of some owners for one address, each claimed at another time; some with a MAC of their own. */
const records: fc.Arbitrary<LocatedRecord[]> = fc
  .uniqueArray(fc.record({ claimedAt: fc.nat(1_000), mac: fc.nat(3), id: fc.nat(99) }), {
    minLength: 1,
    maxLength: 5,
    selector: ({ claimedAt }) => claimedAt,
  })
  .map((claims) =>
    claims.map(({ claimedAt, mac, id }, index) => ({
      networkId: 'n1',
      endpointId: `${id}-${index}`,
      owner: `o${index}`,
      address: ADDRESS,
      mac: `02:42:0a:00:00:0${mac}`,
      vtep: `192.168.0.${index + 2}`,
      vni: 4097,
      names: [],
      services: [],
      claimedAt,
      silent: false,
    })),
  );

/** What a host has heard at one time: some of the records, in some order, of owners that are silent or not. */
const hearing = fc.array(fc.record({ which: fc.nat(4), silent: fc.boolean() }), { maxLength: 8 });

describe('choosePeers', () => {
  test.prop([records, fc.array(fc.array(hearing, { maxLength: 6 }), { minLength: 2, maxLength: 4 })], { numRuns: 500 })(
    'one way for an address at any time, and the same newest on all hosts whatever they heard before',
    (all, histories) => {
      const newest = all.toSorted((a, b) => (b.claimedAt ?? 0) - (a.claimedAt ?? 0))[0];
      for (const history of histories) {
        const ages = new PeerAges();
        const observed = emptyOverlay();
        for (const heard of [...history, undefined]) {
          const records =
            heard?.flatMap(({ which, silent }) => all.slice(which, which + 1).map((each) => ({ ...each, silent }))) ??
            all;
          const want = desired(ages, records);
          for (const operation of plan(want, observed)) {
            advance(observed, operation);
            const mac = observed.neighbours.get(ADDRESS)?.mac;
            if (mac !== undefined) expect(observed.forwarding.has(mac), operation.kind).toBe(true);
          }
          expect(choosePeers(want).forwarding.size).toBe(Math.min(1, records.length));
          expect([...observed.forwarding.keys()]).toEqual([...choosePeers(want).forwarding.keys()]);
        }
        const mac = observed.neighbours.get(ADDRESS)?.mac ?? '';
        expect([mac, observed.forwarding.get(mac)?.vtep]).toEqual([newest?.mac, newest?.vtep]);
      }
    },
  );
});
