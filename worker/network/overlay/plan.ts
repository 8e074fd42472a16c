import { isIpv4, macOf, withoutPrefix } from './address.ts';
import { BRIDGE, isPortName, VXLAN } from './link-names.ts';
import type { DesiredOverlay, NetworkFacts, ObservedOverlay, ObservedVxlan, Operation } from './overlay-state.ts';
import { choosePeers } from './peer-choice.ts';
import { planRouteLinks, planRouteRows } from './routed-plan.ts';
import { planLowers } from './shortcut-plan.ts';

/**
 * The whole way from what the kernel has to what it should have; empty when they agree. `desired` undefined means
 * that the network has no container here: its namespace goes, and everything with it.
 * Links come before rows, since a row needs its link up; forwarding before neighbours, so that no address is
 * answered for before frames to it have a way; for the same reason removals of neighbours come first, and those of forwarding last.
 */
export function plan(desired: DesiredOverlay | undefined, observed: ObservedOverlay): Operation[] {
  return [...planLinks(desired, observed), ...planRows(desired, observed)];
}

/** Namespace, bridge, VXLAN device and container ports. A port that is missing cannot be made here: only Join can. */
export function planLinks(desired: DesiredOverlay | undefined, observed: ObservedOverlay): Operation[] {
  if (desired === undefined) {
    const last: Operation[] = observed.namespace ? [{ kind: 'delete-namespace' }] : [];
    return [...planRouteLinks(desired, observed), ...last];
  }
  return [
    ...(observed.namespace ? [] : [{ kind: 'create-namespace', ipv6: hasIpv6(desired) } as const]),
    ...planBridge(desired, observed),
    ...planVxlan(desired, observed),
    ...planPorts(desired, observed),
    ...planLowers(desired, observed),
    ...planRouteLinks(desired, observed),
  ];
}

function planBridge(desired: DesiredOverlay, observed: ObservedOverlay): Operation[] {
  const operations: Operation[] = [];
  const gateways = desired.subnets.map(({ gateway }) => gateway);
  const mac = macOf(gateways.map(withoutPrefix).find(isIpv4) ?? '0.0.0.0');
  const bridge = observed.bridge;
  if (bridge === undefined) operations.push({ kind: 'create-bridge', mac, mtu: desired.mtu });
  else {
    if (bridge.mac !== mac) operations.push({ kind: 'set-mac', link: BRIDGE, mac });
    if (bridge.mtu !== desired.mtu) operations.push({ kind: 'set-mtu', link: BRIDGE, mtu: desired.mtu });
    for (const address of bridge.addresses) {
      if (!gateways.includes(address)) operations.push({ kind: 'delete-address', address });
    }
  }
  for (const address of gateways) {
    if (bridge?.addresses.has(address) !== true) operations.push({ kind: 'add-address', address });
  }
  if (bridge?.up !== true) operations.push({ kind: 'set-up', link: BRIDGE });
  return operations;
}

function planVxlan(desired: DesiredOverlay, observed: ObservedOverlay): Operation[] {
  const operations: Operation[] = [];
  let vxlan = observed.vxlan;
  if (vxlan !== undefined && !isSameTunnel(desired, vxlan)) {
    operations.push({ kind: 'delete-link', link: VXLAN });
    vxlan = undefined;
  }
  const { vni, vtep, port, mtu } = desired;
  if (vxlan === undefined) operations.push({ kind: 'create-vxlan', vni, local: vtep, port, mtu });
  else if (vxlan.mtu !== mtu) operations.push({ kind: 'set-mtu', link: VXLAN, mtu });
  const enslaved = vxlan?.master === BRIDGE;
  if (!enslaved) operations.push({ kind: 'set-master', link: VXLAN });
  if (!enslaved || vxlan?.portLearning === true) operations.push({ kind: 'stop-learning' });
  if (vxlan?.up !== true) operations.push({ kind: 'set-up', link: VXLAN });
  return operations;
}

function planPorts(desired: DesiredOverlay, observed: ObservedOverlay): Operation[] {
  const operations: Operation[] = [];
  const wanted = new Set(desired.local.map((port) => port.link));
  for (const [link, port] of observed.ports) {
    if (!wanted.has(link)) {
      if (isPortName(link) && desired.doomed?.has(link) !== false) operations.push({ kind: 'delete-link', link });
      continue;
    }
    if (port.mtu !== desired.mtu) operations.push({ kind: 'set-mtu', link, mtu: desired.mtu });
    if (port.master !== BRIDGE) operations.push({ kind: 'set-master', link });
    if (!port.up) operations.push({ kind: 'set-up', link });
  }
  return operations;
}

/**
 * The rows of vxlan1's forwarding table, of the bridge's table on that port, and of vxlan1's neighbour table; for a routed network
 * also those of the bare way. What goes there keeps its row in vxlan1's table, which is then the way to fall back on.
 */
export function planRows(desired: DesiredOverlay | undefined, observed: ObservedOverlay): Operation[] {
  if (desired === undefined) return [];
  const rows = tablesAfterLinks(desired, observed);
  const peers = choosePeers(desired);
  const { forwarding, neighbours } = peers;
  const { before, macs: routed, after } = planRouteRows(desired, observed, peers);
  const silenced: Operation[] = [];
  for (const address of rows.neighbours.keys()) {
    if (!neighbours.has(address)) silenced.push({ kind: 'delete-neighbour', address });
  }
  const removals: Operation[] = [];
  for (const [mac, { vtep }] of rows.forwarding) {
    if (!forwarding.has(mac)) removals.push({ kind: 'delete-forwarding', mac, vtep });
  }
  for (const mac of rows.bridged.keys()) {
    if (!forwarding.has(mac)) removals.push({ kind: 'delete-bridged', mac });
  }
  const isDue = (each: Operation): boolean => desired.isPartial !== true || !isForgetful(each, desired);
  const operations = [...silenced.filter(isDue), ...before];
  for (const [mac, vtep] of forwarding) {
    const row = rows.forwarding.get(mac);
    if (row?.vtep !== vtep || !row.permanent) operations.push({ kind: 'put-forwarding', mac, vtep });
    if (!routed.has(mac) && rows.bridged.get(mac) !== true) operations.push({ kind: 'put-bridged', mac });
  }
  for (const [address, mac] of neighbours) {
    const row = rows.neighbours.get(address);
    if (row?.mac !== mac || !row.permanent) operations.push({ kind: 'put-neighbour', address, mac });
  }
  return [...operations, ...removals.filter(isDue), ...after.filter(isDue)];
}

const REMOVALS_BY_MAC: ReadonlySet<Operation['kind']> = new Set([
  'delete-forwarding',
  'delete-bridged',
  'delete-routed',
]);
const REMOVALS_BY_ADDRESS: ReadonlySet<Operation['kind']> = new Set([
  'delete-neighbour',
  'delete-route',
  'delete-source',
]);

/** Takes the way to a container of another host away. */
function isForgetful(operation: Operation, { local }: DesiredOverlay): boolean {
  if (REMOVALS_BY_MAC.has(operation.kind) && 'mac' in operation) {
    return local.every(({ mac }) => mac !== operation.mac);
  }
  if (REMOVALS_BY_ADDRESS.has(operation.kind) && 'address' in operation) {
    return local.every(({ address, address6 }) => address !== operation.address && address6 !== operation.address);
  }
  return false;
}

/** Rows live and die with their device. */
function tablesAfterLinks(
  desired: DesiredOverlay,
  observed: ObservedOverlay,
): Pick<ObservedOverlay, 'forwarding' | 'bridged' | 'neighbours'> {
  if (observed.vxlan !== undefined && isSameTunnel(desired, observed.vxlan)) return observed;
  return { forwarding: new Map(), bridged: new Map(), neighbours: new Map() };
}

/** Whether the network's containers have IPv6 addresses beside their IPv4 ones. */
export function hasIpv6(facts: Pick<NetworkFacts, 'subnets'>): boolean {
  return facts.subnets.some(({ subnet }) => subnet.includes(':'));
}

/** None of these can be changed on a device that exists. */
function isSameTunnel(desired: DesiredOverlay, vxlan: ObservedVxlan): boolean {
  return vxlan.vni === desired.vni && vxlan.local === desired.vtep && vxlan.port === desired.port && vxlan.silent;
}
