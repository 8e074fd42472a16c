import type { LocatedRecord } from '../../gossip/endpoint-table.ts';
import type { Peer } from './overlay-state.ts';

/**
 * Remembers in which order this node learnt of the records of one network. Records carry no time that could be
 * compared between owners, so "newest" is what arrived last; those seen first together have the same age. What a silent owner
 * has is older than all else.
 */
export class PeerAges {
  #ages = new Map<string, number>();
  #round = 0;

  /** The records as peers. Records that are gone are forgotten. */
  peersOf(records: readonly LocatedRecord[]): Peer[] {
    this.#round++;
    const ages = new Map<string, number>();
    const peers = records.map((record) => {
      const since = this.#ages.get(record.endpointId) ?? this.#round;
      ages.set(record.endpointId, since);
      const { endpointId, address, address6, vtep } = record;
      const both = address6 === undefined ? { address } : { address, address6 };
      return { endpointId, ...both, mac: record.mac.toLowerCase(), vtep, since: record.silent ? 0 : since };
    });
    this.#ages = ages;
    return peers;
  }
}
