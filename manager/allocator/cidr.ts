/** An IPv4 block; addresses are numbers from 0 to 2^32 - 1. */
export interface Cidr {
  /** Network address, host bits zero. */
  base: number;
  bits: number;
}

const IPV4 = /^(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})$/;

/** Strictly four decimals without leading zeros (which some readers take for octal). */
export function parseAddress(text: string): number | undefined {
  const octets = IPV4.exec(text)?.slice(1).map(Number);
  if (octets === undefined || octets.some((octet) => octet > 255)) return undefined;
  return octets.reduce((address, octet) => address * 256 + octet, 0);
}

export function formatAddress(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}

/** `address` as written, and the block it lies in; undefined when malformed. */
export function parsePrefix(text: string): { address: number; block: Cidr } | undefined {
  const [head = '', tail = '', ...more] = text.split('/');
  const address = parseAddress(head);
  if (address === undefined || more.length > 0 || !/^(0|[1-9]\d?)$/.test(tail) || Number(tail) > 32) return undefined;
  return { address, block: blockOf(address, Number(tail)) };
}

export function blockOf(address: number, bits: number): Cidr {
  const size = 2 ** (32 - bits);
  return { base: Math.floor(address / size) * size, bits };
}

export function formatCidr(block: Cidr): string {
  return `${formatAddress(block.base)}/${block.bits}`;
}

/** The last address of the block. */
export function lastOf(block: Cidr): number {
  return block.base + 2 ** (32 - block.bits) - 1;
}

export function contains(block: Cidr, address: number): boolean {
  return address >= block.base && address <= lastOf(block);
}

export function overlap(a: Cidr, b: Cidr): boolean {
  return a.base <= lastOf(b) && b.base <= lastOf(a);
}

/** The address part of an address with or without prefix length. */
export function withoutPrefix(text: string): string {
  return text.split('/')[0] ?? text;
}
