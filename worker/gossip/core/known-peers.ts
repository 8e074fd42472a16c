import type { MemberState } from '../members.ts';
import type { KnownPeer } from './gossip-core.ts';
import type { SwimCore } from './swim-core.ts';

/** A suspect is served: it may yet object. */
const STANDINGS: Readonly<Record<MemberState, KnownPeer['standing']>> = {
  alive: 'served',
  suspect: 'served',
  dead: 'suspended',
  left: 'left',
};

/** What a member's state means for its records; undefined for whom the manager did not name. */
export function standingOf(swim: SwimCore, nodeId: string): KnownPeer['standing'] | undefined {
  const state = swim.standing(nodeId)?.state;
  return state === undefined ? undefined : STANDINGS[state];
}

/** The members as the endpoint table wants them, this node left out. */
export function knownPeers(swim: SwimCore): KnownPeer[] {
  return swim.peers.flatMap((peer): KnownPeer[] => {
    const standing = standingOf(swim, peer.nodeId);
    return standing === undefined ? [] : [{ ...peer, standing }];
  });
}
