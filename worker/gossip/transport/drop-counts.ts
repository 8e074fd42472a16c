/** Dropped packets and streams by reason, since the start. */
export interface DropCounts {
  /** Sealed with a key that this node does not have, or not sealed at all. */
  unknownKey: number;
  /** Sealed wrongly, or changed on the way. */
  unauthenticated: number;
  malformed: number;
  /** Authentic, and came before. */
  replayed: number;
  tooLarge: number;
  overload: number;
  /** Streams that took too long. */
  slow: number;
  unsent: number;
}

export function noDrops(): DropCounts {
  return {
    unknownKey: 0,
    unauthenticated: 0,
    malformed: 0,
    replayed: 0,
    tooLarge: 0,
    overload: 0,
    slow: 0,
    unsent: 0,
  };
}
