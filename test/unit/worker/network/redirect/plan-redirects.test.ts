import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { placeRedirects, planRedirects } from '../../../../../worker/network/redirect/plan-redirects.ts';
import { redirectDifferences } from '../../../../../worker/network/redirect/redirect-differences.ts';
import { redirectFamily, redirectHandle } from '../../../../../worker/network/redirect/redirect-handle.ts';
import {
  type DesiredRedirects,
  emptyFamily,
  emptyLink,
  FAMILIES,
  type ObservedFamily,
  type ObservedLink,
  type ObservedRedirects,
  type RedirectFamily,
} from '../../../../../worker/network/redirect/redirect-state.ts';
import { copyLink, ModelRedirects } from '../../../../fixtures/model-redirects.ts';

const [MAC, OTHER_MAC] = ['02:00:00:00:00:01', '02:00:00:00:00:02'];
const [LOWER, SECOND] = ['wgl000000000001', 'wgl000000000002'];
const HANDLE = redirectHandle('10.0.5.11', 'ip');

function observe(links: Record<string, ObservedLink>, lowers: readonly string[]): ObservedRedirects {
  return { links: new Map(Object.entries(links)), lowers: new Set(lowers) };
}

function want(redirects: Record<string, string>, link = 'eth0', mac = MAC): DesiredRedirects {
  return { underlay: { link, mac }, redirects: new Map(Object.entries(redirects)) };
}

function made(rows: ObservedFamily['rows']): ObservedFamily {
  return { table: 'made', entries: new Map([['800::1', true]]), rows };
}

const row = { address: '10.0.5.11', mac: MAC, lower: LOWER };
const link = (ip: ObservedFamily, rest: Partial<ObservedLink> = {}): ObservedLink => ({
  ...emptyLink(),
  qdisc: 'clsact',
  ...rest,
  families: { ip, ipv6: emptyFamily() },
});
const wanted = want({ '10.0.5.11': LOWER });

describe('handles', () => {
  it.each([
    { address: '10.0.5.11', family: 'ip', handle: '7a6:b:a6' },
    { address: '10.0.5.255', family: 'ip', handle: '7a6:ff:a6' },
    { address: '10.0.5.0', family: 'ip', handle: '7a6::a6' },
    { address: 'fd00::5:11', family: 'ipv6', handle: '7a7:11:4d2' },
  ] as const)('has $handle for $address', ({ address, family, handle }) => {
    expect(redirectFamily(address)).toBe(family);
    expect(redirectHandle(address, family)).toBe(handle);
  });

  it('are of one address each within any 4095 blocks of 256, and never 0', () =>
    fc.assert(
      fc.property(fc.nat(0xff_ff_ff - 4_095), fc.nat(4_094), fc.nat(4_094), (start, a, b) => {
        const handleAt = (block: number): string =>
          redirectHandle(`${block >> 16}.${(block >> 8) & 255}.${block & 255}.7`, 'ip');
        expect(handleAt(start + a) === handleAt(start + b)).toBe(a === b);
        expect(handleAt(start + a)).not.toMatch(/:0$/);
      }),
    ));
});

describe('planRedirects', () => {
  it.each([
    {
      id: 'makes everything',
      desired: wanted,
      found: observe({}, [LOWER]),
      kinds: ['create-qdisc', 'create-table', 'create-redirect', 'create-entry'],
    },
    {
      id: 'waits for a lower link',
      desired: wanted,
      found: observe({}, [SECOND]),
      kinds: [],
    },
    {
      id: 'is content',
      desired: wanted,
      found: observe({ eth0: link(made(new Map([[HANDLE, row]]))) }, [LOWER]),
      kinds: [],
    },
    {
      id: 'adds to the qdisc of somebody else',
      desired: wanted,
      found: observe({ eth0: { ...emptyLink(), qdisc: 'ingress', others: true } }, [LOWER]),
      kinds: ['create-table', 'create-redirect', 'create-entry'],
    },
    {
      id: 'replaces a row to a link that is gone',
      desired: wanted,
      found: observe({ eth0: link(made(new Map([[HANDLE, { ...row, lower: undefined }]]))) }, [LOWER]),
      kinds: ['delete-redirect', 'create-redirect'],
    },
    {
      id: 'replaces a row that cannot be read',
      desired: wanted,
      found: observe({ eth0: link(made(new Map([[HANDLE, 'altered']]))) }, [LOWER]),
      kinds: ['delete-redirect', 'create-redirect'],
    },
    {
      id: 'replaces a row with another MAC',
      desired: want({ '10.0.5.11': LOWER }, 'eth0', OTHER_MAC),
      found: observe({ eth0: link(made(new Map([[HANDLE, row]]))) }, [LOWER]),
      kinds: ['delete-redirect', 'create-redirect'],
    },
    {
      id: 'replaces what leads into the table, and takes away what is beside it',
      desired: wanted,
      found: observe(
        {
          eth0: link({
            ...made(new Map([[HANDLE, row]])),
            entries: new Map([
              ['800::1', false],
              ['800::800', false],
            ]),
          }),
        },
        [LOWER],
      ),
      kinds: ['delete-entry', 'delete-entry', 'create-entry'],
    },
    {
      id: 'makes an altered table anew',
      desired: wanted,
      found: observe({ eth0: link({ ...made(new Map([[HANDLE, row]])), table: 'altered' }) }, [LOWER]),
      kinds: ['delete-table', 'create-table', 'create-redirect', 'create-entry'],
    },
    {
      id: 'leaves alone what somebody else has in its place',
      desired: wanted,
      found: observe({ eth0: link({ ...emptyFamily(), table: 'taken' }, { others: true }) }, [LOWER]),
      kinds: [],
    },
    {
      id: 'leaves filters alone that are shared with other links',
      desired: wanted,
      found: observe({ eth0: { ...emptyLink(), qdisc: 'shared' } }, [LOWER]),
      kinds: [],
    },
    {
      id: 'removes everything, the qdisc too',
      desired: undefined,
      found: observe({ eth0: link(made(new Map([[HANDLE, row]]))) }, [LOWER]),
      kinds: ['delete-table', 'delete-qdisc'],
    },
    {
      id: 'keeps a qdisc that others use',
      desired: undefined,
      found: observe({ eth0: link(made(new Map([[HANDLE, row]])), { others: true }) }, [LOWER]),
      kinds: ['delete-table'],
    },
    {
      id: 'keeps a qdisc that is none of ours',
      desired: undefined,
      found: observe({ eth0: link(made(new Map([[HANDLE, row]])), { qdisc: 'ingress' }) }, [LOWER]),
      kinds: ['delete-table'],
    },
    {
      id: 'keeps an empty qdisc in which it had nothing',
      desired: undefined,
      found: observe({ eth0: link(emptyFamily()) }, [LOWER]),
      kinds: [],
    },
    {
      id: 'clears the former underlay link first',
      desired: wanted,
      found: observe({ eth1: link(made(new Map([[HANDLE, row]]))) }, [LOWER]),
      kinds: ['delete-table', 'delete-qdisc', 'create-qdisc', 'create-table', 'create-redirect', 'create-entry'],
    },
    {
      id: 'has nothing for what is not an address as a container has it',
      desired: want({ '10.0.5.011': LOWER, 'fe80::1': LOWER, x: LOWER }),
      found: observe({}, [LOWER]),
      kinds: [],
    },
    {
      id: 'has nothing on a link without a MAC',
      desired: want({ '10.0.5.11': LOWER }, 'wg0', ''),
      found: observe({}, [LOWER]),
      kinds: [],
    },
  ])('$id', ({ desired, found, kinds }) => {
    expect(planRedirects(desired, found).map(({ kind }) => kind)).toEqual(kinds);
  });

  it('gives a handle that two addresses want to the first of them, in whatever order they come', () => {
    const clash = addressLike('10.0.5.11');
    expect(redirectHandle(clash, 'ip')).toBe(HANDLE);
    const found = observe({}, [LOWER, SECOND]);
    for (const redirects of [
      { '10.0.5.11': LOWER, [clash]: SECOND },
      { [clash]: SECOND, '10.0.5.11': LOWER },
    ]) {
      const rows = placeRedirects(want(redirects), found)?.rows.ip;
      expect([...(rows ?? [])]).toEqual([[HANDLE, row]]);
    }
  });
});

it('expects nothing of rows whose lower link is gone', () => {
  const placed = placeRedirects(wanted, observe({}, [LOWER]));
  expect(redirectDifferences(placed, observe({}, [LOWER])).map(({ kind }) => kind)).toEqual(['redirect table missing']);
  expect(redirectDifferences(placed, observe({}, [SECOND]))).toEqual([]);
  expect(redirectDifferences(placed, observe({ eth0: link(made(new Map())) }, [SECOND]))).toEqual([]);
});

/** One with the same handle: 4095 blocks further on. */
function addressLike(address: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
  const block = ((a << 16) | (b << 8) | c) + 4_095;
  return `${block >> 16}.${(block >> 8) & 255}.${block & 255}.${d}`;
}

const LOWERS = [LOWER, SECOND];
const ADDRESSES = ['10.0.5.11', addressLike('10.0.5.11'), '10.0.6.11', 'fd00::5:11', 'fd00::6:11'];
const mac = fc.constantFrom(MAC, OTHER_MAC);
const redirects = fc
  .array(fc.tuple(fc.constantFrom(...ADDRESSES, 'nonsense'), fc.constantFrom(...LOWERS)))
  .map((each) => new Map(each));
const desired: fc.Arbitrary<DesiredRedirects> = fc.record({
  underlay: fc.record({ link: fc.constantFrom('eth0', 'eth1'), mac }),
  redirects,
});
const family = (of: RedirectFamily): fc.Arbitrary<ObservedFamily> => {
  const address = fc.constantFrom(...ADDRESSES.filter((each) => redirectFamily(each) === of));
  const lower = fc.constantFrom(...LOWERS, undefined);
  const found = fc.oneof(fc.constant('altered' as const), fc.record({ address, mac, lower }));
  const rows = fc
    .array(fc.tuple(address, found))
    .map((each) => new Map(each.map(([at, value]) => [redirectHandle(at, of), value])));
  const entries = fc
    .array(fc.tuple(fc.constantFrom('800::1', '800::800', '801::2'), fc.boolean()))
    .map((each) => new Map(each));
  return fc.oneof(
    fc.constantFrom('none' as const, 'taken' as const).map((table) => ({ ...emptyFamily(), table })),
    fc.record({ table: fc.constantFrom('made' as const, 'altered' as const), entries, rows }),
  );
};
const observedLink: fc.Arbitrary<ObservedLink> = fc
  .record({
    qdisc: fc.constantFrom('none' as const, 'ingress' as const, 'clsact' as const, 'shared' as const),
    others: fc.boolean(),
    families: fc.record({ ip: family('ip'), ipv6: family('ipv6') }),
  })
  .map((each) => (each.qdisc === 'ingress' || each.qdisc === 'clsact' ? each : { ...emptyLink(), qdisc: each.qdisc }))
  .map((each) => ({ ...each, others: each.others || FAMILIES.some((of) => each.families[of].table === 'taken') }));

it('leads from anything to what is desired, and then to nothing more; what is others is as before', () =>
  fc.assert(
    fc.asyncProperty(
      fc.option(desired, { nil: undefined }),
      fc.dictionary(fc.constantFrom('eth0', 'eth1', 'eth2'), observedLink),
      fc.subarray(LOWERS),
      async (wish, links, lowers) => {
        const kernel = new ModelRedirects();
        for (const lower of lowers) kernel.addLower(lower);
        // A row that leads to a link that there is not would be shown without one.
        for (const [name, each] of Object.entries(links)) kernel.links.set(name, copyLink(structuredClone(each)));
        for (const lower of LOWERS) if (!lowers.includes(lower)) kernel.removeLower(lower);
        await kernel.apply(planRedirects(wish, await kernel.observe('all')));
        const after = await kernel.observe('all');
        expect(planRedirects(wish, after)).toEqual([]);
        const placed = placeRedirects(wish, after);
        expect(redirectDifferences(placed, after)).toEqual([]);
        for (const [address, lower] of wish?.redirects ?? []) {
          const { link: at = '', mac: to = '' } = wish?.underlay ?? {};
          const of = redirectFamily(address);
          const has = kernel.link(at);
          // Only the first two want the same handle.
          if (of === undefined || ADDRESSES.indexOf(address) < 2) continue;
          const isPossible = lowers.includes(lower) && has.qdisc !== 'shared' && has.families[of].table !== 'taken';
          expect(kernel.wayOf(at, address, to)).toBe(isPossible ? lower : undefined);
        }
        for (const [name, before] of Object.entries(links)) {
          const found = kernel.link(name);
          if (before.others || before.qdisc === 'ingress' || before.qdisc === 'shared')
            expect(found.qdisc).toBe(before.qdisc);
          for (const of of FAMILIES) {
            const { table, rows } = found.families[of];
            if (before.families[of].table === 'taken') expect(found.families[of]).toEqual(before.families[of]);
            else if (name !== wish?.underlay.link) expect(table).toBe('none');
            else expect(rows).toEqual(placed?.rows[of]);
          }
        }
      },
    ),
    { numRuns: 500 },
  ));
