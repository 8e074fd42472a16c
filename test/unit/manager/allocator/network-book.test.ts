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
    { id: 'IPv6', spec: { IPv6Enabled: true }, text: 'IPv6 networks are not supported yet' },
    {
      id: 'driver',
      spec: { DriverConfiguration: { Name: 'macvlan' } },
      text: 'could not resolve network driver macvlan',
    },
    { id: 'IPAM driver', spec: { IPAMOptions: { Driver: { Name: 'x' } } }, text: 'could not resolve IPAM driver x' },
  ])('refuses: $id', ({ spec, text }) => {
    const book = new NetworkBook();
    book.plan(network('other', ipam({ Subnet: '172.20.0.0/16' })), POOLS);
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
