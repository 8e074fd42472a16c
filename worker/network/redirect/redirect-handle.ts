import ipaddr from 'ipaddr.js';
import { isIpv4, isIpv6 } from '../overlay/address.ts';
import type { RedirectFamily } from './redirect-state.ts';

/**
 * Where our filters are. The priority is after those that the kernel gives to filters without one (49152 and less): what an operator counts, polices or mirrors is
 * seen there before it is redirected. Two, for one holds filters of one protocol only. Table IDs are shared by all
 * u32 filters of a link; the kernel gives out those from 800 on.
 */
export const PLACES: Readonly<Record<RedirectFamily, { pref: number; table: string; hashOffset: number }>> = {
  // Offset of the destination's last four bytes in the header: RFC 791 section 3.1, RFC 8200 section 3.
  ip: { pref: 57_891, table: '7a6', hashOffset: 16 },
  ipv6: { pref: 57_892, table: '7a7', hashOffset: 36 },
};

/** The last part of a handle has 12 bits and is not 0. */
const NODES = 0xfff;

/** Undefined for what is not an address that a container can have, or is written in another way than ours. */
export function redirectFamily(address: string): RedirectFamily | undefined {
  if (isIpv4(address)) return 'ip';
  return isIpv6(address) ? 'ipv6' : undefined;
}

/**
 * The handle of an address's row, as tc-u32(8) writes it: table, bucket, node, all in hexadecimal, and nothing for bucket 0. The node comes from all bytes but the
 * last: addresses of up to 4095 blocks of 256 that follow each other have different ones.
 */
export function redirectHandle(address: string, family: RedirectFamily): string {
  const bytes = ipaddr.parse(address).toByteArray();
  const bucket = bytes.pop() ?? 0;
  const node = (bytes.reduce((rest, byte) => (rest * 256 + byte) % NODES, 0) % NODES) + 1;
  return `${PLACES[family].table}:${bucket === 0 ? '' : bucket.toString(16)}:${node.toString(16)}`;
}
