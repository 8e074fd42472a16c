import type { Json } from '../../../proto/objects/meta.ts';
import type { AllocatedSubnet, NetworkObject } from '../../../proto/objects/network.ts';
import type { ApiNetwork } from '../control-api.ts';
import { defined } from './api-object.ts';

/** Which network device IDs a network has, as the overlay driver's option says it. */
const VXLAN_IDS = 'com.docker.network.driver.overlay.vxlanid_list';

/** Addresses are given out in series. */
const SERIAL = 'com.docker.network.ipam.serial';

/** The Engine API's network resource. `Containers` is the business of each node's engine. */
export function renderNetwork(network: NetworkObject): ApiNetwork {
  const { Spec, Allocated } = network;
  const labels: Json = { ...Spec.Labels };
  return {
    Name: Spec.Name,
    Id: network.ID,
    Created: network.CreatedAt,
    Scope: 'swarm',
    Driver: Allocated?.Driver ?? Spec.DriverConfiguration?.Name ?? 'overlay',
    EnableIPv6: Spec.IPv6Enabled ?? false,
    IPAM: {
      Driver: Spec.IPAMOptions?.Driver?.Name ?? 'default',
      Options: renderIpamOptions(network),
      Config: (Allocated?.Subnets ?? []).map(renderSubnet),
    },
    Internal: Spec.Internal ?? false,
    Attachable: Spec.Attachable ?? false,
    Ingress: Spec.Ingress ?? false,
    ConfigFrom: { Network: Spec.ConfigFrom?.Network ?? '' },
    ConfigOnly: false,
    Containers: null,
    Options: Allocated === undefined ? null : { ...Allocated.Options, [VXLAN_IDS]: Allocated.VNIs.join(',') },
    Labels: labels,
  };
}

/** Those that were given; Docker's allocator adds to them how it goes about it, which is how ours does, too. */
function renderIpamOptions({ Spec, Allocated }: NetworkObject): Json {
  const given = Spec.IPAMOptions?.Driver?.Options;
  if (given === undefined || given === null || Object.keys(given).length === 0) return null;
  return Allocated === undefined ? { ...given } : { ...given, [SERIAL]: 'true' };
}

function renderSubnet({ Subnet, Gateway, IPRange, AuxiliaryAddresses }: AllocatedSubnet): { [key: string]: Json } {
  return defined({
    Subnet,
    Gateway,
    IPRange: IPRange === '' || IPRange === Subnet ? undefined : IPRange,
    AuxiliaryAddresses,
  });
}
