/** What the engine really has of our driver. */
export interface EngineInventory {
  networks: readonly { localNetworkId: string; networkId: string }[];
  endpoints: readonly EngineEndpoint[];
}

export interface EngineEndpoint {
  endpointId: string;
  localNetworkId: string;
  networkId: string;
  /** CIDR. */
  address: string;
  /** IPv6, CIDR. */
  address6?: string;
  mac: string;
  /** What the engine has it under; while a container is being connected that is not the container's ID. */
  containerId: string;
}

/** As `GET /networks/ID` shows a network. */
export interface InspectedNetwork {
  Id: string;
  Options?: Record<string, string> | null;
  Containers?: Record<
    string,
    { EndpointID: string; MacAddress: string; IPv4Address: string; IPv6Address?: string }
  > | null;
}

/** Pure: the inventory from the inspected networks of our driver; others are passed over. */
export function inventoryOf(inspected: readonly InspectedNetwork[], option = 'waggle.network'): EngineInventory {
  const known = inspected.flatMap((network) => {
    const networkId = network.Options?.[option];
    return networkId === undefined ? [] : [{ network, networkId, localNetworkId: network.Id }];
  });
  return {
    networks: known.map(({ localNetworkId, networkId }) => ({ localNetworkId, networkId })),
    endpoints: known.flatMap(({ network, networkId, localNetworkId }) =>
      Object.entries(network.Containers ?? {})
        .filter(([, endpoint]) => endpoint.EndpointID !== '' && endpoint.IPv4Address !== '')
        .map(([containerId, endpoint]) => ({
          endpointId: endpoint.EndpointID,
          localNetworkId,
          networkId,
          address: endpoint.IPv4Address,
          ...(endpoint.IPv6Address ? { address6: endpoint.IPv6Address } : {}),
          mac: endpoint.MacAddress.toLowerCase(),
          containerId,
        })),
    ),
  };
}
