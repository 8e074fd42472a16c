import { assertNever } from '../../../proto/runtime/assert.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { ROUTED, routeEndName, routeTableName } from '../overlay/link-names.ts';
import type { RouteOperation } from '../overlay/overlay-state.ts';

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
    case 'install-table':
    case 'delete-table':
    case 'put-route':
    case 'delete-route':
    case 'put-source':
    case 'delete-source':
    case 'put-port':
    case 'delete-port':
      return { tool: 'nft', inHost: true, line: tableLine(routeTableName(namespace), end, operation) };
    default:
      return assertNever(operation);
  }
}

function tableLine(table: string, end: string, operation: TableOperation): string {
  const gone = `table netdev ${table}\ndelete table netdev ${table}`;
  switch (operation.kind) {
    case 'install-table':
      return `${gone}\n${tableText(table, end, operation.underlay)}`;
    case 'delete-table':
      return gone;
    case 'put-route':
      return `add element netdev ${table} routes { ${word(operation.address)} : ${word(operation.vtep)} }`;
    case 'delete-route':
      return `delete element netdev ${table} routes { ${word(operation.address)} }`;
    case 'put-source':
      return `add element netdev ${table} sources { ${word(operation.mac)} . ${word(operation.address)} }`;
    case 'delete-source':
      return `delete element netdev ${table} sources { ${word(operation.mac)} . ${word(operation.address)} }`;
    case 'put-port':
      return `add element netdev ${table} ports { ${word(operation.address)} : ${word(operation.mac)} }`;
    case 'delete-port':
      return `delete element netdev ${table} ports { ${word(operation.address)} }`;
    default:
      return assertNever(operation);
  }
}

/** `fwd ip to` finds the next hop's MAC in the host's neighbour table; `fwd to` sends the frame as it is. */
function tableText(table: string, end: string, underlay: string): string {
  return `table netdev ${table} {
  map routes { type ipv4_addr : ipv4_addr; }
  set sources { type ether_addr . ipv4_addr; }
  map ports { type ipv4_addr : ether_addr; }
  chain leave {
    type filter hook ingress device "${end}" priority 0; policy drop;
    fwd ip to ip daddr map @routes device "${linkName(underlay)}"
  }
  chain enter {
    type filter hook ingress device "${linkName(underlay)}" priority 0; policy accept;
    meta pkttype host ether saddr . ip saddr @sources ether daddr set ip daddr map @ports fwd to "${end}"
  }
}`;
}

/** Addresses come from other hosts too. */
function word(text: string): string {
  if (/^[0-9a-f.:]+$/.test(text)) return text;
  throw new WaggleError('invalid-argument', `not an address: ${JSON.stringify(text)}`);
}

function linkName(text: string): string {
  if (/^[\w.@-]+$/.test(text)) return text;
  throw new WaggleError('invalid-argument', `not a link that can be named to nft: ${JSON.stringify(text)}`);
}
