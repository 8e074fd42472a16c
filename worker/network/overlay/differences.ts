import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import { BRIDGE, ROUTED, VXLAN } from './link-names.ts';
import {
  type DesiredOverlay,
  isRouteOperation,
  type ObservedLink,
  type ObservedOverlay,
  type Operation,
  type RouteOperation,
} from './overlay-state.ts';
import { ROUTE_DESCRIBERS, TABLE_ROWS } from './routed-differences.ts';
import { plan } from './plan.ts';
import { boundPorts } from './shortcut-plan.ts';

const ABSENT = 'nothing';

/**
 * What the kernel has that it should not, and the other way round, told as what is to be found and not as what to do. The steps
 * of a plan are its source, so nothing that would be repaired is passed over; ports of containers, which no step of a plan makes,
 * are added. What follows from a missing link is not told beside it.
 */
export function differencesOf(
  namespace: string,
  desired: DesiredOverlay | undefined,
  observed: ObservedOverlay,
): Difference[] {
  const operations = plan(desired, observed);
  return [
    ...operations.flatMap((operation) => describe(operation, { namespace, all: operations, observed })),
    ...missingPorts(desired, observed),
  ];
}

/** The kinds of difference that operations repair, one of each; none of a step that only follows from another one. */
export function repairKinds(operations: readonly Operation[], observed: ObservedOverlay): string[] {
  const context = { namespace: '', all: operations, observed };
  return operations.flatMap((operation) => describe(operation, context)[0]?.kind ?? []);
}

function missingPorts(desired: DesiredOverlay | undefined, observed: ObservedOverlay): Difference[] {
  const bound = boundPorts(observed);
  return (desired?.local ?? [])
    .filter(({ link }) => !bound.has(link))
    .map(({ link, address }) => ({
      kind: 'port missing',
      object: link,
      expected: `link of the container with ${address}`,
      found: `${ABSENT}; if it stays so, restart the container`,
    }));
}

interface Context {
  namespace: string;
  /** The whole plan that the operation is a step of. */
  all: readonly Operation[];
  observed: ObservedOverlay;
}

type Describers = { [K in Operation['kind']]?: (operation: Operation & { kind: K }, context: Context) => Difference[] };

function describe(operation: Operation, context: Context): Difference[] {
  // All else is made with the namespace, and rows with their device.
  const isAnew = context.all.some(({ kind }) => kind === 'create-namespace');
  if (isAnew && operation.kind !== 'create-namespace') return [];
  if (ROWS.has(operation.kind) && makes(context, 'create-vxlan')) return [];
  if (isRouteOperation(operation)) {
    if (TABLE_ROWS.has(operation.kind) && makes(context, 'install-table')) return [];
    if (operation.kind === 'put-routed' && makes(context, 'create-route-link')) return [];
  }
  const describer = DESCRIBERS[operation.kind] as ((each: Operation, at: Context) => Difference[]) | undefined;
  if (describer !== undefined) return describer(operation, context);
  const { kind, ...details } = operation;
  return [difference(kind, JSON.stringify(details), 'done', 'not done')];
}

const ROWS: ReadonlySet<string> = new Set<Operation['kind']>([
  'put-forwarding',
  'delete-forwarding',
  'put-bridged',
  'delete-bridged',
  'put-neighbour',
  'delete-neighbour',
]);

/** A step that is not here is told by its own name. */
const DESCRIBERS: Describers = {
  ...routeDescribers(),
  'create-namespace': (_, { namespace }) => [difference('namespace missing', namespace, 'present', ABSENT)],
  'delete-namespace': (_, { namespace }) => [difference('namespace leaked', namespace, ABSENT, 'present')],
  'create-bridge': () => [difference('link missing', BRIDGE, 'bridge', ABSENT)],
  'create-vxlan': ({ vni, local, port }, { observed }) => {
    const wanted = tunnelWords({ vni, local, port, silent: true });
    if (observed.vxlan === undefined) return [difference('link missing', VXLAN, wanted, ABSENT)];
    return [difference('link altered', VXLAN, wanted, tunnelWords(observed.vxlan))];
  },
  'delete-link': ({ link }) =>
    link === VXLAN ? [] : [difference('link leaked', link, ABSENT, 'a link of no endpoint')],
  'set-mtu': ({ link, mtu }, { observed }) => [
    difference('MTU altered', link, String(mtu), String(linkOf(observed, link)?.mtu ?? '')),
  ],
  'set-mac': ({ link, mac }, { observed }) => [difference('MAC altered', link, mac, linkOf(observed, link)?.mac ?? '')],
  'set-master': ({ link }, context) => {
    if (isMade(context, link)) return [];
    return [difference('bridge altered', link, BRIDGE, linkOf(context.observed, link)?.master ?? 'no bridge')];
  },
  'set-up': ({ link }, context) => (isMade(context, link) ? [] : [difference('link down', link, 'up', 'down')]),
  'stop-learning': (_, context) => {
    // Learning begins anew with each bridge that the device is put on.
    const isEnslaved = context.all.some((each) => each.kind === 'set-master' && each.link === VXLAN);
    return isEnslaved ? [] : [difference('learning on', VXLAN, 'off', 'on')];
  },
  'add-address': ({ address }, context) =>
    isMade(context, BRIDGE) ? [] : [difference('address missing', address, `on ${BRIDGE}`, ABSENT)],
  'delete-address': ({ address }) => [difference('address added', address, ABSENT, `on ${BRIDGE}`)],
  'put-forwarding': ({ mac, vtep }, { observed }) => {
    const row = observed.forwarding.get(mac);
    return [rowDifference('forwarding', mac, vtep, row && rowWords(row.vtep, row.permanent))];
  },
  'delete-forwarding': ({ mac, vtep }) => [difference('forwarding added', mac, ABSENT, vtep)],
  'put-bridged': ({ mac }, { observed }) => [
    rowDifference('bridge row', mac, VXLAN, observed.bridged.has(mac) ? 'not static' : undefined),
  ],
  'delete-bridged': ({ mac }) => [difference('bridge row added', mac, ABSENT, VXLAN)],
  'put-neighbour': ({ address, mac }, { observed }) => {
    const row = observed.neighbours.get(address);
    return [rowDifference('neighbour', address, mac, row && rowWords(row.mac, row.permanent))];
  },
  'delete-neighbour': ({ address }, { observed }) => [
    difference('neighbour added', address, ABSENT, observed.neighbours.get(address)?.mac ?? ''),
  ],
};

function routeDescribers(): Describers {
  const told = Object.entries(ROUTE_DESCRIBERS).map(([kind, describe]) => [
    kind,
    (operation: RouteOperation, { observed }: Context) =>
      (describe as (each: RouteOperation, of: ObservedOverlay) => Difference[])(operation, observed),
  ]);
  return Object.fromEntries(told) as Describers;
}

function makes({ all }: Context, kind: Operation['kind']): boolean {
  return all.some((each) => each.kind === kind);
}

/** True for a link that the same plan makes: what follows from that is not told beside it. */
function isMade(context: Context, link: string): boolean {
  if (link === ROUTED) return makes(context, 'create-route-link');
  return (link === BRIDGE && makes(context, 'create-bridge')) || (link === VXLAN && makes(context, 'create-vxlan'));
}

function rowDifference(noun: string, object: string, expected: string, found: string | undefined): Difference {
  if (found === undefined) return difference(`${noun} missing`, object, expected, ABSENT);
  return difference(`${noun} altered`, object, expected, found);
}

function rowWords(value: string, permanent: boolean): string {
  return `${value === '' ? ABSENT : value}${permanent ? '' : ', not permanent'}`;
}

function tunnelWords(tunnel: { vni: number; local: string; port: number; silent: boolean }): string {
  const habits = tunnel.silent ? '' : ', not nolearning proxy';
  return `VNI ${tunnel.vni}, local ${tunnel.local}, port ${tunnel.port}${habits}`;
}

function linkOf(observed: ObservedOverlay, link: string): ObservedLink | undefined {
  if (link === BRIDGE) return observed.bridge;
  if (link === ROUTED) return observed.route.link;
  return link === VXLAN ? observed.vxlan : observed.ports.get(link);
}

function difference(kind: string, object: string, expected: string, found: string): Difference {
  return { kind, object, expected, found };
}
