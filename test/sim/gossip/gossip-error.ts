/** A promise of gossip was broken; says which, by whom. */
export class GossipError extends Error {
  override readonly name = 'GossipError';
}
