import type { NetworkObject } from '../../proto/objects/network.ts';

/** Exact ID, then exact name, then the only ID that begins so. */
export function findNetwork<N extends NetworkObject>(networks: readonly N[], ref: string): N | undefined {
  const exact = networks.find((network) => network.ID === ref) ?? networks.find((network) => network.Spec.Name === ref);
  if (exact !== undefined || ref === '') return exact;
  const prefixed = networks.filter((network) => network.ID.startsWith(ref));
  return prefixed.length === 1 ? prefixed[0] : undefined;
}
