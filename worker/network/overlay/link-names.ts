/** Names of what the overlay makes in the kernel. IFNAMSIZ leaves 15 characters for a link. */

export const BRIDGE = 'br0';
export const VXLAN = 'vxlan1';
/** Of a routed network: the bridge's way into the host. */
export const ROUTED = 'routed0';

const PORT_PREFIX = 'veth';
const PORT_DIGITS = 7;
const WAITING_PREFIX = 'wge';
const WAITING_DIGITS = 12;
const LOWER_PREFIX = 'wgl';
const NETWORK_DIGITS = 10;

/** The namespace of a network on this host: what `ip netns exec` takes. */
export function namespaceName(networkId: string): string {
  return `1-${networkId.slice(0, NETWORK_DIGITS)}`;
}

/** True for a name that `namespaceName` could have made. */
export function isNamespaceName(name: string): boolean {
  return /^1-[0-9a-z]{10}$/.test(name);
}

/** The host's end of a routed network's way out. */
export function routeEndName(namespace: string): string {
  return `wgr-${namespace.slice(2)}`;
}

/** The nftables table, family netdev, of a routed network in the host. */
export function routeTableName(namespace: string): string {
  return `waggle-${namespace.slice(2)}`;
}

/** The overlay's end of a container's veth. */
export function portName(endpointId: string): string {
  return `${PORT_PREFIX}${endpointId.slice(0, PORT_DIGITS)}`;
}

/** The container's end, while it waits in the host for the engine to take it, and again after Leave. */
export function waitingName(endpointId: string): string {
  return `${WAITING_PREFIX}${endpointId.slice(0, WAITING_DIGITS)}`;
}

/** Of a container on a routed network: the port's other end, in the host, that the container's own link lies on (shortcut-plan.ts). */
export function lowerName(endpointId: string): string {
  return `${LOWER_PREFIX}${endpointId.slice(0, WAITING_DIGITS)}`;
}

/** The port of a lower link. */
export function portOf(lower: string): string {
  return portName(lower.slice(LOWER_PREFIX.length));
}

/** True for a name that `lowerName` could have made. */
export function isLowerName(link: string): boolean {
  return /^wgl[0-9a-f]{12}$/.test(link);
}

export function isPortName(link: string): boolean {
  return link.startsWith(PORT_PREFIX);
}

/** True for a name that `waitingName` could have made: nobody else's link is ever taken for ours. */
export function isWaitingName(link: string): boolean {
  return link.length === WAITING_PREFIX.length + WAITING_DIGITS && /^wge[0-9a-f]{12}$/.test(link);
}
