import { isIpv6 } from '../overlay/address.ts';
import type { GuardOperation } from './guard-state.ts';

/** nftables table of ours in the host, family inet. */
export const MEMBER_TABLE = 'waggle-members';
/** Names within it. */
export const MEMBER_SETS = ['members4', 'members6'] as const;
export const STRANGER_SETS = ['strangers4', 'strangers6'] as const;
export const REFUSED_COUNTER = 'refused';
const INNER_CHAINS = ['vxlan', 'strange'];

/** The table as operations of nft(8), to be read by `nft -f`: one transaction, so there is no moment without it. */
export function guardScript(operation: GuardOperation): string {
  switch (operation.kind) {
    case 'install':
      return installScript(operation);
    case 'let-in':
      return elements('add', operation.members);
    case 'shut-out':
      return elements('delete', operation.members);
    case 'delete':
      return `delete table inet ${MEMBER_TABLE}\n`;
  }
}

/**
 * Before connection tracking (priority -200), whose table a flood from outside would fill. Other packets pass one comparison,
 * what members send one look into a set besides. For all others it is made sure that the packet is for this host, for it may be somebody's VXLAN that is
 * only passing, and for an overlay of ours (VNI: RFC 7348 section 5, the 3 bytes after 8 of UDP and 4 of VXLAN), for the host may have
 * other VXLAN devices on the port. The sets of strangers are for whoever looks why a packet does not arrive; one that is full takes no more.
 */
function installScript({ port, vnis, members, anew }: GuardOperation & { kind: 'install' }): string {
  const table = `inet ${MEMBER_TABLE}`;
  const recent = 'size 64; flags dynamic,timeout; timeout 10m;';
  return [
    `add table ${table}`,
    ...(anew ? [`delete table ${table}`, `add table ${table}`] : []),
    `add counter ${table} ${REFUSED_COUNTER}`,
    `add set ${table} members4 { type ipv4_addr; }`,
    `add set ${table} members6 { type ipv6_addr; }`,
    `add set ${table} strangers4 { type ipv4_addr; ${recent} }`,
    `add set ${table} strangers6 { type ipv6_addr; ${recent} }`,
    `add chain ${table} arriving { type filter hook prerouting priority -310; policy accept; }`,
    ...INNER_CHAINS.map((name) => `add chain ${table} ${name}`),
    ...['arriving', ...INNER_CHAINS].map((name) => `flush chain ${table} ${name}`),
    ...MEMBER_SETS.map((name) => `flush set ${table} ${name}`),
    `add rule ${table} arriving udp dport ${port} goto vxlan`,
    `add rule ${table} vxlan ip saddr @members4 accept`,
    `add rule ${table} vxlan ip6 saddr @members6 accept`,
    `add rule ${table} vxlan fib daddr type { local, broadcast, multicast } @th,96,24 { ${vnis.join(', ')} } goto strange`,
    `add rule ${table} strange update @strangers4 { ip saddr }`,
    `add rule ${table} strange update @strangers6 { ip6 saddr }`,
    `add rule ${table} strange counter name ${REFUSED_COUNTER} drop`,
    elements('add', members),
  ].join('\n');
}

function elements(verb: 'add' | 'delete', members: readonly string[]): string {
  const families = [members.filter((member) => !isIpv6(member)), members.filter(isIpv6)];
  return families
    .map((family, index) =>
      family.length === 0
        ? ''
        : `${verb} element inet ${MEMBER_TABLE} ${MEMBER_SETS[index]} { ${family.join(', ')} }\n`,
    )
    .join('');
}
