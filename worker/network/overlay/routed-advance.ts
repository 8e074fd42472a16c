import { assertNever } from '../../../proto/runtime/assert.ts';
import {
  emptyRoute,
  type ObservedOverlay,
  type ObservedRoute,
  type RouteOperation,
  shortcutKey,
  sourceKey,
} from './overlay-state.ts';

/** `advance` for the steps that only routed networks have. */
export function advanceRoute(observed: ObservedOverlay, operation: RouteOperation): void {
  const { route } = observed;
  switch (operation.kind) {
    case 'create-route-link': {
      const { mtu } = operation;
      route.link = { mtu, mac: '', up: false, quiet: false };
      route.end = { mtu, up: false };
      route.bridged.clear();
      return;
    }
    case 'quiet-route-link':
      if (route.link !== undefined) route.link.quiet = true;
      return;
    case 'delete-route-end':
      return dropRouteLink(observed);
    case 'set-route-end':
      route.end = { mtu: operation.mtu, up: true };
      return;
    case 'install-table': {
      const { link, end, bridged, lowers } = route;
      const links = { ...(link === undefined ? {} : { link }), ...(end === undefined ? {} : { end }), bridged, lowers };
      observed.route = { ...emptyRoute(), ...links, table: true, underlay: operation.underlay };
      return;
    }
    case 'delete-table': {
      const { underlay: _underlay, ...rest } = route;
      observed.route = { ...rest, ...emptyTable(), table: false };
      return;
    }
    case 'put-routed':
      observed.bridged.delete(operation.mac);
      return void route.bridged.set(operation.mac, true);
    case 'delete-routed':
      return void route.bridged.delete(operation.mac);
    case 'put-route':
      return void route.routes.set(operation.address, operation.mac);
    case 'delete-route':
      return void route.routes.delete(operation.address);
    case 'put-source':
      return void route.sources.add(sourceKey(operation.mac, operation.address));
    case 'delete-source':
      return void route.sources.delete(sourceKey(operation.mac, operation.address));
    case 'put-port':
      return void route.ports.set(operation.address, operation.mac);
    case 'delete-port':
      return void route.ports.delete(operation.address);
    case 'set-lower': {
      const { mac = '' } = route.lowers.get(operation.lower) ?? {};
      return void route.lowers.set(operation.lower, { mac, mtu: operation.mtu, up: true });
    }
    case 'put-shortcut':
      return void route.shortcuts.set(operation.lower, shortcutKey(operation));
    case 'delete-shortcut':
      return void route.shortcuts.delete(operation.lower);
    default:
      return assertNever(operation);
  }
}

function emptyTable(): Pick<ObservedRoute, 'routes' | 'sources' | 'ports' | 'shortcuts'> {
  const { routes, sources, ports, shortcuts } = emptyRoute();
  return { routes, sources, ports, shortcuts };
}

/** Both ends are gone, with the rows that name them and the chain that hung on the host's. */
export function dropRouteLink({ route }: ObservedOverlay): void {
  delete route.link;
  delete route.end;
  delete route.underlay;
  route.bridged.clear();
}
