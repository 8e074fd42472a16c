import type { IncomingMessage } from 'node:http';
import type { ServiceSpec } from '../../../proto/objects/service.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { type Exchange, type Route, paramOf, readJson, sendEmpty, sendJson } from '../exchange.ts';
import { parseFilters } from '../filters.ts';
import { strictBool, versionParam } from '../query.ts';
import type { RouteModules } from '../route-modules.ts';

/** `/services`. */
export function serviceRoutes({ backend }: Pick<RouteModules, 'backend'>): Route[] {
  return [
    {
      method: 'GET',
      path: '/services',
      async handle({ res, target }) {
        const filters = parseFilters(target.query.get('filters'));
        const status = strictBool(target.query, 'status', 'with-cause');
        sendJson(res, 200, await backend.control().listServices({ filters, status }));
      },
    },
    {
      method: 'POST',
      path: '/services/create',
      async handle({ req, res }) {
        const spec = await readJson<ServiceSpec>(req, 'swarm.ServiceSpec');
        sendJson(res, 201, await backend.control().createService({ spec, ...registryAuthOf(req) }));
      },
    },
    {
      method: 'GET',
      path: '/services/:id',
      async handle(exchange) {
        const insertDefaults = strictBool(exchange.target.query, 'insertDefaults', 'with-cause');
        sendJson(
          exchange.res,
          200,
          await backend.control().getService({ ref: paramOf(exchange, 'id'), insertDefaults }),
        );
      },
    },
    {
      method: 'POST',
      path: '/services/:id/update',
      handle: (exchange) => update(exchange, backend),
    },
    {
      method: 'DELETE',
      path: '/services/:id',
      async handle(exchange) {
        await backend.control().removeService({ ref: paramOf(exchange, 'id') });
        sendEmpty(exchange.res, 200);
      },
    },
    { method: 'GET', path: '/services/:id/logs', handle: logs },
  ];
}

/** `GET /services/ID/logs` and `GET /tasks/ID/logs`. */
export async function logs(): Promise<void> {
  throw new WaggleError('unimplemented', 'logs of services and tasks are not supported');
}

async function update(exchange: Exchange, backend: RouteModules['backend']): Promise<void> {
  const { query } = exchange.target;
  const spec = await readJson<ServiceSpec>(exchange.req, 'swarm.ServiceSpec');
  const result = await backend.control().updateService({
    ref: paramOf(exchange, 'id'),
    version: versionParam(query, 'service', 'detailed'),
    spec,
    ...registryAuthOf(exchange.req),
    registryAuthFrom: registryAuthFromOf(query),
    rollback: rollbackOf(query),
  });
  sendJson(exchange.res, 200, { Warnings: result.Warnings ?? null });
}

function registryAuthOf(req: IncomingMessage): { registryAuth?: string } {
  const header = req.headers['x-registry-auth'];
  return typeof header === 'string' && header !== '' ? { registryAuth: header } : {};
}

function registryAuthFromOf(query: URLSearchParams): 'spec' | 'previous-spec' {
  const value = query.get('registryAuthFrom') ?? '';
  if (value === '' || value === 'spec') return 'spec';
  if (value === 'previous-spec') return 'previous-spec';
  throw new WaggleError('invalid-argument', 'unsupported registryAuthFrom value');
}

function rollbackOf(query: URLSearchParams): boolean {
  const value = query.get('rollback') ?? '';
  if (value === '' || value === 'none') return false;
  if (value === 'previous') return true;
  throw new WaggleError('invalid-argument', `unrecognized rollback option ${value}`);
}
