import type { ConfigSpec } from '../../../proto/objects/secret.ts';
import { type Route, paramOf, readJson, sendEmpty, sendJson } from '../exchange.ts';
import { parseFilters } from '../filters.ts';
import { versionParam } from '../query.ts';
import type { RouteModules } from '../route-modules.ts';

/** `/configs`. */
export function configRoutes({ backend }: Pick<RouteModules, 'backend'>): Route[] {
  return [
    {
      method: 'GET',
      path: '/configs',
      async handle({ res, target }) {
        const filters = parseFilters(target.query.get('filters'));
        sendJson(res, 200, await backend.control().listConfigs({ filters }));
      },
    },
    {
      method: 'POST',
      path: '/configs/create',
      async handle({ req, res }) {
        const spec = await readJson<ConfigSpec>(req, 'swarm.ConfigSpec');
        sendJson(res, 201, await backend.control().createConfig({ spec }));
      },
    },
    {
      method: 'GET',
      path: '/configs/:id',
      async handle(exchange) {
        sendJson(exchange.res, 200, await backend.control().getConfig({ ref: paramOf(exchange, 'id') }));
      },
    },
    {
      method: 'POST',
      path: '/configs/:id/update',
      async handle(exchange) {
        const spec = await readJson<ConfigSpec>(exchange.req, 'swarm.ConfigSpec');
        const version = versionParam(exchange.target.query, 'config', 'short');
        await backend.control().updateConfig({ ref: paramOf(exchange, 'id'), version, spec });
        sendEmpty(exchange.res, 200);
      },
    },
    {
      method: 'DELETE',
      path: '/configs/:id',
      async handle(exchange) {
        await backend.control().removeConfig({ ref: paramOf(exchange, 'id') });
        sendEmpty(exchange.res, 204);
      },
    },
  ];
}
