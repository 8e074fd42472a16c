import { type Route, paramOf, sendJson } from '../exchange.ts';
import { parseFilters } from '../filters.ts';
import type { RouteModules } from '../route-modules.ts';
import { logs } from './services.ts';

/** `/tasks`. */
export function taskRoutes({ backend }: Pick<RouteModules, 'backend'>): Route[] {
  return [
    {
      method: 'GET',
      path: '/tasks',
      async handle({ res, target }) {
        const filters = parseFilters(target.query.get('filters'));
        sendJson(res, 200, await backend.control().listTasks({ filters }));
      },
    },
    {
      method: 'GET',
      path: '/tasks/:id',
      async handle(exchange) {
        sendJson(exchange.res, 200, await backend.control().getTask({ ref: paramOf(exchange, 'id') }));
      },
    },
    { method: 'GET', path: '/tasks/:id/logs', handle: logs },
  ];
}
