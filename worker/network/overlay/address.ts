import ipaddr from 'ipaddr.js';

/** IP and MAC addresses as text. Whatever comes from another host passes through here before it is put into a command. */

const OCTET = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)';
const IPV4 = new RegExp(`^${OCTET}(\\.${OCTET}){3}$`);
/** Of ipaddr.js: what no endpoint can have as its address. */
const UNUSABLE_RANGES: ReadonlySet<string> = new Set([
  'unspecified',
  'multicast',
  'linkLocal',
  'loopback',
  'ipv4Mapped',
]);
const MAC = /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/;

export function isIpv4(text: string): boolean {
  return IPV4.test(text);
}

/**
 * A unicast IPv6 address as RFC 5952 writes it, which is also how the kernel shows it: what is written otherwise would look
 * like drift for ever. Without zone; neither link-local nor IPv4 in disguise.
 */
export function isIpv6(text: string): boolean {
  if (!text.includes(':') || text.includes('%') || !ipaddr.IPv6.isValid(text)) return false;
  const address = ipaddr.IPv6.parse(text);
  return !UNUSABLE_RANGES.has(address.range()) && address.toRFC5952String() === text;
}

/** A unicast MAC address in lower case that is not all zeros. */
export function isMac(text: string): boolean {
  if (!MAC.test(text) || text === '00:00:00:00:00:00') return false;
  return (Number.parseInt(text.slice(0, 2), 16) & 1) === 0;
}

/** `10.0.0.5/24` to `10.0.0.5`. */
export function withoutPrefix(cidr: string): string {
  return cidr.split('/', 1)[0] ?? cidr;
}

/** `10.0.0.0/24` to 24; that of a single address when there is none. */
export function prefixLength(cidr: string): number {
  const text = cidr.split('/', 2)[1];
  if (text === undefined) return cidr.includes(':') ? 128 : 32;
  return Number(text);
}

/** True when the address lies in the subnet, and is of its family. */
export function contains(subnet: string, address: string): boolean {
  if (isIpv6(address)) {
    return ipaddr.IPv6.isValidCIDR(subnet) && ipaddr.IPv6.parse(address).match(ipaddr.IPv6.parseCIDR(subnet));
  }
  if (!isIpv4(address) || !isIpv4(withoutPrefix(subnet))) return false;
  const shift = 2 ** (32 - prefixLength(subnet));
  return Math.floor(toNumber(withoutPrefix(subnet)) / shift) === Math.floor(toNumber(address) / shift);
}

/** `02:42` and the four octets, as Docker makes the MAC of a container. */
export function macOf(address: string): string {
  const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return ['02', '42', ...octets].join(':');
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, octet) => sum * 256 + Number(octet), 0);
}
