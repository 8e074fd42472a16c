import type { Json } from '../../../proto/objects/meta.ts';
import type { AllocatedSubnet, NetworkObject } from '../../../proto/objects/network.ts';
import type { ApiNetwork } from '../control-api.ts';
import { defined } from './api-object.ts';

/** Which network device IDs a network has, as the overlay driver's option says it. */
const VXLAN_IDS = 'com.docker.network.driver.overlay.vxlanid_list';

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
      Options: Spec.IPAMOptions?.Driver?.Options ?? null,
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

function renderSubnet({ Subnet, Gateway, IPRange, AuxiliaryAddresses }: AllocatedSubnet): { [key: string]: Json } {
  return defined({
    Subnet,
    Gateway,
    IPRange: IPRange === '' || IPRange === Subnet ? undefined : IPRange,
    AuxiliaryAddresses,
  });
}
