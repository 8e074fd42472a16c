import { type Route, sendJson } from '../exchange.ts';
import type { RouteModules } from '../route-modules.ts';

/** `/waggle/networks`: what Docker's API has no words for. */
export function diagnosisRoutes({ backend }: Pick<RouteModules, 'backend'>): Route[] {
  return [
    {
      method: 'GET',
      path: '/waggle/networks/check',
      async handle({ res, target }) {
        const network = target.query.get('network') ?? '';
        sendJson(res, 200, await backend.control().getNetworkCheck(network === '' ? {} : { network }));
      },
    },
    {
      method: 'GET',
      path: '/waggle/networks/trace',
      async handle({ res, target }) {
        const [from, to, network] = ['from', 'to', 'network'].map((name) => target.query.get(name) ?? '');
        const ends = { from: from ?? '', to: to ?? '' };
        const args = network === undefined || network === '' ? ends : { ...ends, network };
        sendJson(res, 200, await backend.control().getNetworkTrace(args));
      },
    },
  ];
}
