import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { advance } from '../../../../../worker/network/overlay/advance.ts';
import {
  type DesiredOverlay,
  emptyOverlay,
  emptyRoute,
  type ObservedOverlay,
  type Peer,
} from '../../../../../worker/network/overlay/overlay-state.ts';
import { choosePeers } from '../../../../../worker/network/overlay/peer-choice.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';
import { ModelNamespace } from '../../../../fixtures/model-kernel.ts';

const OWN = '192.168.0.1';

const BASE: DesiredOverlay = {
  networkId: 'n1',
  vni: 4097,
  subnets: [{ subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' }],
  mtu: 1450,
  dataPath: 'vxlan',
  vtep: OWN,
  port: 4789,
  local: [{ endpointId: 'e0', address: '10.0.0.9', mac: '02:42:0a:00:00:09', link: 'vethe0' }],
  peers: [],
};

function peer(change: Partial<Peer>): Peer {
  return { endpointId: 'p', address: '10.0.0.5', mac: '02:42:0a:00:00:05', vtep: '192.168.0.2', since: 1, ...change };
}

describe('choosePeers', () => {
  const cases: { id: string; peers: Peer[]; forwarding: [string, string][]; neighbours: [string, string][] }[] = [
    {
      id: 'a remote record',
      peers: [peer({})],
      forwarding: [['02:42:0a:00:00:05', '192.168.0.2']],
      neighbours: [['10.0.0.5', '02:42:0a:00:00:05']],
    },
    { id: 'our own VTEP is local', peers: [peer({ vtep: OWN })], forwarding: [], neighbours: [] },
    {
      id: 'both addresses of a peer',
      peers: [peer({ address6: 'fd00::5' })],
      forwarding: [['02:42:0a:00:00:05', '192.168.0.2']],
      neighbours: [
        ['10.0.0.5', '02:42:0a:00:00:05'],
        ['fd00::5', '02:42:0a:00:00:05'],
      ],
    },
    ...['fd00:0::5', 'FD00::5', 'fe80::5', 'ff02::5', '::', 'fd00::5%eth0', '10.0.0.6', '::ffff:a00:6', 'x'].map(
      (address6) => ({
        id: `an IPv6 address that is none: ${address6}`,
        peers: [peer({ address6 })],
        forwarding: [['02:42:0a:00:00:05', '192.168.0.2']] as [string, string][],
        neighbours: [['10.0.0.5', '02:42:0a:00:00:05']] as [string, string][],
      }),
    ),
    { id: 'a VTEP of the other family', peers: [peer({ vtep: 'fd00:77::2' })], forwarding: [], neighbours: [] },
    { id: 'the address of a local container', peers: [peer({ address: '10.0.0.9' })], forwarding: [], neighbours: [] },
    { id: 'the MAC of a local container', peers: [peer({ mac: '02:42:0a:00:00:09' })], forwarding: [], neighbours: [] },
    {
      id: 'the newest owner of an address wins',
      peers: [peer({ endpointId: 'z', since: 1 }), peer({ endpointId: 'a', since: 2, vtep: '192.168.0.3' })],
      forwarding: [['02:42:0a:00:00:05', '192.168.0.3']],
      neighbours: [['10.0.0.5', '02:42:0a:00:00:05']],
    },
    {
      id: 'of two as old, the greater endpoint ID wins',
      peers: [peer({ endpointId: 'b', vtep: '192.168.0.3' }), peer({ endpointId: 'a' })],
      forwarding: [['02:42:0a:00:00:05', '192.168.0.3']],
      neighbours: [['10.0.0.5', '02:42:0a:00:00:05']],
    },
    { id: 'no IPv4 address', peers: [peer({ address: '10.0.0.256' })], forwarding: [], neighbours: [] },
    {
      id: 'a command in the MAC',
      peers: [peer({ mac: '02:42:0a:00:00:05\nlink del' })],
      forwarding: [],
      neighbours: [],
    },
    { id: 'a multicast MAC', peers: [peer({ mac: '01:00:5e:00:00:01' })], forwarding: [], neighbours: [] },
    { id: 'a command in the VTEP', peers: [peer({ vtep: '1.1.1.1 self' })], forwarding: [], neighbours: [] },
  ];

  it.each(cases)('$id', ({ peers, forwarding, neighbours }) => {
    const chosen = choosePeers({ ...BASE, peers });
    expect([...chosen.forwarding]).toEqual(forwarding);
    expect([...chosen.neighbours]).toEqual(neighbours);
  });

  test.prop([fc.shuffledSubarray([0, 1, 2, 3, 4, 5], { minLength: 6 })])('does not depend on order', (order) => {
    const peers = [0, 1, 2, 3, 4, 5].map((n) =>
      peer({ endpointId: `e${n}`, address: `10.0.0.${5 + (n % 2)}`, since: n % 3, vtep: `192.168.0.${n + 2}` }),
    );
    const shuffled = order.flatMap((index) => peers[index] ?? []);
    expect(choosePeers({ ...BASE, peers: shuffled })).toEqual(choosePeers({ ...BASE, peers }));
  });
});

const octet = fc.integer({ min: 2, max: 8 });
const mac = octet.map((n) => `02:42:0a:00:00:0${n}`);
const vtep = fc.constantFrom(OWN, '192.168.0.2', '192.168.0.3');
const link = fc.record({ mtu: fc.constantFrom(1450, 1500), up: fc.boolean(), mac: fc.constant('02:42:0a:00:00:01') });
const master = fc.constantFrom<{ master?: string }>({}, { master: 'br0' });

const desired: fc.Arbitrary<DesiredOverlay> = fc
  .record({
    mtu: fc.constantFrom(1450, 1400),
    vni: fc.constantFrom(4097, 4098),
    local: fc.uniqueArray(octet, { maxLength: 3 }),
    peers: fc.array(
      fc.record({ endpointId: fc.string(), address: octet.map((n) => `10.0.0.${n}`), mac, vtep, since: fc.nat(3) }),
    ),
  })
  .map(({ local, ...rest }) => ({
    ...BASE,
    ...rest,
    local: local.map((n) => ({
      endpointId: `e${n}`,
      address: `10.0.0.${n}`,
      mac: `02:42:0a:00:00:0${n}`,
      link: `vethe${n}`,
    })),
  }));

const vxlan = fc
  .tuple(
    link,
    master,
    fc.record({
      vni: fc.constantFrom(4097, 4098),
      local: vtep,
      port: fc.constantFrom(4789, 4790),
      silent: fc.boolean(),
      portLearning: fc.boolean(),
    }),
  )
  .map(([base, enslaved, own]) => ({ ...base, ...enslaved, ...own }));

const rows = fc.record({
  forwarding: fc.array(fc.tuple(mac, fc.record({ vtep, permanent: fc.boolean() }))),
  bridged: fc.array(fc.tuple(mac, fc.boolean())),
  neighbours: fc.array(
    fc.tuple(
      octet.map((n) => `10.0.0.${n}`),
      fc.record({ mac, permanent: fc.boolean() }),
    ),
  ),
});

const observed: fc.Arbitrary<ObservedOverlay> = fc
  .record({
    namespace: fc.boolean(),
    bridge: fc.option(fc.tuple(link, fc.subarray(['10.0.0.1/24', '10.0.0.99/24'])), { nil: undefined }),
    vxlan: fc.option(vxlan, { nil: undefined }),
    ports: fc.array(
      fc.tuple(
        octet.map((n) => `vethe${n}`),
        fc.tuple(link, master),
      ),
    ),
    rows,
  })
  .map((seed) => {
    if (!seed.namespace) return emptyOverlay();
    const { bridge, vxlan: device } = seed;
    return {
      namespace: true,
      ...(bridge === undefined ? {} : { bridge: { ...bridge[0], addresses: new Set(bridge[1]) } }),
      ...(device === undefined ? {} : { vxlan: device }),
      ports: new Map(seed.ports.map(([name, [base, enslaved]]) => [name, { ...base, ...enslaved }])),
      forwarding: new Map(device === undefined ? [] : seed.rows.forwarding),
      bridged: new Map(device === undefined ? [] : seed.rows.bridged),
      neighbours: new Map(device === undefined ? [] : seed.rows.neighbours),
      route: emptyRoute(),
    };
  });

describe('plan against a kernel', () => {
  test.prop([fc.option(desired, { nil: undefined }), observed])('reaches what is desired in one pass', (want, have) => {
    const kernel = new ModelNamespace();
    kernel.state = structuredClone(have);
    for (const operation of plan(want, have))
      expect([operation, kernel.apply(operation)]).toEqual([operation, undefined]);
    expect(plan(want, kernel.state)).toEqual([]);
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
    for (const operation of plan(want, structuredClone(kernel.state))) expect(kernel.apply(operation)).toBeUndefined();
    expectReached(want, kernel.state);
  });

  it('leaves links of others alone', () => {
    const have = { ...emptyOverlay(), namespace: true, ports: new Map([['lb0', { mtu: 1, up: true, mac: '' }]]) };
    expect(plan(BASE, have).filter((operation) => 'link' in operation && operation.link === 'lb0')).toEqual([]);
  });
});

/** Said again, without the plan's own words. */
function expectReached(want: DesiredOverlay, have: ObservedOverlay): void {
  expect(have.bridge).toMatchObject({ up: true, addresses: new Set(['10.0.0.1/24']), mac: '02:42:0a:00:00:01' });
  expect(have.vxlan).toMatchObject({
    vni: want.vni,
    local: OWN,
    port: 4789,
    mtu: want.mtu,
    up: true,
    master: 'br0',
    silent: true,
    portLearning: false,
  });
  for (const [address, { mac: found }] of have.neighbours) {
    const owners = want.peers.filter((each) => each.address === address && each.mac === found && each.vtep !== OWN);
    expect(owners).not.toEqual([]);
    expect(have.forwarding.get(found)?.permanent).toBe(true);
    expect(have.bridged.get(found)).toBe(true);
    expect(want.local.map((port) => port.address)).not.toContain(address);
  }
  expect([...have.forwarding.keys()].toSorted()).toEqual([...have.bridged.keys()].toSorted());
  for (const name of have.ports.keys()) expect(want.local.map((port) => port.link)).toContain(name);
}

describe('a node that has not heard of everybody yet', () => {
  const want: DesiredOverlay = { ...BASE, peers: [peer({})] };
  const moved = peer({ endpointId: 'q', address: '10.0.0.7', mac: '02:42:0a:00:00:07', vtep: '192.168.0.3' });
  const rowsOf = ({ forwarding, bridged, neighbours }: ObservedOverlay): unknown => [
    [...forwarding].map(([mac, { vtep }]) => `${mac} ${vtep}`).toSorted(),
    [...bridged.keys()].toSorted(),
    [...neighbours.keys()].toSorted(),
  ];

  const after = (first: DesiredOverlay, second: DesiredOverlay): ObservedOverlay => {
    const observed = emptyOverlay();
    for (const each of [first, second]) for (const operation of plan(each, observed)) advance(observed, operation);
    return observed;
  };

  it('keeps the rows that an earlier life left, until it has', () => {
    const kept = after({ ...want, peers: [peer({}), moved] }, { ...want, isPartial: true });
    expect(rowsOf(kept)).toEqual(rowsOf(after(want, { ...want, peers: [peer({}), moved] })));
    for (const operation of plan(want, kept)) advance(kept, operation);
    expect(rowsOf(kept)).toEqual(rowsOf(after(want, want)));
  });

  it('follows at once an address that has moved, to another host or here', () => {
    const elsewhere = after(want, { ...want, isPartial: true, peers: [peer({ vtep: '192.168.0.3' })] });
    expect(elsewhere.forwarding.get('02:42:0a:00:00:05')?.vtep).toBe('192.168.0.3');
    const local = { endpointId: 'e1', address: '10.0.0.5', mac: '02:42:0a:00:00:05', link: 'vethe1' };
    const here = after(want, { ...want, isPartial: true, peers: [], local: [...BASE.local, local] });
    expect(rowsOf(here)).toEqual([[], [], []]);
  });
});

describe('a network of several subnets', () => {
  const desired: DesiredOverlay = {
    ...BASE,
    subnets: [
      { subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' },
      { subnet: '10.1.0.0/24', gateway: '10.1.0.254/24' },
      { subnet: 'fd00::/64', gateway: 'fd00::1/64' },
    ],
  };

  it('has every gateway on its bridge, and the MAC of the first', () => {
    const operations = plan(desired, emptyOverlay());
    expect(operations).toContainEqual({ kind: 'create-namespace', ipv6: true });
    expect(operations).toContainEqual({ kind: 'create-bridge', mac: '02:42:0a:00:00:01', mtu: 1450 });
    expect(operations.flatMap((each) => (each.kind === 'add-address' ? each.address : []))).toEqual([
      '10.0.0.1/24',
      '10.1.0.254/24',
      'fd00::1/64',
    ]);
    expect(plan(BASE, emptyOverlay())).toContainEqual({ kind: 'create-namespace', ipv6: false });
  });

  it('is finished when its plan has been carried out, and repairs its addresses', () => {
    const observed = emptyOverlay();
    for (const operation of plan(desired, observed)) advance(observed, operation);
    expect(plan(desired, observed)).toEqual([]);
    observed.bridge?.addresses.delete('fd00::1/64');
    observed.bridge?.addresses.add('fd00:66::1/64');
    expect(plan(desired, observed)).toEqual([
      { kind: 'delete-address', address: 'fd00:66::1/64' },
      { kind: 'add-address', address: 'fd00::1/64' },
    ]);
  });
});
