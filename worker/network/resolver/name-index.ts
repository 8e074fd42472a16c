import type { EndpointRecord, EndpointTable } from '../../gossip/endpoint-table.ts';

/** Names of one network, lower case without trailing dot. Addresses are of both families. */
export interface NetworkNames {
  /** Names of exactly one container each (two containers may claim the same) -> addresses. */
  containers: ReadonlyMap<string, readonly string[]>;
  /** Services and what else tasks share -> addresses of all that are live. */
  services: ReadonlyMap<string, readonly string[]>;
  /** Address -> first name of its container. */
  addresses: ReadonlyMap<string, string>;
}

/**
 * Built from the records of one network. Addresses are sorted, so that the same records give the same index. Where two have an
 * address only the one with the latest claim is found by it, and it by its names alone, as the overlay has it.
 */
export function indexNames(records: readonly EndpointRecord[]): NetworkNames {
  const containers = new Map<string, Set<string>>();
  const services = new Map<string, Set<string>>();
  const addresses = new Map<string, string>();
  for (const [address, record] of holders(records)) {
    for (const name of record.names) add(containers, name, address);
    for (const name of record.services) add(services, name, address);
    const first = record.names[0];
    if (first !== undefined) addresses.set(address, first);
  }
  return { containers: sorted(containers), services: sorted(services), addresses };
}

/** Indexes of all networks, made when asked for and kept until the network changes. */
export class NameIndexes {
  readonly #table: EndpointTable;
  readonly #made = new Map<string, NetworkNames>();

  constructor(table: EndpointTable) {
    this.#table = table;
  }

  of(networkId: string): NetworkNames {
    let names = this.#made.get(networkId);
    if (names === undefined) {
      names = indexNames(this.#table.network(networkId));
      this.#made.set(networkId, names);
    }
    return names;
  }

  forget(networkIds: Iterable<string>): void {
    for (const networkId of networkIds) this.#made.delete(networkId);
  }
}

function holders(records: readonly EndpointRecord[]): Map<string, EndpointRecord> {
  const found = new Map<string, EndpointRecord>();
  for (const record of records) {
    for (const address of [record.address, record.address6]) {
      const other = address === undefined ? undefined : found.get(address);
      if (address !== undefined && (other === undefined || isLater(record, other))) found.set(address, record);
    }
  }
  return found;
}

function isLater(a: EndpointRecord, b: EndpointRecord): boolean {
  const [first = 0, second = 0] = [a.claimedAt, b.claimedAt];
  return first !== second ? first > second : a.endpointId > b.endpointId;
}

function add(map: Map<string, Set<string>>, name: string, address: string): void {
  const key = name.toLowerCase();
  const known = map.get(key);
  if (known === undefined) map.set(key, new Set([address]));
  else known.add(address);
}

function sorted(map: Map<string, Set<string>>): Map<string, string[]> {
  return new Map(Array.from(map, ([name, addresses]) => [name, [...addresses].toSorted()]));
}
