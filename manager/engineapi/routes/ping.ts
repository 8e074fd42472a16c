import type { LocalStatus } from '../backend.ts';
import type { Handler, Route } from '../exchange.ts';
import type { RouteModules } from '../route-modules.ts';

/** `/_ping`: the engine's own answer, with what this node is to the swarm. */
export function pingRoutes({ backend, proxy }: Pick<RouteModules, 'backend' | 'proxy'>): Route[] {
  const handle: Handler = async ({ req, res }) => {
    proxy.forward(req, res, { responseHeaders: { Swarm: swarmHeader(backend.status()) } });
  };
  return [
    { method: 'GET', path: '/_ping', handle },
    { method: 'HEAD', path: '/_ping', handle },
  ];
}

function swarmHeader(status: LocalStatus): string {
  if (status.state !== 'active') return status.state;
  return status.manager ? 'active/manager' : 'active/worker';
}
