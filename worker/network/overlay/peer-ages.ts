import type { LocatedRecord } from '../../gossip/endpoint-table.ts';
import type { Peer } from './overlay-state.ts';

/**
 * Remembers in which order this node learnt of the records of one network: what decides between claims of the same time. Those seen
 * first together have the same age. What a silent owner has is older than all else.
 */
export class PeerAges {
  #ages = new Map<string, number>();
  #round = 0;
  #records: readonly LocatedRecord[] | undefined;
  #peers: readonly Peer[] = [];

  /** The records as peers; of the same list the same. Records that are gone are forgotten. */
  peersOf(records: readonly LocatedRecord[]): readonly Peer[] {
    if (records !== this.#records) this.#peers = this.#read(records);
    this.#records = records;
    return this.#peers;
  }

  #read(records: readonly LocatedRecord[]): Peer[] {
    this.#round++;
    const ages = new Map<string, number>();
    const peers = records.map((record) => {
      const since = this.#ages.get(record.endpointId) ?? this.#round;
      ages.set(record.endpointId, since);
      const { endpointId, address, address6, vtep, silent } = record;
      const both = address6 === undefined ? { address } : { address, address6 };
      const age = silent ? { claimedAt: 0, since: 0 } : { claimedAt: record.claimedAt ?? 0, since };
      return { endpointId, ...both, mac: record.mac.toLowerCase(), vtep, ...age };
    });
    this.#ages = ages;
    return peers;
  }
}
