import { assertNever } from '../../../proto/runtime/assert.ts';
import { ROUTED, routeEndName, routeTableName } from '../overlay/link-names.ts';
import type { RouteOperation, Underlay } from '../overlay/overlay-state.ts';
import { removeShortcut, shortcutLines } from './render-shortcut.ts';
import { linkName, word } from './words.ts';

type TableOperation = Extract<
  RouteOperation,
  { kind: 'install-table' | 'delete-table' | `${'put' | 'delete'}-${'route' | 'source' | 'port'}` }
>;

/** Steps on links and the bridge's rows: a line of `ip` or `bridge`. Steps on the table: one of `nft`. */
export function renderRoute(
  namespace: string,
  operation: RouteOperation,
): { tool: 'ip' | 'bridge' | 'nft'; inHost: boolean; line: string } {
  const end = routeEndName(namespace);
  switch (operation.kind) {
    case 'create-route-link': {
      const { mtu } = operation;
      const line = `link add ${end} mtu ${mtu} type veth peer name ${ROUTED} mtu ${mtu} netns ${namespace}`;
      return { tool: 'ip', inHost: true, line };
    }
    case 'delete-route-end':
      return { tool: 'ip', inHost: true, line: `link del dev ${end}` };
    case 'set-route-end':
      // It has no address: an IPv6 one would speak for itself in the network.
      return { tool: 'ip', inHost: true, line: `link set dev ${end} mtu ${operation.mtu} addrgenmode none up` };
    case 'quiet-route-link': {
      const quiet = 'learning off flood off mcast_flood off bcast_flood off';
      return { tool: 'bridge', inHost: false, line: `link set dev ${ROUTED} ${quiet}` };
    }
    case 'put-routed':
      return { tool: 'bridge', inHost: false, line: `fdb replace ${operation.mac} dev ${ROUTED} master static` };
    case 'delete-routed':
      return { tool: 'bridge', inHost: false, line: `fdb del ${operation.mac} dev ${ROUTED} master` };
    case 'set-lower': {
      // Nobody speaks on it: neither an address of the host's, nor one that the kernel makes up.
      const { lower, mtu } = operation;
      return { tool: 'ip', inHost: true, line: `link set dev ${linkName(lower)} mtu ${mtu} addrgenmode none up` };
    }
    case 'put-shortcut':
      return nft(shortcutLines(routeTableName(namespace), operation.lower, operation));
    case 'delete-shortcut':
      return nft(removeShortcut(routeTableName(namespace), operation.lower));
    case 'install-table':
    case 'delete-table':
    case 'put-route':
    case 'delete-route':
    case 'put-source':
    case 'delete-source':
    case 'put-port':
    case 'delete-port':
      return nft(tableLine(routeTableName(namespace), end, operation));
    default:
      return assertNever(operation);
  }
}

function nft(line: string): { tool: 'nft'; inHost: true; line: string } {
  return { tool: 'nft', inHost: true, line };
}

function tableLine(table: string, end: string, operation: TableOperation): string {
  const gone = `table netdev ${table}\ndelete table netdev ${table}`;
  if (operation.kind === 'install-table') return `${gone}\n${tableText(table, end, operation.underlay)}`;
  if (operation.kind === 'delete-table') return gone;
  const address = word(operation.address);
  const verb = operation.kind.startsWith('put-') ? 'add' : 'delete';
  const element = (name: string, text: string): string =>
    `${verb} element netdev ${table} ${name}${address.includes(':') ? '6' : ''} { ${text} }`;
  switch (operation.kind) {
    case 'put-route':
      return element('routes', `${address} : ${word(operation.mac)}`);
    case 'delete-route':
      return element('routes', address);
    case 'put-source':
    case 'delete-source':
      return element('sources', `${word(operation.mac)} . ${address}`);
    case 'put-port':
      return element('ports', `${address} : ${word(operation.mac)}`);
    case 'delete-port':
      return element('ports', address);
    default:
      return assertNever(operation);
  }
}

/**
 * A packet that leaves has its source looked up in `ports`, where only containers of this host are; nft can ask a map for nothing but a
 * value, so the sender is given its own MAC, and then the host's. ICMPv6 133 to 137 is neighbour discovery (RFC 4861).
 */
function tableText(table: string, end: string, underlay: Underlay): string {
  const link = `"${linkName(underlay.link)}"`;
  const mac = word(underlay.mac);
  return `table netdev ${table} {
  map routes { type ipv4_addr : ether_addr; }
  map routes6 { type ipv6_addr : ether_addr; }
  set sources { type ether_addr . ipv4_addr; }
  set sources6 { type ether_addr . ipv6_addr; }
  map ports { type ipv4_addr : ether_addr; }
  map ports6 { type ipv6_addr : ether_addr; }
  chain deliver {
    ether daddr set ip daddr map @ports fwd to "${end}"
    ether daddr set ip6 daddr map @ports6 fwd to "${end}"
    drop
  }
  chain leave {
    type filter hook ingress device "${end}" priority 0; policy drop;
    ether saddr set ip saddr map @ports ether daddr set ip daddr map @routes ether saddr set ${mac} fwd to ${link}
    icmpv6 type 133-137 drop
    ether saddr set ip6 saddr map @ports6 ether daddr set ip6 daddr map @routes6 ether saddr set ${mac} fwd to ${link}
  }
  chain enter {
    type filter hook ingress device ${link} priority 0; policy accept;
    meta pkttype host ether saddr . ip saddr @sources goto deliver
    meta pkttype host ether saddr . ip6 saddr @sources6 goto deliver
  }
}`;
}
