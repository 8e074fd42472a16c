import type { SecretSpec } from '../../../proto/objects/secret.ts';
import { type Route, paramOf, readJson, sendEmpty, sendJson } from '../exchange.ts';
import { parseFilters } from '../filters.ts';
import { versionParam } from '../query.ts';
import type { RouteModules } from '../route-modules.ts';

/** `/secrets`. */
export function secretRoutes({ backend }: Pick<RouteModules, 'backend'>): Route[] {
  return [
    {
      method: 'GET',
      path: '/secrets',
      async handle({ res, target }) {
        const filters = parseFilters(target.query.get('filters'));
        sendJson(res, 200, await backend.control().listSecrets({ filters }));
      },
    },
    {
      method: 'POST',
      path: '/secrets/create',
      async handle({ req, res }) {
        const spec = await readJson<SecretSpec>(req, 'swarm.SecretSpec');
        sendJson(res, 201, await backend.control().createSecret({ spec }));
      },
    },
    {
      method: 'GET',
      path: '/secrets/:id',
      async handle(exchange) {
        sendJson(exchange.res, 200, await backend.control().getSecret({ ref: paramOf(exchange, 'id') }));
      },
    },
    {
      method: 'POST',
      path: '/secrets/:id/update',
      async handle(exchange) {
        const spec = await readJson<SecretSpec>(exchange.req, 'swarm.SecretSpec');
        const version = versionParam(exchange.target.query, 'secret', 'short');
        await backend.control().updateSecret({ ref: paramOf(exchange, 'id'), version, spec });
        sendEmpty(exchange.res, 200);
      },
    },
    {
      method: 'DELETE',
      path: '/secrets/:id',
      async handle(exchange) {
        await backend.control().removeSecret({ ref: paramOf(exchange, 'id') });
        sendEmpty(exchange.res, 204);
      },
    },
  ];
}
