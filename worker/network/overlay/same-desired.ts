import type { DesiredOverlay } from './overlay-state.ts';

/** Whether the two ask for the same. Peers are compared as one value: the same list, or another. */
export function sameDesired(one: DesiredOverlay | undefined, other: DesiredOverlay | undefined): boolean {
  if (one === undefined || other === undefined) return one === other;
  if (one.peers !== other.peers) return false;
  return wordsOf(one) === wordsOf(other);
}

function wordsOf({ peers: _peers, ...rest }: DesiredOverlay): string {
  return JSON.stringify(rest, (_key, value: unknown) =>
    value instanceof Map || value instanceof Set ? [...(value as Iterable<unknown>)] : value,
  );
}
