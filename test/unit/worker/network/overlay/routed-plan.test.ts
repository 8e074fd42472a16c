import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { advance } from '../../../../../worker/network/overlay/advance.ts';
import {
  type DesiredOverlay,
  type DesiredRoute,
  emptyOverlay,
  emptyRoute,
  type LocalPort,
  type ObservedOverlay,
  type ObservedRoute,
  shortcutKey,
  sourceKey,
  type Underlay,
} from '../../../../../worker/network/overlay/overlay-state.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';
import { BARE_MAC } from '../../../../../worker/network/overlay/shortcut-plan.ts';
import { ModelNamespace } from '../../../../fixtures/model-kernel.ts';

const OWN = '192.168.0.1';
const NEAR = '192.168.0.2';
const FAR = '192.168.9.3';
const NEAR_MAC = '5e:00:00:00:01:02';
const OTHER_MAC = '5e:00:00:00:01:04';
const ETH0 = { link: 'eth0', mac: '5e:00:00:00:01:01' };

const BASE: DesiredOverlay = {
  networkId: 'n1',
  vni: 4097,
  subnets: [
    { subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' },
    { subnet: 'fd00::/64', gateway: 'fd00::1/64' },
  ],
  mtu: 1500,
  dataPath: 'routed',
  vtep: OWN,
  port: 4789,
  local: [{ endpointId: 'e9', address: '10.0.0.9', address6: 'fd00::9', mac: macOf(9), link: 'vethe9' }],
  peers: [peer(5, NEAR), peer(6, FAR)],
  route: routeOf([[NEAR, NEAR_MAC]]),
};

function routeOf(neighbours: readonly (readonly [string, string])[]): DesiredRoute {
  return { underlay: ETH0, neighbours: new Map(neighbours), senders: new Map(neighbours) };
}

function macOf(octet: number): string {
  return `02:42:0a:00:00:0${octet}`;
}

function peer(octet: number, vtep: string) {
  return {
    endpointId: `p${octet}`,
    address: `10.0.0.${octet}`,
    address6: `fd00::${octet}`,
    mac: macOf(octet),
    vtep,
    since: 1,
  };
}

/** A kernel in which everything is as desired. */
function reached(want: DesiredOverlay): ModelNamespace {
  const kernel = new ModelNamespace();
  carryOut(kernel, want);
  return kernel;
}

function carryOut(kernel: ModelNamespace, want: DesiredOverlay | undefined): string[] {
  const operations = plan(want, structuredClone(kernel.state));
  for (const operation of operations) expect([operation, kernel.apply(operation)]).toEqual([operation, undefined]);
  expect(plan(want, kernel.state)).toEqual([]);
  return operations.map(({ kind }) => kind);
}

describe('a routed network', () => {
  it('sends to a neighbour host bare, to any other by VXLAN, and knows the neighbour by its MAC', () => {
    const { route, bridged, neighbours, forwarding } = reached(BASE).state;
    expect(route).toMatchObject({
      table: true,
      underlay: ETH0,
      link: { up: true, quiet: true, master: 'br0', mtu: 1500 },
      end: { up: true, mtu: 1500 },
      routes: new Map([
        ['10.0.0.5', NEAR_MAC],
        ['fd00::5', NEAR_MAC],
      ]),
      sources: new Set([sourceKey(NEAR_MAC, '10.0.0.5'), sourceKey(NEAR_MAC, 'fd00::5')]),
      ports: new Map([
        ['10.0.0.9', macOf(9)],
        ['fd00::9', macOf(9)],
      ]),
      bridged: new Map([[macOf(5), true]]),
    });
    expect(bridged).toEqual(new Map([[macOf(6), true]]));
    expect([...neighbours.keys()]).toEqual(['10.0.0.5', 'fd00::5', '10.0.0.6', 'fd00::6']);
    expect(forwarding.get(macOf(5))?.vtep).toBe(NEAR);
  });

  it('is complete before it is let loose: table before links are up, table rows before frames, frames before names', () => {
    const kinds = plan(BASE, emptyOverlay()).map((operation) =>
      operation.kind === 'set-up' ? `set-up ${operation.link}` : operation.kind,
    );
    const order = ['install-table', 'set-up routed0', 'put-route', 'put-routed', 'put-neighbour'];
    const places = order.map((kind) => kinds.indexOf(kind));
    expect(places).not.toContain(-1);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
  });

  const changes: { id: string; change: Partial<DesiredOverlay>; kinds: string[] }[] = [
    {
      id: 'a neighbour that is no longer one gets VXLAN first',
      change: { route: routeOf([]) },
      kinds: ['put-bridged', 'delete-route', 'delete-source'],
    },
    {
      id: 'a neighbour that has us for one still, and is heard',
      change: { route: { ...routeOf([]), senders: new Map([[NEAR, NEAR_MAC]]) } },
      kinds: ['put-bridged', 'delete-route'],
    },
    {
      id: 'a host that became a neighbour',
      change: { route: routeOf([...nearOnly(), [FAR, '5e:00:00:00:01:03']]) },
      kinds: ['put-route', 'put-source', 'put-routed'],
    },
    {
      id: 'another MAC of the neighbour is let in before the old one is forgotten',
      change: { route: routeOf([[NEAR, OTHER_MAC]]) },
      kinds: ['delete-route', 'put-route', 'delete-route', 'put-route', 'put-source', 'delete-source'],
    },
    {
      id: 'an endpoint that moved to a host behind a router',
      change: { peers: [peer(5, FAR), peer(6, FAR)] },
      kinds: ['put-forwarding', 'put-bridged', 'delete-route', 'delete-source'],
    },
    {
      id: 'an endpoint that moved here',
      change: {
        peers: [peer(6, FAR)],
        local: [...BASE.local, { endpointId: 'e5', address: '10.0.0.5', mac: macOf(5), link: 'vethe5' }],
      },
      kinds: ['delete-neighbour', 'put-port', 'delete-forwarding', 'delete-routed', 'delete-route', 'delete-source'],
    },
    {
      id: 'another link of the host',
      change: { route: { ...routeOf(nearOnly()), underlay: { ...ETH0, link: 'eth1' } } },
      kinds: ['install-table', 'put-route', 'put-port', 'put-source'],
    },
    {
      id: 'another MAC of this host',
      change: { route: { ...routeOf(nearOnly()), underlay: { ...ETH0, mac: OTHER_MAC } } },
      kinds: ['install-table', 'put-route', 'put-port', 'put-source'],
    },
    {
      id: 'an IPv6 address that an endpoint here has now, while the IPv4 address beside it stays where it is',
      change: { local: [{ ...BASE.local[0], address6: 'fd00::5' } as LocalPort] },
      kinds: ['delete-neighbour', 'put-port', 'delete-route', 'delete-port', 'delete-source'],
    },
    {
      id: 'an IPv6 address that went to a host behind a router, while the IPv4 address beside it stays',
      change: { peers: [peer(5, NEAR), { ...peer(6, FAR), address6: 'fd00::5', claimedAt: 2 }] },
      kinds: ['delete-neighbour', 'put-neighbour', 'delete-route', 'delete-source'],
    },
    {
      id: 'an endpoint with IPv4 alone',
      change: { peers: [withoutSix(peer(5, NEAR)), peer(6, FAR)] },
      kinds: ['delete-neighbour', 'delete-route', 'delete-source'],
    },
    {
      id: 'no link of the host',
      change: withoutRoute(),
      kinds: ['delete-table', 'delete-link', 'put-bridged'],
    },
  ];

  it.each(changes)('follows: $id', ({ change, kinds }) => {
    const kernel = reached(BASE);
    const want = { ...BASE, ...change };
    if ('route' in change && change.route === undefined) delete want.route;
    expect(carryOut(kernel, want).filter((kind, at, all) => kind !== all[at - 1])).toEqual(kinds);
  });

  it('leaves nothing behind', () => {
    const kernel = reached(BASE);
    expect(carryOut(kernel, undefined)).toEqual(['delete-table', 'delete-link', 'delete-namespace']);
    expect(kernel.state).toEqual(emptyOverlay());
  });

  it('removes a table whose namespace is gone', () => {
    const have = emptyOverlay();
    have.route.table = true;
    expect(plan(undefined, have)).toEqual([{ kind: 'delete-table' }]);
  });

  function nearOnly(): [string, string][] {
    return [[NEAR, NEAR_MAC]];
  }

  function withoutSix({ address6: _address6, ...rest }: ReturnType<typeof peer>) {
    return rest;
  }

  function withoutRoute(): Partial<DesiredOverlay> {
    return { route: undefined } as unknown as Partial<DesiredOverlay>;
  }
});

const octet = fc.integer({ min: 2, max: 8 });
const mac = octet.map(macOf);
const address = fc.tuple(octet, fc.boolean()).map(([n, six]) => (six ? `fd00::${n}` : `10.0.0.${n}`));
/** Of an endpoint's second address; without one it has IPv4 alone. */
const six = fc.option(octet, { nil: undefined });
const vtep = fc.constantFrom(OWN, NEAR, FAR, '192.168.0.4');
const hostMac = fc.constantFrom(NEAR_MAC, OTHER_MAC);
const mtu = fc.constantFrom(1400, 1500);
const neighbours = fc.array(fc.tuple(vtep, hostMac)).map((pairs) => new Map(pairs));
const underlay = fc.constantFrom(ETH0, { ...ETH0, link: 'eth1' }, { ...ETH0, mac: OTHER_MAC });

const desired: fc.Arbitrary<DesiredOverlay> = fc
  .record({
    mtu,
    local: fc.uniqueArray(octet, { maxLength: 3 }),
    peers: fc.array(fc.tuple(octet, octet, vtep, fc.nat(3), six)),
    route: fc.option(fc.record({ underlay, neighbours, senders: neighbours }), { nil: undefined }),
    hasShortcuts: fc.boolean(),
  })
  .map(({ mtu: bytes, local, peers, route, hasShortcuts }) => {
    const { route: _none, ...base } = BASE;
    return {
      ...base,
      mtu: bytes,
      local: local.map((n) => ({
        endpointId: `e${n}`,
        address: `10.0.0.${n}`,
        // An even one has IPv4 alone.
        ...(n % 2 === 0 ? {} : { address6: `fd00::${n}` }),
        mac: macOf(n),
        link: `vethe${n}`,
      })),
      peers: peers.map(([n, m, host, since, n6], index) => ({
        endpointId: `p${index}`,
        address: `10.0.0.${n}`,
        ...(n6 === undefined ? {} : { address6: `fd00::${n6}` }),
        mac: macOf(m),
        vtep: host,
        since,
      })),
      ...(route === undefined ? {} : { route }),
      ...(hasShortcuts ? { hasShortcuts } : {}),
    };
  });

function keyOf(n: number, by: Underlay): string {
  const address6 = n % 2 === 0 ? {} : { address6: `fd00::${n}` };
  return shortcutKey({ address: `10.0.0.${n}`, ...address6, mac: macOf(n), underlay: by });
}

const observedRoute: fc.Arbitrary<ObservedRoute> = fc
  .record({
    link: fc.option(fc.record({ mtu, up: fc.boolean(), mac: fc.constant(''), quiet: fc.boolean() }), {
      nil: undefined,
    }),
    enslaved: fc.boolean(),
    end: fc.option(fc.record({ mtu, up: fc.boolean() }), { nil: undefined }),
    bridged: fc.array(fc.tuple(mac, fc.boolean())),
    table: fc.boolean(),
    underlay: fc.option(underlay, { nil: undefined }),
    routes: fc.array(fc.tuple(address, hostMac)),
    sources: fc.array(fc.tuple(hostMac, address)),
    ports: fc.array(fc.tuple(address, mac)),
    lowers: fc.array(fc.tuple(octet, fc.record({ mtu, up: fc.boolean(), mac: fc.constantFrom(BARE_MAC, macOf(3)) }))),
    shortcuts: fc.array(fc.tuple(octet, underlay, fc.boolean())),
  })
  .map((seed) => {
    const { link, end } = seed;
    const intact = seed.table && seed.underlay !== undefined && end !== undefined;
    return {
      ...(link === undefined ? {} : { link: { ...link, ...(seed.enslaved ? { master: 'br0' } : {}) } }),
      ...(end === undefined ? {} : { end }),
      bridged: new Map(link === undefined || !seed.enslaved ? [] : seed.bridged),
      table: seed.table,
      ...(intact && seed.underlay !== undefined ? { underlay: seed.underlay } : {}),
      routes: new Map(intact ? seed.routes : []),
      sources: new Set(intact ? seed.sources.map(([host, ip]) => sourceKey(host, ip)) : []),
      ports: new Map(intact ? seed.ports : []),
      lowers: new Map(seed.lowers.map(([n, lower]) => [`wgle${n}`, lower])),
      shortcuts: new Map(intact ? seed.shortcuts.map(([n, by, whole]) => [`wgle${n}`, whole ? keyOf(n, by) : '']) : []),
    };
  });

/** Overlays with every device there; what becomes of those is plan.test.ts's business. */
const observed: fc.Arbitrary<ObservedOverlay> = fc
  .record({ namespace: fc.boolean(), route: observedRoute, bridged: fc.array(fc.tuple(mac, fc.boolean())) })
  .map(({ namespace, route, bridged }) => {
    if (!namespace) return { ...emptyOverlay(), route: { ...emptyRoute(), table: route.table } };
    const { state } = reached({ ...BASE, local: [], peers: [] });
    // One row for a MAC, whatever its port.
    const rows = bridged.filter(([each]) => !route.bridged.has(each));
    return { ...state, route, bridged: new Map(rows) };
  });

describe('plan of a routed network against a kernel', () => {
  test.prop([fc.option(desired, { nil: undefined }), observed])('reaches what is desired in one pass', (want, have) => {
    const kernel = new ModelNamespace();
    kernel.state = structuredClone(have);
    carryOut(kernel, want);
    if (want === undefined) expect(kernel.state).toEqual(emptyOverlay());
    else expectReached(want, kernel.state);
  });

  test.prop([desired, observed])('remembers what it has done', (want, have) => {
    const memory = structuredClone(have);
    for (const operation of plan(want, have)) advance(memory, operation);
    expect(plan(want, memory)).toEqual([]);
  });

  test.prop([desired, observed, fc.func(fc.boolean())])('goes on from any failure', (want, have, fails) => {
    const kernel = new ModelNamespace();
    kernel.state = structuredClone(have);
    for (const operation of plan(want, have)) if (!fails(operation)) kernel.apply(operation);
    carryOut(kernel, want);
    expectReached(want, kernel.state);
  });

  test.prop([desired, desired])('changes from one to the other', (first, second) => {
    const kernel = reached(first);
    carryOut(kernel, second);
    expectReached(second, kernel.state);
  });

  test.prop([fc.array(desired, { minLength: 2, maxLength: 5 })])('works from memory for ever', (wants) => {
    const kernel = new ModelNamespace();
    const memory = emptyOverlay();
    for (const want of wants) {
      for (const operation of plan(want, memory)) {
        expect([operation, kernel.apply(operation)]).toEqual([operation, undefined]);
        advance(memory, operation);
      }
      expect(plan(want, kernel.state)).toEqual([]);
      expectReached(want, kernel.state);
    }
  });
});

/** Said again, without the plan's own words. */
function expectReached(want: DesiredOverlay, { route, bridged, forwarding, neighbours: known }: ObservedOverlay): void {
  const near = want.route?.neighbours ?? new Map<string, string>();
  for (const row of bridged.keys()) expect(route.bridged.has(row)).toBe(false);
  for (const [row, { vtep: host }] of forwarding) {
    const answered = [...known.values()].some((each) => each.mac === row);
    const way = answered && near.has(host) ? route.bridged : bridged;
    expect([row, way.get(row)]).toEqual([row, true]);
  }
  for (const { endpointId } of want.local) {
    const lower = route.lowers.get(`wgl${endpointId}`);
    if (lower !== undefined) expect(lower).toMatchObject({ up: true, mtu: want.mtu });
  }
  if (want.route === undefined) return expect(route).toEqual({ ...emptyRoute(), lowers: route.lowers });
  const { underlay: by } = want.route;
  const short = want.local.filter(({ endpointId }) => want.hasShortcuts && route.lowers.has(`wgl${endpointId}`));
  const keys = short.map((each) => [`wgl${each.endpointId}`, shortcutKey({ ...each, underlay: by })] as const);
  expect(route.shortcuts).toEqual(new Map(keys));
  const routed = [...known].filter(([, each]) => route.bridged.has(each.mac));
  expect([...route.routes.keys()].toSorted()).toEqual(routed.map(([ip]) => ip).toSorted());
  for (const [ip, each] of routed) {
    expect(route.routes.get(ip)).toBe(near.get(forwarding.get(each.mac)?.vtep ?? ''));
  }
  const sources = [...known].flatMap(([ip, each]) => {
    const sender = want.route?.senders.get(forwarding.get(each.mac)?.vtep ?? '');
    return sender === undefined ? [] : [sourceKey(sender, ip)];
  });
  expect([...route.sources].toSorted()).toEqual(sources.toSorted());
  const ports = want.local.flatMap(({ address: four, address6, mac: of }) => [
    [four, of] as const,
    ...(address6 === undefined ? [] : [[address6, of] as const]),
  ]);
  expect(route.ports).toEqual(new Map(ports));
  expect(route).toMatchObject({ underlay: want.route.underlay, link: { up: true, quiet: true }, end: { up: true } });
}
