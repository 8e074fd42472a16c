import type { NodeSpec } from '../../../proto/objects/node.ts';
import { type Route, paramOf, readJson, sendEmpty, sendJson } from '../exchange.ts';
import { parseFilters } from '../filters.ts';
import { looseBool, versionParam } from '../query.ts';
import type { RouteModules } from '../route-modules.ts';

/** `/nodes`. */
export function nodeRoutes({ backend }: Pick<RouteModules, 'backend'>): Route[] {
  return [
    {
      method: 'GET',
      path: '/nodes',
      async handle({ res, target }) {
        const filters = parseFilters(target.query.get('filters'));
        sendJson(res, 200, await backend.control().listNodes({ filters }));
      },
    },
    {
      method: 'GET',
      path: '/nodes/:id',
      async handle(exchange) {
        sendJson(exchange.res, 200, await backend.control().getNode({ ref: paramOf(exchange, 'id') }));
      },
    },
    {
      method: 'POST',
      path: '/nodes/:id/update',
      async handle(exchange) {
        const spec = await readJson<NodeSpec>(exchange.req, 'swarm.NodeSpec');
        const version = versionParam(exchange.target.query, 'node', 'detailed');
        await backend.control().updateNode({ ref: paramOf(exchange, 'id'), version, spec });
        sendEmpty(exchange.res, 200);
      },
    },
    {
      method: 'DELETE',
      path: '/nodes/:id',
      async handle(exchange) {
        const force = looseBool(exchange.target.query, 'force');
        await backend.control().removeNode({ ref: paramOf(exchange, 'id'), force });
        sendEmpty(exchange.res, 200);
      },
    },
  ];
}
