import { execa } from 'execa';

const TIMEOUT_MS = 10_000;

/** All that a shortcut is made of, in a network namespace that goes with its only process. */
const SCRIPT = `set -e
ip link add wgl type veth peer name far
echo 8 > /proc/sys/net/ipv4/conf/wgl/arp_ignore
ip link set wgl up
ip link add link wgl name wge type macvlan mode passthru
tc qdisc add dev far clsact
tc filter add dev far ingress pref 49 protocol ip handle 6a1: u32 divisor 256
tc filter add dev far ingress pref 49 protocol ip u32 match ip dst 192.0.2.1/32 match u16 1 0xffff at -14 action mirred ingress redirect dev wgl
nft add table netdev probe
nft add chain netdev probe out '{ type filter hook egress device "wgl" priority 0; }'
nft add rule netdev probe out ip daddr 192.0.2.1 fwd to far`;

/**
 * Whether this kernel and these tools can do what shortcuts need: macvlan, nftables' egress hook of Linux 5.16, u32 and mirred of tc, and
 * settings that may be written. Never rejects.
 */
export async function canShorten(): Promise<boolean> {
  const options = { stdin: 'ignore', reject: false, timeout: TIMEOUT_MS } as const;
  return !(await execa('unshare', ['--net', 'sh', '-c', SCRIPT], options)).failed;
}
