import { isIpv4, isMac } from './address.ts';
import type { DesiredOverlay, Peer } from './overlay-state.ts';

/** What the tables of vxlan1 should hold. */
export interface PeerTables {
  /** MAC to VTEP. */
  forwarding: Map<string, string>;
  /** IPv4 to MAC. */
  neighbours: Map<string, string>;
}

/**
 * Chooses one owner for each address. A container of this host comes before any record. Among records the newest
 * wins, then the greater endpoint ID: an address that moved is followed at once, and a late record of its old
 * owner changes nothing. Records that name this host as VTEP are our own, and malformed ones are not used.
 */
export function choosePeers(desired: DesiredOverlay): PeerTables {
  const localAddresses = new Set(desired.local.map((port) => port.address));
  const localMacs = new Set(desired.local.map((port) => port.mac));
  const byAddress = new Map<string, Peer>();
  for (const peer of desired.peers) {
    if (!isUsable(peer) || peer.vtep === desired.vtep || localAddresses.has(peer.address)) continue;
    keepNewer(byAddress, peer.address, peer);
  }
  const byMac = new Map<string, Peer>();
  for (const peer of byAddress.values()) if (!localMacs.has(peer.mac)) keepNewer(byMac, peer.mac, peer);
  const tables: PeerTables = { forwarding: new Map(), neighbours: new Map() };
  for (const peer of byMac.values()) tables.forwarding.set(peer.mac, peer.vtep);
  for (const peer of byAddress.values()) if (byMac.has(peer.mac)) tables.neighbours.set(peer.address, peer.mac);
  return tables;
}

function isUsable(peer: Peer): boolean {
  return isIpv4(peer.address) && isIpv4(peer.vtep) && isMac(peer.mac);
}

function keepNewer(chosen: Map<string, Peer>, key: string, peer: Peer): void {
  const other = chosen.get(key);
  if (other === undefined || isNewer(peer, other)) chosen.set(key, peer);
}

function isNewer(a: Peer, b: Peer): boolean {
  return a.since !== b.since ? a.since > b.since : a.endpointId > b.endpointId;
}
