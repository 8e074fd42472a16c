import { isIpv4, isIpv6, isMac } from './address.ts';
import type { DesiredOverlay, Peer } from './overlay-state.ts';

/** What the tables of vxlan1 should hold. */
export interface PeerTables {
  /** MAC to VTEP. */
  forwarding: Map<string, string>;
  /** Address, of either family, to MAC. */
  neighbours: Map<string, string>;
}

/**
 * Chooses one owner for each address. A container of this host comes before any record. Among records the latest claim
 * wins, then what was learnt last, then the greater endpoint ID: an address that moved is followed at once, and a late record of its
 * old owner changes nothing. All nodes with the same records choose the same. The two addresses of an endpoint are two questions.
 * Records that name this host as VTEP are our own, and malformed ones are not used.
 */
export function choosePeers(desired: DesiredOverlay): PeerTables {
  const localAddresses = new Set(desired.local.flatMap((port) => [port.address, port.address6 ?? '']));
  const localMacs = new Set(desired.local.map((port) => port.mac));
  const byAddress = new Map<string, Peer>();
  for (const peer of desired.peers) {
    if (!isUsable(peer, desired.vtep) || peer.vtep === desired.vtep) continue;
    for (const address of addressesOf(peer)) if (!localAddresses.has(address)) keepNewer(byAddress, address, peer);
  }
  const byMac = new Map<string, Peer>();
  for (const peer of byAddress.values()) if (!localMacs.has(peer.mac)) keepNewer(byMac, peer.mac, peer);
  const tables: PeerTables = { forwarding: new Map(), neighbours: new Map() };
  for (const peer of byMac.values()) tables.forwarding.set(peer.mac, peer.vtep);
  for (const [address, peer] of byAddress) if (byMac.has(peer.mac)) tables.neighbours.set(address, peer.mac);
  return tables;
}

/** A VXLAN device sends over one family only: that of its own address. */
function isUsable(peer: Peer, vtep: string): boolean {
  const reachable = isIpv6(vtep) ? isIpv6(peer.vtep) : isIpv4(peer.vtep);
  return isIpv4(peer.address) && reachable && isMac(peer.mac);
}

function addressesOf({ address, address6 = '' }: Peer): string[] {
  return isIpv6(address6) ? [address, address6] : [address];
}

function keepNewer(chosen: Map<string, Peer>, key: string, peer: Peer): void {
  const other = chosen.get(key);
  if (other === undefined || isNewer(peer, other)) chosen.set(key, peer);
}

function isNewer(a: Peer, b: Peer): boolean {
  const [first = 0, second = 0] = [a.claimedAt, b.claimedAt];
  if (first !== second) return first > second;
  return a.since !== b.since ? a.since > b.since : a.endpointId > b.endpointId;
}
