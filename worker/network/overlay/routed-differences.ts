import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import { ROUTED } from './link-names.ts';
import type { ObservedOverlay, RouteOperation } from './overlay-state.ts';

const TABLE = 'nftables table in the host';
const ABSENT = 'nothing';

type RouteDescribers = {
  [K in RouteOperation['kind']]: (operation: RouteOperation & { kind: K }, observed: ObservedOverlay) => Difference[];
};

/** What a step on a routed network's own things repairs; what only follows from another step is not told. */
export const ROUTE_DESCRIBERS: RouteDescribers = {
  'create-route-link': () => [difference('link missing', ROUTED, 'link to the host', ABSENT)],
  'quiet-route-link': (_, { route }) =>
    route.link === undefined ? [] : [difference('link altered', ROUTED, 'no flooding, no learning', 'other')],
  'delete-route-end': () => [difference('link leaked', 'end of routed0', ABSENT, 'present')],
  'set-route-end': ({ mtu }, { route }) =>
    route.link === undefined || route.end === undefined
      ? []
      : [
          difference(
            'link altered',
            'end of routed0',
            `up, MTU ${mtu}`,
            `${route.end.up ? 'up' : 'down'}, MTU ${route.end.mtu}`,
          ),
        ],
  'install-table': (_, { route }) =>
    route.table
      ? [difference('table altered', TABLE, 'as made', 'not so')]
      : [difference('table missing', TABLE, 'present', ABSENT)],
  'delete-table': () => [difference('table leaked', TABLE, ABSENT, 'present')],
  'put-routed': ({ mac }, { route, bridged }) => [
    route.bridged.has(mac) || bridged.has(mac)
      ? difference('bridge row altered', mac, ROUTED, bridged.has(mac) ? 'vxlan1' : 'not static')
      : difference('bridge row missing', mac, ROUTED, ABSENT),
  ],
  'delete-routed': ({ mac }) => [difference('bridge row added', mac, ABSENT, ROUTED)],
  'put-route': ({ address, mac }) => [difference('route missing', address, mac, ABSENT)],
  'delete-route': ({ address }, { route }) => [
    difference('route added', address, ABSENT, route.routes.get(address) ?? ''),
  ],
  'put-source': ({ address, mac }) => [difference('source missing', address, mac, ABSENT)],
  'delete-source': ({ address, mac }) => [difference('source added', address, ABSENT, mac)],
  'put-port': ({ address, mac }) => [difference('way to a container missing', address, mac, ABSENT)],
  'delete-port': ({ address }, { route }) => [
    difference('way to a container added', address, ABSENT, route.ports.get(address) ?? ''),
  ],
  'set-lower': ({ lower, mtu }, { route }) => {
    const { up = false, mtu: found = 0 } = route.lowers.get(lower) ?? {};
    return [difference('link altered', lower, `up, MTU ${mtu}`, `${up ? 'up' : 'down'}, MTU ${found}`)];
  },
  'put-shortcut': ({ lower, address }, { route }) => [
    route.shortcuts.has(lower)
      ? difference('shortcut altered', lower, `of ${address}, as made`, route.shortcuts.get(lower) || 'not so')
      : difference('shortcut missing', lower, `of ${address}`, ABSENT),
  ],
  'delete-shortcut': ({ lower }) => [difference('shortcut added', lower, ABSENT, 'present')],
};

/** Rows live and die with their table. */
export const TABLE_ROWS: ReadonlySet<RouteOperation['kind']> = new Set([
  'put-route',
  'delete-route',
  'put-source',
  'delete-source',
  'put-port',
  'delete-port',
  'put-shortcut',
  'delete-shortcut',
]);

function difference(kind: string, object: string, expected: string, found: string): Difference {
  return { kind, object, expected, found };
}
