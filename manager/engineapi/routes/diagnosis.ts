import type { AddressFamily } from '../../../proto/objects/diagnosis/path.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
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
        const query = (name: string): string => target.query.get(name) ?? '';
        const network = query('network');
        const family = familyIn(query('family'));
        const trace = await backend.control().getNetworkTrace({
          from: query('from'),
          to: query('to'),
          ...(network === '' ? {} : { network }),
          ...(family === undefined ? {} : { family }),
        });
        sendJson(res, 200, trace);
      },
    },
  ];
}

function familyIn(text: string): AddressFamily | undefined {
  if (text === '') return undefined;
  if (text === '4' || text === '6') return text === '4' ? 4 : 6;
  throw new WaggleError('invalid-argument', `family: 4 or 6 expected, not ${text}`);
}
