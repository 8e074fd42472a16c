import type { EndpointRecord } from '../gossip/endpoint-table.ts';

/**
 * Pure: a time for a new claim on addresses: now, or just after the latest claim on one of them that is known here. So who has an address
 * after another says so, whatever their clocks show (Lamport 1978).
 */
export function claimTime(
  records: readonly Pick<EndpointRecord, 'address' | 'address6' | 'claimedAt'>[],
  addresses: readonly string[],
  nowMs: number,
): number {
  let latest = Math.floor(nowMs);
  for (const { address, address6, claimedAt = 0 } of records) {
    if (!addresses.includes(address) && (address6 === undefined || !addresses.includes(address6))) continue;
    latest = Math.max(latest, claimedAt + 1);
  }
  return latest;
}
