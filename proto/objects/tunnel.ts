import { createHash } from 'node:crypto';
import type { NetworkObject } from './network.ts';

/**
 * The encrypted tunnel between hosts that carries the VXLAN packets of encrypted overlays (WireGuard: Donenfeld, NDSS 2017). Each
 * node has one address in it, which the leader settles when it first hears of the node.
 */

/**
 * Addresses within the tunnel. Of the block 240.0.0.0/4 (RFC 1112 section 4, reserved), which Linux treats as unicast and no
 * network of a user's has, so that neither underlay nor overlay can collide with it.
 */
export const TUNNEL_RANGE = '250.0.0.0/8';

const FIRST_OCTET = 250;
const ADDRESSES = 2 ** 24;

/** Docker's driver option. */
const ENCRYPTED_OPTION = 'encrypted';

/** What a node's description says it has when it can encrypt. */
export const ENCRYPTION_PLUGIN = { Type: 'Encryption', Name: 'wireguard' } as const;

/** 32 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/;

/** Curve25519 keys as WireGuard's tools write them. */
export function isTunnelKey(text: string): boolean {
  return KEY.test(text);
}

/** Four decimals within TUNNEL_RANGE. */
export function isTunnelAddress(text: string): boolean {
  const octets = text.split('.');
  return (
    octets.length === 4 &&
    octets[0] === String(FIRST_OCTET) &&
    octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255)
  );
}

/** Docker's rule: the option need only be there, whatever its value (moby libnetwork/drivers/overlay/ov_network.go). */
export function isEncrypted(network: Pick<NetworkObject, 'Spec' | 'Allocated'>): boolean {
  const asked = network.Spec.DriverConfiguration?.Options ?? {};
  return Object.hasOwn(asked, ENCRYPTED_OPTION) || Object.hasOwn(network.Allocated?.Options ?? {}, ENCRYPTED_OPTION);
}

/** UDP port of WireGuard in a swarm whose VXLAN has this port: 4790 for 4789. */
export function tunnelPort(dataPathPort: number): number {
  return dataPathPort + 1;
}

/**
 * UDP port of VXLAN within the tunnel: 4792 for 4789. Not the one of plain overlays: the kernel finds a VXLAN device by port and
 * VNI, so that what arrives at the plain port can never reach an encrypted overlay. (4791 is RoCE's.)
 */
export function tunnelVxlanPort(dataPathPort: number): number {
  return dataPathPort + 3;
}

/**
 * The address for a node: the same for the same ID wherever it is free, else the next free one.
 * @param taken addresses of other nodes, fewer than 2^24.
 */
export function tunnelAddress(nodeId: string, taken: ReadonlySet<string>): string {
  const start = createHash('sha256').update(nodeId).digest().readUIntBE(0, 3);
  for (let step = 0; step < ADDRESSES; step++) {
    const value = (start + step) % ADDRESSES;
    const address = `${FIRST_OCTET}.${value >> 16}.${(value >> 8) & 0xff}.${value & 0xff}`;
    if (!taken.has(address)) return address;
  }
  throw new RangeError('no address is left in the tunnel');
}
