import type Docker from 'dockerode';
import type { AssignedNetwork } from '../network/assigned-network.ts';

/** Marks our engine networks, as label and as driver option; the value is the swarm network's ID. */
const NETWORK_KEY = 'waggle.network';

/** What of `GET /networks` is read. */
export type EngineNetwork = Pick<Docker.NetworkInspectInfo, 'Id' | 'Name' | 'Driver' | 'Created'> & {
  Labels?: Docker.NetworkInspectInfo['Labels'] | null;
};

/** A swarm network and its twin in the engine. */
export interface NetworkMapping {
  localId: string;
  clusterId: string;
  name: string;
}

export interface NetworkPlan {
  /** Twins that stay. */
  mappings: NetworkMapping[];
  /** To be removed, before anything is created: they may hold a name that is needed. */
  remove: NetworkMapping[];
  create: AssignedNetwork[];
  /** Swarm network ID to why its twin cannot be made. */
  conflicts: Map<string, string>;
}

/**
 * Pure: what to do so that the engine has exactly one twin for each needed network, under the same name. A network
 * without our label or with another driver is a stranger and never touched; of two twins the older one stays.
 */
export function planNetworks(
  needed: readonly AssignedNetwork[],
  observed: readonly EngineNetwork[],
  driver: string,
): NetworkPlan {
  const wanted = new Map(needed.map((network) => [network.ID, network]));
  const plan: NetworkPlan = { mappings: [], remove: [], create: [], conflicts: new Map() };
  const strangers = new Set<string>();
  for (const network of observed.toSorted(olderFirst)) {
    const clusterId = network.Driver === driver ? network.Labels?.[NETWORK_KEY] : undefined;
    if (clusterId === undefined) {
      strangers.add(network.Name);
      continue;
    }
    const mapping = { localId: network.Id, clusterId, name: network.Name };
    if (wanted.get(clusterId)?.Spec.Name !== network.Name) plan.remove.push(mapping);
    else {
      wanted.delete(clusterId);
      plan.mappings.push(mapping);
      // A second one of the same network finds it gone from `wanted` and is removed.
    }
  }
  for (const network of wanted.values()) {
    if (strangers.has(network.Spec.Name)) plan.conflicts.set(network.ID, conflictText(network.Spec.Name));
    else plan.create.push(network);
  }
  return plan;
}

/** Body of `POST /networks/create` for the twin of a swarm network. */
export function twinOf(network: AssignedNetwork, driver: string): Docker.NetworkCreateOptions {
  const mark = { [NETWORK_KEY]: network.ID };
  return {
    Name: network.Spec.Name,
    CheckDuplicate: true,
    Driver: driver,
    Internal: network.Spec.Internal === true,
    Attachable: true,
    EnableIPv6: network.Allocated.Subnets.some(({ Subnet }) => Subnet.includes(':')),
    IPAM: {
      Driver: driver,
      Options: mark,
      Config: network.Allocated.Subnets.map((subnet) => ({
        Subnet: subnet.Subnet,
        Gateway: subnet.Gateway,
        ...(subnet.IPRange === '' || subnet.IPRange === subnet.Subnet ? {} : { IPRange: subnet.IPRange }),
      })),
    },
    Options: mark,
    Labels: mark,
  };
}

function olderFirst(a: EngineNetwork, b: EngineNetwork): number {
  if (a.Created !== b.Created) return a.Created < b.Created ? -1 : 1;
  return a.Id < b.Id ? -1 : 1;
}

function conflictText(name: string): string {
  return `network with name ${name} already exists on this node and does not belong to the swarm: remove or rename it`;
}
