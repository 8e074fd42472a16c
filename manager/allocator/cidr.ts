import ipaddr from 'ipaddr.js';

/**
 * An IP block. Addresses are numbers of 128 bits; those of IPv4 stand where RFC 4291 2.5.5.2 maps them (::ffff:0:0/96), so
 * that one arithmetic does for both families and no address is of both.
 */
export interface Cidr {
  /** Network address, host bits zero. */
  base: bigint;
  /** Of 128: an IPv4 /24 is 120 here. */
  bits: number;
}

export type Family = 4 | 6;

const IPV4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;
const IPV6 = /^[0-9a-f:]{2,39}$/i;
const MAPPED = 0xffff_0000_0000n;
const ALL_BITS = 128;
const MAPPED_BITS = 96;

/** IPv4 strictly as four decimals without leading zeros (which some readers take for octal); IPv6 without zone and dots. */
export function parseAddress(text: string): bigint | undefined {
  const octets = IPV4.exec(text)?.slice(1).map(Number);
  if (octets !== undefined) {
    return octets.some((octet) => octet > 255) ? undefined : MAPPED + numberOf(octets);
  }
  if (!IPV6.test(text) || !ipaddr.IPv6.isValid(text)) return undefined;
  const address = numberOf(ipaddr.IPv6.parse(text).toByteArray());
  return familyOf(address) === 4 ? undefined : address;
}

/** IPv6 as RFC 5952 writes it. */
export function formatAddress(address: bigint): string {
  if (familyOf(address) === 4) return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 255n).join('.');
  const parts = Array.from({ length: 8 }, (_, at) => Number((address >> BigInt(112 - 16 * at)) & 0xffffn));
  return new ipaddr.IPv6(parts).toRFC5952String();
}

/** By where the number stands. */
export function familyOf(address: bigint): Family {
  return address >> 32n === MAPPED >> 32n ? 4 : 6;
}

/** `address` as written, and the block it lies in; undefined when malformed. */
export function parsePrefix(text: string): { address: bigint; block: Cidr } | undefined {
  const [head = '', tail = '', ...more] = text.split('/');
  const address = parseAddress(head);
  if (address === undefined || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(tail)) return undefined;
  const bits = Number(tail) + offsetOf(address);
  return bits > ALL_BITS ? undefined : { address, block: blockOf(address, bits) };
}

/** @param bits of 128. */
export function blockOf(address: bigint, bits: number): Cidr {
  const shift = BigInt(ALL_BITS - bits);
  return { base: (address >> shift) << shift, bits };
}

/** As it is written, of either family. */
export function formatCidr(block: Cidr): string {
  return `${formatAddress(block.base)}/${prefixLength(block)}`;
}

/** As it is written: of 32 or of 128. */
export function prefixLength({ base, bits }: Cidr): number {
  return bits - offsetOf(base);
}

/** How many addresses the block has. */
export function sizeOf(block: Cidr): bigint {
  return 1n << BigInt(ALL_BITS - block.bits);
}

/** The last address of the block. */
export function lastOf(block: Cidr): bigint {
  return block.base + sizeOf(block) - 1n;
}

/**
 * The network's own address, and of IPv4 the broadcast address: no host can have them. That the first IPv6 address is the
 * routers' anycast address says RFC 4291 2.6.1.
 */
export function endsOf(block: Cidr): bigint[] {
  return familyOf(block.base) === 4 ? [block.base, lastOf(block)] : [block.base];
}

/** An address of the other family is in no block. */
export function contains(block: Cidr, address: bigint): boolean {
  return address >= block.base && address <= lastOf(block);
}

export function overlap(a: Cidr, b: Cidr): boolean {
  return a.base <= lastOf(b) && b.base <= lastOf(a);
}

/** The address part of an address with or without prefix length. */
export function withoutPrefix(text: string): string {
  return text.split('/')[0] ?? text;
}

function offsetOf(address: bigint): number {
  return familyOf(address) === 4 ? MAPPED_BITS : 0;
}

function numberOf(bytes: readonly number[]): bigint {
  return bytes.reduce((number, byte) => (number << 8n) + BigInt(byte), 0n);
}
