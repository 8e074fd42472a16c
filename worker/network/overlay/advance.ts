import { assertNever } from '../../../proto/runtime/assert.ts';
import { BRIDGE, portOf, ROUTED, VXLAN } from './link-names.ts';
import {
  emptyOverlay,
  isRouteOperation,
  type ObservedLink,
  type ObservedOverlay,
  type Operation,
} from './overlay-state.ts';
import { advanceRoute, dropRouteLink } from './routed-advance.ts';

/** Changes `observed` as the kernel has changed by an operation that succeeded, so that it need not be asked again. */
export function advance(observed: ObservedOverlay, operation: Operation): void {
  if (isRouteOperation(operation)) return advanceRoute(observed, operation);
  switch (operation.kind) {
    case 'create-namespace':
      return void Object.assign(observed, emptyOverlay(), { namespace: true });
    case 'delete-namespace':
      delete observed.bridge;
      delete observed.vxlan;
      return void Object.assign(observed, emptyOverlay());
    case 'create-bridge': {
      const { mac, mtu } = operation;
      observed.bridge = { mac, mtu, up: false, addresses: new Set() };
      return;
    }
    case 'create-vxlan': {
      const { vni, local, port, mtu } = operation;
      observed.vxlan = { vni, local, port, mtu, mac: '', up: false, silent: true, portLearning: false };
      return;
    }
    case 'delete-link':
      return deleteLink(observed, operation.link);
    case 'set-mtu':
    case 'set-mac':
    case 'set-master':
    case 'set-up':
      return setLink(linkOf(observed, operation.link), operation);
    case 'stop-learning':
      if (observed.vxlan !== undefined) observed.vxlan.portLearning = false;
      return;
    case 'add-address':
      return void observed.bridge?.addresses.add(operation.address);
    case 'delete-address':
      return void observed.bridge?.addresses.delete(operation.address);
    case 'put-forwarding':
    case 'delete-forwarding':
    case 'put-bridged':
    case 'delete-bridged':
    case 'put-neighbour':
    case 'delete-neighbour':
      return setRow(observed, operation);
    default:
      return assertNever(operation);
  }
}

type LinkOperation = Extract<Operation, { kind: 'set-mtu' | 'set-mac' | 'set-master' | 'set-up' }>;

function setLink(link: ObservedLink | undefined, operation: LinkOperation): void {
  if (link === undefined) return;
  switch (operation.kind) {
    case 'set-mtu':
      link.mtu = operation.mtu;
      return;
    case 'set-mac':
      link.mac = operation.mac;
      return;
    case 'set-master':
      link.master = BRIDGE;
      return;
    case 'set-up':
      link.up = true;
      return;
    default:
      return assertNever(operation);
  }
}

type RowOperation = Extract<
  Operation,
  {
    kind:
      | 'put-forwarding'
      | 'delete-forwarding'
      | 'put-bridged'
      | 'delete-bridged'
      | 'put-neighbour'
      | 'delete-neighbour';
  }
>;

function setRow(observed: ObservedOverlay, operation: RowOperation): void {
  switch (operation.kind) {
    case 'put-forwarding':
      return void observed.forwarding.set(operation.mac, { vtep: operation.vtep, permanent: true });
    case 'delete-forwarding':
      return void observed.forwarding.delete(operation.mac);
    case 'put-bridged':
      observed.route.bridged.delete(operation.mac);
      return void observed.bridged.set(operation.mac, true);
    case 'delete-bridged':
      return void observed.bridged.delete(operation.mac);
    case 'put-neighbour':
      return void observed.neighbours.set(operation.address, { mac: operation.mac, permanent: true });
    case 'delete-neighbour':
      return void observed.neighbours.delete(operation.address);
    default:
      return assertNever(operation);
  }
}

function deleteLink(observed: ObservedOverlay, link: string): void {
  if (link === ROUTED) return dropRouteLink(observed);
  if (link !== VXLAN) return deletePort(observed, link);
  delete observed.vxlan;
  Object.assign(observed, { forwarding: new Map(), bridged: new Map(), neighbours: new Map() });
}

/** Its lower link goes with it. */
function deletePort({ ports, route }: ObservedOverlay, link: string): void {
  ports.delete(link);
  for (const lower of route.lowers.keys()) if (portOf(lower) === link) route.lowers.delete(lower);
}

function linkOf(observed: ObservedOverlay, link: string): ObservedLink | undefined {
  if (link === BRIDGE) return observed.bridge;
  if (link === ROUTED) return observed.route.link;
  return link === VXLAN ? observed.vxlan : observed.ports.get(link);
}
