import { macOf, withoutPrefix } from './address.ts';
import { BRIDGE, isPortName, VXLAN } from './link-names.ts';
import type { DesiredOverlay, ObservedOverlay, ObservedVxlan, Operation } from './overlay-state.ts';
import { choosePeers } from './peer-choice.ts';

/**
 * The whole way from what the kernel has to what it should have; empty when they agree. `desired` undefined means
 * that the network has no container here: its namespace goes, and everything with it.
 * Links come before rows, since a row needs its link up; forwarding before neighbours, so that no address is
 * answered for before frames to it have a way; removals of neighbours first, for the same reason.
 */
export function plan(desired: DesiredOverlay | undefined, observed: ObservedOverlay): Operation[] {
  return [...planLinks(desired, observed), ...planRows(desired, observed)];
}

/** Namespace, bridge, VXLAN device and container ports. A port that is missing cannot be made here: only Join can. */
export function planLinks(desired: DesiredOverlay | undefined, observed: ObservedOverlay): Operation[] {
  if (desired === undefined) return observed.namespace ? [{ kind: 'delete-namespace' }] : [];
  return [
    ...(observed.namespace ? [] : [{ kind: 'create-namespace' } as const]),
    ...planBridge(desired, observed),
    ...planVxlan(desired, observed),
    ...planPorts(desired, observed),
  ];
}

function planBridge(desired: DesiredOverlay, observed: ObservedOverlay): Operation[] {
  const operations: Operation[] = [];
  const mac = macOf(withoutPrefix(desired.gateway));
  const bridge = observed.bridge;
  if (bridge === undefined) operations.push({ kind: 'create-bridge', mac, mtu: desired.mtu });
  else {
    if (bridge.mac !== mac) operations.push({ kind: 'set-mac', link: BRIDGE, mac });
    if (bridge.mtu !== desired.mtu) operations.push({ kind: 'set-mtu', link: BRIDGE, mtu: desired.mtu });
    for (const address of bridge.addresses) {
      if (address !== desired.gateway) operations.push({ kind: 'delete-address', address });
    }
  }
  if (bridge?.addresses.has(desired.gateway) !== true) {
    operations.push({ kind: 'add-address', address: desired.gateway });
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

/** The rows of vxlan1's forwarding table, of the bridge's table on that port, and of vxlan1's neighbour table. */
export function planRows(desired: DesiredOverlay | undefined, observed: ObservedOverlay): Operation[] {
  if (desired === undefined) return [];
  const rows = tablesAfterLinks(desired, observed);
  const { forwarding, neighbours } = choosePeers(desired);
  const operations: Operation[] = [];
  for (const address of rows.neighbours.keys()) {
    if (!neighbours.has(address)) operations.push({ kind: 'delete-neighbour', address });
  }
  for (const [mac, { vtep }] of rows.forwarding) {
    if (!forwarding.has(mac)) operations.push({ kind: 'delete-forwarding', mac, vtep });
  }
  for (const mac of rows.bridged.keys()) {
    if (!forwarding.has(mac)) operations.push({ kind: 'delete-bridged', mac });
  }
  for (const [mac, vtep] of forwarding) {
    const row = rows.forwarding.get(mac);
    if (row?.vtep !== vtep || !row.permanent) operations.push({ kind: 'put-forwarding', mac, vtep });
    if (rows.bridged.get(mac) !== true) operations.push({ kind: 'put-bridged', mac });
  }
  for (const [address, mac] of neighbours) {
    const row = rows.neighbours.get(address);
    if (row?.mac !== mac || !row.permanent) operations.push({ kind: 'put-neighbour', address, mac });
  }
  return operations;
}

/** Rows live and die with their device. */
function tablesAfterLinks(
  desired: DesiredOverlay,
  observed: ObservedOverlay,
): Pick<ObservedOverlay, 'forwarding' | 'bridged' | 'neighbours'> {
  if (observed.vxlan !== undefined && isSameTunnel(desired, observed.vxlan)) return observed;
  return { forwarding: new Map(), bridged: new Map(), neighbours: new Map() };
}

/** None of these can be changed on a device that exists. */
function isSameTunnel(desired: DesiredOverlay, vxlan: ObservedVxlan): boolean {
  return vxlan.vni === desired.vni && vxlan.local === desired.vtep && vxlan.port === desired.port && vxlan.silent;
}
