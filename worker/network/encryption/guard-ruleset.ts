import { TUNNEL_RANGE } from '../../../proto/objects/tunnel.ts';

/** nftables table of ours in the host. */
export const GUARD_TABLE = 'waggle-tunnel';
/** The WireGuard device. */
export const TUNNEL_DEVICE = 'wgwaggle';

/**
 * The packet filter that keeps the tunnel closed, whatever becomes of the device: in force before the device exists and until after
 * it is gone.
 * - Arriving: VXLAN of encrypted networks is taken from the tunnel only. Broadcasts count too: a VXLAN socket takes them.
 *   From the tunnel nothing else is taken: it is no way into the host's services.
 * - Passing: nothing goes from or to the tunnel; a container could otherwise write VXLAN packets of its own.
 * - Leaving: what comes from or goes to one of its addresses leaves through it or not at all. Before source translation (priority
 *   100), or the address could be another by then.
 *
 * One transaction: there is no moment without the rules. Every packet of the host passes them, so each rule begins with what most
 * packets fail and costs the least: to look a name up in a set takes longer than to compare an address.
 */
export function guardRuleset(vxlanPort: number): string {
  const inside = `"${TUNNEL_DEVICE}"`;
  const insideOrLocal = `{ "${TUNNEL_DEVICE}", "lo" }`;
  return `table inet ${GUARD_TABLE}
delete table inet ${GUARD_TABLE}
table inet ${GUARD_TABLE} {
  chain arriving {
    type filter hook prerouting priority -310; policy accept;
    iifname ${inside} goto inside
    udp dport ${vxlanPort} fib daddr type { local, broadcast, multicast } counter drop
    ip saddr ${TUNNEL_RANGE} iifname != "lo" counter drop
    ip daddr ${TUNNEL_RANGE} iifname != "lo" counter drop
  }
  chain inside {
    udp dport ${vxlanPort} accept
    meta l4proto icmp accept
    counter drop
  }
  chain passing {
    type filter hook forward priority -310; policy accept;
    iifname ${inside} counter drop
    oifname ${inside} counter drop
  }
  chain leaving {
    type filter hook postrouting priority -310; policy accept;
    ip saddr ${TUNNEL_RANGE} oifname != ${insideOrLocal} counter drop
    ip daddr ${TUNNEL_RANGE} oifname != ${insideOrLocal} counter drop
  }
}
`;
}
