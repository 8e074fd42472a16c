import { describe, expect, test } from 'vitest';
import type { NetworkObject, NetworkSpec } from '../../../../proto/objects/network.ts';
import { NetworkBook, VXLAN_ID_OPTION } from '../../../../manager/allocator/network-book.ts';
import { messageOf } from '../../../../proto/runtime/errors.ts';

const POOLS = { pools: ['10.0.0.0/8'], subnetSize: 24 };

function network(id: string, spec: Partial<NetworkSpec> = {}): NetworkObject {
  return { ID: id, Version: { Index: 1 }, CreatedAt: '', UpdatedAt: '', Spec: { Name: id, ...spec } };
}

function ipam(config: object): Partial<NetworkSpec> {
  return { IPAMOptions: { Configs: [config] } };
}

function vxlan(list: string): Partial<NetworkSpec> {
  return { DriverConfiguration: { Name: 'overlay', Options: { [VXLAN_ID_OPTION]: list } } };
}

describe('NetworkBook', () => {
  test('the first networks of a swarm look as on Docker', () => {
    const book = new NetworkBook();
    expect(book.plan(network('a'), POOLS)).toEqual({
      Driver: 'overlay',
      VNIs: [4096],
      Subnets: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1', IPRange: '10.0.1.0/24' }],
      Options: { [VXLAN_ID_OPTION]: '4096' },
    });
    expect(book.plan(network('b'), POOLS).Subnets[0]?.Subnet).toBe('10.0.2.0/24');
    expect(book.plan(network('ingress', { Ingress: true }), POOLS).Subnets[0]?.Subnet).toBe('10.0.0.0/24');
    expect(book.plan(network('c'), POOLS).VNIs).toEqual([4099]);
  });

  test('asked again, the answer is the same', () => {
    const book = new NetworkBook();
    expect(book.plan(network('a'), POOLS)).toBe(book.plan(network('a'), POOLS));
  });

  test('a subnet is used again, a VNI is not until it must', () => {
    const book = new NetworkBook();
    book.plan(network('a'), POOLS);
    book.remove('a');
    const again = book.plan(network('b'), POOLS);
    expect([again.Subnets[0]?.Subnet, again.VNIs[0]]).toEqual(['10.0.1.0/24', 4097]);
  });

  test('given subnets, gateway, range and auxiliary addresses are kept', () => {
    const config = {
      Subnet: '192.168.0.0/16',
      Gateway: '192.168.0.254',
      IPRange: '192.168.5.0/24',
      AuxiliaryAddresses: { host: '192.168.5.1' },
    };
    const { Subnets, VNIs } = new NetworkBook().plan(network('a', { ...ipam(config), ...vxlan('77') }), POOLS);
    expect({ Subnets, VNIs }).toEqual({ Subnets: [config], VNIs: [77] });
  });

  test('each subnet has its gateway, and each IPv4 one its VNI', () => {
    const configs = [
      { Subnet: 'FD00:0001::/64', IPRange: 'fd00:1::8000:0/112' },
      { Subnet: '10.7.0.0/24' },
      { Subnet: '10.8.0.0/24', Gateway: '10.8.0.254' },
      { Subnet: 'fd00:2::/64', Gateway: 'fd00:2::FF' },
    ];
    const { Subnets, VNIs } = new NetworkBook().plan(network('a', { IPAMOptions: { Configs: configs } }), POOLS);
    expect(VNIs).toEqual([4096, 4097]);
    expect(Subnets).toEqual([
      { Subnet: 'fd00:1::/64', Gateway: 'fd00:1::1', IPRange: 'fd00:1::8000:0/112' },
      { Subnet: '10.7.0.0/24', Gateway: '10.7.0.1', IPRange: '10.7.0.0/24' },
      { Subnet: '10.8.0.0/24', Gateway: '10.8.0.254', IPRange: '10.8.0.0/24' },
      { Subnet: 'fd00:2::/64', Gateway: 'fd00:2::ff', IPRange: 'fd00:2::/64' },
    ]);
  });

  test('a network with IPv6 subnets only gets an IPv4 one of the pools', () => {
    const { Subnets, VNIs } = new NetworkBook().plan(network('a', ipam({ Subnet: 'fd00:1::/64' })), POOLS);
    expect(Subnets.map(({ Subnet }) => Subnet)).toEqual(['10.0.1.0/24', 'fd00:1::/64']);
    expect(VNIs).toEqual([4096]);
  });

  test('the default gateway steps over auxiliary addresses', () => {
    const spec = ipam({ Subnet: '10.9.0.0/24', AuxiliaryAddresses: { a: '10.9.0.1' } });
    expect(new NetworkBook().plan(network('a', spec), POOLS).Subnets[0]?.Gateway).toBe('10.9.0.2');
  });

  test('default subnets avoid chosen ones of any size', () => {
    const book = new NetworkBook();
    book.plan(network('a', ipam({ Subnet: '10.0.0.0/22' })), POOLS);
    book.plan(network('b', ipam({ Subnet: '10.0.5.128/25' })), POOLS);
    const given = ['c', 'd'].map((id) => book.plan(network(id), POOLS).Subnets[0]?.Subnet);
    expect(given).toEqual(['10.0.4.0/24', '10.0.6.0/24']);
  });

  test('pools are used up in order', () => {
    const book = new NetworkBook();
    const from = { pools: ['10.1.0.0/25', '10.2.0.0/26'], subnetSize: 26 };
    const given = ['a', 'b'].map((id) => book.plan(network(id), from).Subnets[0]?.Subnet);
    expect(given).toEqual(['10.1.0.64/26', '10.2.0.0/26']);
    expect(() => book.plan(network('c'), from)).toThrow('all predefined address pools have been fully subnetted');
  });

  test.for([
    {
      id: 'overlap',
      spec: ipam({ Subnet: '172.20.0.0/15' }),
      text: 'invalid pool request: Pool overlaps with other one on this address space',
    },
    {
      id: 'inside another',
      spec: ipam({ Subnet: '172.20.7.0/24' }),
      text: 'invalid pool request: Pool overlaps with other one on this address space',
    },
    {
      id: 'own subnets overlap',
      spec: { IPAMOptions: { Configs: [{ Subnet: '1.0.0.0/8' }, { Subnet: '1.2.0.0/16' }] } },
      text: 'invalid pool request: Pool overlaps with other one on this address space',
    },
    {
      id: 'malformed',
      spec: ipam({ Subnet: '10.5.0.0' }),
      text: 'invalid network config:\ninvalid subnet 10.5.0.0: invalid CIDR block notation',
    },
    {
      id: 'leading zero',
      spec: ipam({ Subnet: '010.5.0.0/24' }),
      text: 'invalid network config:\ninvalid subnet 010.5.0.0/24: invalid CIDR block notation',
    },
    {
      id: 'host bits',
      spec: ipam({ Subnet: '10.5.0.1/24' }),
      text: 'invalid network config:\ninvalid subnet 10.5.0.1/24: it should be 10.5.0.0/24',
    },
    {
      id: 'range bigger',
      spec: ipam({ Subnet: '10.5.0.0/24', IPRange: '10.5.0.0/16' }),
      text: 'invalid network config:\ninvalid ip-range 10.5.0.0/16: CIDR block is bigger than its parent subnet 10.5.0.0/24',
    },
    {
      id: 'range outside',
      spec: ipam({ Subnet: '10.5.0.0/24', IPRange: '10.6.0.0/26' }),
      text: "invalid network config:\ninvalid ip-range 10.6.0.0/26: parent subnet 10.5.0.0/24 doesn't contain ip-range",
    },
    {
      id: 'range alone',
      spec: ipam({ IPRange: '10.6.0.0/26' }),
      text: 'invalid pool request: Invalid Address SubPool',
    },
    {
      id: 'gateway outside',
      spec: ipam({ Subnet: '10.5.0.0/24', Gateway: '10.6.0.1' }),
      text: "invalid network config:\ninvalid gateway 10.6.0.1: parent subnet 10.5.0.0/24 doesn't contain this address",
    },
    {
      id: 'gateway is broadcast',
      spec: ipam({ Subnet: '10.5.0.0/24', Gateway: '10.5.0.255' }),
      text: 'failed to allocate gateway (10.5.0.255): Address already in use',
    },
    {
      id: 'aux outside',
      spec: ipam({ Subnet: '10.5.0.0/24', AuxiliaryAddresses: { h: '10.6.0.1' } }),
      text: "invalid network config:\ninvalid auxiliary address h: parent subnet 10.5.0.0/24 doesn't contain this address",
    },
    {
      id: 'no room',
      spec: ipam({ Subnet: '10.5.0.0/32' }),
      text: 'failed to allocate gateway (): No available addresses on this pool',
    },
    {
      id: 'vni taken',
      spec: vxlan('4096'),
      text: 'could not obtain vxlan id for pool 10.0.1.0/24: requested bit is already allocated',
    },
    {
      id: 'vni too big',
      spec: vxlan('16777216'),
      text: 'could not obtain vxlan id for pool 10.0.1.0/24: requested id does not belong to [0, 16777215]',
    },
    { id: 'vni no number', spec: vxlan('12x'), text: 'invalid vxlan id value "12x" passed' },
    {
      id: 'IPv6 overlap',
      spec: ipam({ Subnet: 'fd00:77:0:1::/64' }),
      text: 'invalid pool request: Pool overlaps with other one on this address space',
    },
    {
      id: 'IPv6 host bits',
      spec: ipam({ Subnet: 'fd00:5::1/64' }),
      text: 'invalid network config:\ninvalid subnet fd00:5::1/64: it should be fd00:5::/64',
    },
    {
      id: 'IPv6 prefix too long',
      spec: ipam({ Subnet: 'fd00:5::/129' }),
      text: 'invalid network config:\ninvalid subnet fd00:5::/129: invalid CIDR block notation',
    },
    {
      id: 'IPv4 in disguise',
      spec: ipam({ Subnet: '::ffff:a05:0/112' }),
      text: 'invalid network config:\ninvalid subnet ::ffff:a05:0/112: invalid CIDR block notation',
    },
    {
      id: 'IPv6 gateway outside',
      spec: ipam({ Subnet: 'fd00:5::/64', Gateway: 'fd00:6::1' }),
      text: "invalid network config:\ninvalid gateway fd00:6::1: parent subnet fd00:5::/64 doesn't contain this address",
    },
    {
      id: 'IPv4 gateway of an IPv6 subnet',
      spec: ipam({ Subnet: 'fd00:5::/64', Gateway: '10.5.0.1' }),
      text: "invalid network config:\ninvalid gateway 10.5.0.1: parent subnet fd00:5::/64 doesn't contain this address",
    },
    {
      id: 'IPv6 gateway is the subnet-router anycast address',
      spec: ipam({ Subnet: 'fd00:5::/64', Gateway: 'fd00:5::' }),
      text: 'failed to allocate gateway (fd00:5::): Address already in use',
    },
    {
      id: 'no room for IPv6',
      spec: ipam({ Subnet: 'fd00:5::/128' }),
      text: 'failed to allocate gateway (): No available addresses on this pool',
    },
    {
      id: 'driver',
      spec: { DriverConfiguration: { Name: 'macvlan' } },
      text: 'could not resolve network driver macvlan',
    },
    { id: 'IPAM driver', spec: { IPAMOptions: { Driver: { Name: 'x' } } }, text: 'could not resolve IPAM driver x' },
  ])('refuses: $id', ({ spec, text }) => {
    const book = new NetworkBook();
    const configs = [{ Subnet: '172.20.0.0/16' }, { Subnet: 'fd00:77::/32' }];
    book.plan(network('other', { IPAMOptions: { Configs: configs } }), POOLS);
    let message = '';
    try {
      book.plan(network('a', spec as Partial<NetworkSpec>), POOLS);
    } catch (error) {
      message = messageOf(error);
    }
    expect(message).toBe(text);
    expect(book.networkIds()).toEqual(['other']);
  });
});
