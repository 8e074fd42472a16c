import { isIpv6 } from '../overlay/address.ts';
import type { GuardOperation } from './guard-state.ts';

/** nftables table of ours in the host. */
export const MEMBER_TABLE = 'waggle-members';
/** Names within it. */
export const MEMBER_SET = 'members';
export const STRANGER_SET = 'strangers';
export const REFUSED_COUNTER = 'refused';
/** A set of a known size is a plain hash table in the kernel, and a look into it costs a fifth of one into a set that grows. */
export const MAX_MEMBERS = 16_384;

/**
 * The family of nftables that sees the packets between VTEPs: a VXLAN device with an IPv4 address takes none by IPv6, and the other way
 * round. A table of that family alone is cheaper than one of both, which asks for each packet of which it is.
 */
export type GuardFamily = 'ip' | 'ip6';

export function guardFamily(vtep: string): GuardFamily {
  return isIpv6(vtep) ? 'ip6' : 'ip';
}

/** The operation in the words of nft(8), to be read by `nft -f`: one transaction, so there is no moment without the table. */
export function guardScript(operation: GuardOperation, family: GuardFamily): string {
  const table = `${family} ${MEMBER_TABLE}`;
  switch (operation.kind) {
    case 'install':
      return installScript(operation, family);
    case 'let-in':
      return `add element ${table} ${MEMBER_SET} { ${operation.members.join(', ')} }\n`;
    case 'shut-out':
      return `delete element ${table} ${MEMBER_SET} { ${operation.members.join(', ')} }\n`;
    case 'delete':
      return `delete table ${table}\n`;
  }
}

/**
 * Before connection tracking (priority -200), whose table a flood from outside would fill. The one rule that every packet passes is
 * as short as can be: without `meta l4proto udp`, and with the set in it. What it catches may still be none of ours: not UDP, somebody's VXLAN that
 * is only passing through this host, or for another VXLAN device on the port, which the host may have (VNI: RFC 7348 section 5,
 * the 3 bytes after 8 of UDP and 4 of VXLAN). The set of strangers is for whoever looks why a packet does not arrive; when it is full it
 * takes no more.
 */
function installScript(
  { port, vnis, members, anew }: GuardOperation & { kind: 'install' },
  family: GuardFamily,
): string {
  const table = `${family} ${MEMBER_TABLE}`;
  const other = `${family === 'ip' ? 'ip6' : 'ip'} ${MEMBER_TABLE}`;
  const type = family === 'ip' ? 'ipv4_addr' : 'ipv6_addr';
  const none = (each: string): string[] => [`add table ${each}`, `delete table ${each}`];
  return [
    // Of a time when this host had an address of the other family.
    ...none(other),
    ...(anew ? none(table) : []),
    `add table ${table}`,
    `add counter ${table} ${REFUSED_COUNTER}`,
    `add set ${table} ${MEMBER_SET} { type ${type}; size ${MAX_MEMBERS}; }`,
    `add set ${table} ${STRANGER_SET} { type ${type}; size 64; flags dynamic,timeout; timeout 10m; }`,
    `add chain ${table} arriving { type filter hook prerouting priority -310; policy accept; }`,
    `add chain ${table} strange`,
    `flush chain ${table} arriving`,
    `flush chain ${table} strange`,
    `flush set ${table} ${MEMBER_SET}`,
    ...(members.length === 0 ? [] : [`add element ${table} ${MEMBER_SET} { ${members.join(', ')} }`]),
    `add rule ${table} arriving th dport ${port} ${family} saddr != @${MEMBER_SET} goto strange`,
    `add rule ${table} strange meta l4proto != udp accept`,
    `add rule ${table} strange fib daddr type != { local, broadcast, multicast } accept`,
    `add rule ${table} strange @th,96,24 != { ${vnis.join(', ')} } accept`,
    `add rule ${table} strange update @${STRANGER_SET} { ${family} saddr }`,
    `add rule ${table} strange counter name ${REFUSED_COUNTER} drop`,
    '',
  ].join('\n');
}
