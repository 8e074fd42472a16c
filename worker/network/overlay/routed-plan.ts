import { BRIDGE, ROUTED } from './link-names.ts';
import {
  type DesiredOverlay,
  emptyRoute,
  type ObservedOverlay,
  type ObservedRoute,
  type Operation,
  sourceKey,
  type Underlay,
} from './overlay-state.ts';
import type { PeerTables } from './peer-choice.ts';
import { planShortcuts } from './shortcut-plan.ts';

/*
 * The bare way of a routed network. The bridge sends frames for containers on neighbour hosts to routed0; they come out at its other end in the
 * host, where a netdev table (nft(8), ingress hook) sends each packet on to the host of its destination: from this host's MAC to that one's.
 * There the table knows the packet by its sender, the neighbour's MAC with an address that is known to
 * be on that neighbour, gives it the MAC of the local container, and puts it back into the bridge.
 *
 * IPv4 and IPv6 go alike, whichever of them the hosts use among themselves: a row names the next hop by its MAC, since the kernel's own next
 * hops must be of the packet's family. No packet goes this way twice, for it would come from a host that does not have its sender; so
 * there are no loops for a TTL to end, and it stays as it is.
 *
 * What is not ours does not get in or out: nothing leaves that is not from a container of this host, and what a neighbour sends for a container that
 * is no longer here ends here, before the host could route it elsewhere. Nor do the neighbours' own words about neighbours: vxlan1 answers
 * ARP and NDP of the bridge from its table, and RFC 4861's messages, router advertisements among them, end at the first host.
 *
 * The hook is before everything else that a host does with a packet. So nothing here depends on, or is in the way of,
 * forwarding, connection tracking, the engine's firewall or routes of the host; and a packet that the table does not know is not ours.
 * Containers see the same addresses as with VXLAN: an endpoint that moves keeps its MAC, and is sent to another way by one row.
 * Where the kernel can, containers have a shortcut beside this way (shortcut-plan.ts).
 */

/** Links and table of the bare way; removes them when it is not wanted. */
export function planRouteLinks(desired: DesiredOverlay | undefined, { route }: ObservedOverlay): Operation[] {
  if (desired?.route === undefined) {
    return [
      ...(route.table ? [{ kind: 'delete-table' } as const] : []),
      ...(route.link === undefined ? [] : [{ kind: 'delete-link', link: ROUTED } as const]),
      ...(route.link === undefined && route.end !== undefined ? [{ kind: 'delete-route-end' } as const] : []),
    ];
  }
  const operations: Operation[] = [];
  const { mtu } = desired;
  const { underlay } = desired.route;
  const pair = pairOf(route);
  if (pair === undefined) {
    if (route.link !== undefined) operations.push({ kind: 'delete-link', link: ROUTED });
    else if (route.end !== undefined) operations.push({ kind: 'delete-route-end' });
    operations.push({ kind: 'create-route-link', mtu });
  } else if (pair.link.mtu !== mtu) operations.push({ kind: 'set-mtu', link: ROUTED, mtu });
  const enslaved = pair?.link.master === BRIDGE;
  if (!enslaved) operations.push({ kind: 'set-master', link: ROUTED });
  if (!enslaved || pair?.link.quiet !== true) operations.push({ kind: 'quiet-route-link' });
  if (!keepsTable(desired, route)) operations.push({ kind: 'install-table', underlay });
  if (pair?.link.up !== true) operations.push({ kind: 'set-up', link: ROUTED });
  if (pair?.end.up !== true || pair.end.mtu !== mtu) operations.push({ kind: 'set-route-end', mtu });
  return operations;
}

/** What goes the bare way. */
interface RouteTables {
  /** MAC addresses that the bridge sends to routed0. */
  macs: Set<string>;
  routes: Map<string, string>;
  sources: Map<string, { address: string; mac: string }>;
  ports: Map<string, string>;
}

export interface RouteRows {
  /** To be done before frames are sent this way. */
  before: Operation[];
  /** Which MAC addresses are sent this way. */
  macs: ReadonlySet<string>;
  /** To be done after frames are no longer sent this way. */
  after: Operation[];
}

/** Rows of the table, and of the bridge's table for routed0. */
export function planRouteRows(desired: DesiredOverlay, observed: ObservedOverlay, peers: PeerTables): RouteRows {
  const wanted = routeTables(desired, peers);
  const have = routeAfterLinks(desired, observed.route);
  const before: Operation[] = [];
  const after: Operation[] = [];
  for (const [address, mac] of wanted.routes) {
    if (have.routes.get(address) === mac) continue;
    if (have.routes.has(address)) before.push({ kind: 'delete-route', address });
    before.push({ kind: 'put-route', address, mac });
  }
  for (const [address, mac] of wanted.ports) {
    if (have.ports.get(address) === mac) continue;
    if (have.ports.has(address)) before.push({ kind: 'delete-port', address });
    before.push({ kind: 'put-port', address, mac });
  }
  for (const [key, source] of wanted.sources)
    if (!have.sources.has(key)) before.push({ kind: 'put-source', ...source });
  for (const mac of wanted.macs) if (have.bridged.get(mac) !== true) before.push({ kind: 'put-routed', mac });
  for (const mac of have.bridged.keys()) {
    if (!peers.forwarding.has(mac)) after.push({ kind: 'delete-routed', mac });
  }
  for (const address of have.routes.keys())
    if (!wanted.routes.has(address)) after.push({ kind: 'delete-route', address });
  for (const address of have.ports.keys()) if (!wanted.ports.has(address)) after.push({ kind: 'delete-port', address });
  for (const key of have.sources) {
    const [mac = '', address = ''] = key.split(' ');
    if (!wanted.sources.has(key)) after.push({ kind: 'delete-source', address, mac });
  }
  after.push(...planShortcuts(desired, observed, have.shortcuts));
  return { before, macs: wanted.macs, after };
}

function routeTables(desired: DesiredOverlay, peers: PeerTables): RouteTables {
  const tables: RouteTables = { macs: new Set(), routes: new Map(), sources: new Map(), ports: new Map() };
  if (desired.route === undefined) return tables;
  for (const { address, address6, mac } of desired.local) {
    for (const each of [address, address6 ?? address]) tables.ports.set(each, mac);
  }
  // A MAC goes one way, and with it all of its addresses.
  for (const [address, mac] of peers.neighbours) {
    const vtep = peers.forwarding.get(mac) ?? '';
    const sender = desired.route.senders.get(vtep);
    if (sender !== undefined) tables.sources.set(sourceKey(sender, address), { address, mac: sender });
    const host = desired.route.neighbours.get(vtep);
    if (host === undefined) continue;
    tables.macs.add(mac);
    tables.routes.set(address, host);
  }
  return tables;
}

/** Rows live and die with their link and their table. */
function routeAfterLinks(desired: DesiredOverlay, route: ObservedRoute): ObservedRoute {
  const bridged =
    desired.route === undefined || pairOf(route) === undefined ? new Map<string, boolean>() : route.bridged;
  return keepsTable(desired, route) ? { ...route, bridged } : { ...emptyRoute(), bridged };
}

/** The kernel removes a chain together with its link. */
function keepsTable({ route: wanted }: DesiredOverlay, route: ObservedRoute): boolean {
  return (
    wanted !== undefined && pairOf(route) !== undefined && route.table && sameUnderlay(route.underlay, wanted.underlay)
  );
}

function sameUnderlay(one: Underlay | undefined, other: Underlay): boolean {
  return one?.link === other.link && one.mac === other.mac;
}

/** Both ends, or nothing that can be used. */
function pairOf({ link, end }: ObservedRoute): Required<Pick<ObservedRoute, 'link' | 'end'>> | undefined {
  return link === undefined || end === undefined ? undefined : { link, end };
}
