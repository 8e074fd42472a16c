import { assertNever } from '../../../proto/runtime/assert.ts';
import { BRIDGE, VXLAN } from '../overlay/link-names.ts';
import { isRouteOperation, type Operation, type RouteOperation } from '../overlay/overlay-state.ts';
import { renderRoute } from './render-route.ts';

/** Operations that are one line of a batch; the others make or remove the namespace. */
export type LineOperation = Exclude<Operation, { kind: 'create-namespace' | 'delete-namespace' }>;

/** A line, and which tool carries it out where. */
export interface BatchLine {
  tool: 'ip' | 'bridge' | 'nft';
  /** A VXLAN device is made from the host, so that its packets leave there (RFC 7348; kernel vxlan.rst). */
  inHost: boolean;
  line: string;
}

/** `replace` for rows: it overwrites what is there, where `add` would refuse and leave a stale row. */
export function render(namespace: string, operation: LineOperation): BatchLine {
  if (isRouteOperation(operation)) return renderRoute(namespace, operation);
  switch (operation.kind) {
    case 'create-vxlan': {
      const { vni, local, port, mtu } = operation;
      const tunnel = `id ${vni} local ${local} dstport ${port} nolearning proxy`;
      return { tool: 'ip', inHost: true, line: `link add ${VXLAN} mtu ${mtu} netns ${namespace} type vxlan ${tunnel}` };
    }
    case 'stop-learning':
      return bridge(`link set dev ${VXLAN} learning off`);
    case 'put-forwarding':
      return bridge(`fdb replace ${operation.mac} dev ${VXLAN} dst ${operation.vtep} self permanent`);
    case 'delete-forwarding':
      return bridge(`fdb del ${operation.mac} dev ${VXLAN} dst ${operation.vtep} self`);
    case 'put-bridged':
      return bridge(`fdb replace ${operation.mac} dev ${VXLAN} master static`);
    case 'delete-bridged':
      return bridge(`fdb del ${operation.mac} dev ${VXLAN} master`);
    case 'create-bridge':
    case 'delete-link':
    case 'set-mtu':
    case 'set-mac':
    case 'set-master':
    case 'set-up':
    case 'add-address':
    case 'delete-address':
    case 'put-neighbour':
    case 'delete-neighbour':
      return { tool: 'ip', inHost: false, line: ipLine(operation) };
    default:
      return assertNever(operation);
  }
}

function bridge(line: string): BatchLine {
  return { tool: 'bridge', inHost: false, line };
}

type IpOperation = Exclude<
  LineOperation,
  | RouteOperation
  | {
      kind:
        | 'create-vxlan'
        | 'stop-learning'
        | 'put-forwarding'
        | 'delete-forwarding'
        | 'put-bridged'
        | 'delete-bridged';
    }
>;

function ipLine(operation: IpOperation): string {
  switch (operation.kind) {
    case 'create-bridge':
      return `link add ${BRIDGE} address ${operation.mac} mtu ${operation.mtu} type bridge vlan_default_pvid 0 mcast_snooping 0`;
    case 'delete-link':
      return `link del dev ${operation.link}`;
    case 'set-mtu':
      return `link set dev ${operation.link} mtu ${operation.mtu}`;
    case 'set-mac':
      return `link set dev ${operation.link} address ${operation.mac}`;
    case 'set-master':
      return `link set dev ${operation.link} master ${BRIDGE}`;
    case 'set-up':
      return `link set dev ${operation.link} up`;
    case 'add-address':
      // Every host has the gateway's address: looking for a second owner would find one.
      return `addr add ${operation.address} dev ${BRIDGE}${operation.address.includes(':') ? ' nodad' : ''}`;
    case 'delete-address':
      return `addr del ${operation.address} dev ${BRIDGE}`;
    case 'put-neighbour':
      return `neigh replace ${operation.address} lladdr ${operation.mac} dev ${VXLAN} nud permanent`;
    case 'delete-neighbour':
      return `neigh del ${operation.address} dev ${VXLAN}`;
    default:
      return assertNever(operation);
  }
}
