import { writeFile } from 'node:fs/promises';
import type { LowerLink } from '../overlay/overlay-kernel.ts';
import { BARE_MAC } from '../overlay/shortcut-plan.ts';

/*
 * The lower link of a container's link (overlay/shortcut-plan.ts) is in the host, and the host must have no part in what passes there: a macvlan
 * takes frames for the container before the host sees them, but broadcasts and multicasts go to both.
 */
const MUTED = [
  // No address of the host is answered for (ip-sysctl.rst).
  ['ipv4', 'arp_ignore', '8'],
  // What comes from an address to which the host has another way, or none, is dropped: that is all that comes. Nothing is passed on: when a
  // container ends, a packet may still be handed over that nobody takes.
  ['ipv4', 'rp_filter', '1'],
  ['ipv4', 'forwarding', '0'],
  ['ipv6', 'disable_ipv6', '1'],
] as const;

/** The words for the other end of a port: the waiting link itself, or a lower link, in this process's network namespace. */
export function peerWords(name: string, mtu: number, lower: Pick<LowerLink, 'name'> | undefined): string {
  const address = lower === undefined ? '' : ` address ${BARE_MAC}`;
  return `peer name ${name} mtu ${mtu}${address} netns ${process.pid}`;
}

/** Keeps the host out of a lower link; to be done before it is up. A host without IPv6 has nothing to keep out. */
export async function muteLower(lower: string): Promise<void> {
  for (const [family, key, value] of MUTED) {
    await writeFile(`/proc/sys/net/${family}/conf/${lower}/${key}`, value).catch((error: NodeJS.ErrnoException) => {
      if (family !== 'ipv6' || error.code !== 'ENOENT') throw error;
    });
  }
}

/** Lines of `ip` that make the container's link, which waits in the host. Done twice they do no more than once, but fail. */
export function layingLines(waiting: string, mtu: number, { name, mac }: LowerLink): string[] {
  return [
    `link set dev ${name} addrgenmode none up`,
    `link add link ${name} name ${waiting} mtu ${mtu} type macvlan mode passthru`,
    `link set dev ${waiting} address ${mac}`,
  ];
}
