import type { ClusterSpec } from '../../../proto/objects/cluster.ts';
import { shaped } from '../../../proto/objects/spec-shape.ts';
import { INIT_SHAPE, JOIN_SHAPE, UNLOCK_SHAPE } from '../request-shape.ts';
import type { InitRequest, JoinRequest } from '../backend.ts';
import { type Route, readJson, sendEmpty, sendJson } from '../exchange.ts';
import { looseBool, strictBool, versionParam } from '../query.ts';
import type { RouteModules } from '../route-modules.ts';

/** `/swarm`: this node's membership, and the cluster as a whole. */
export function swarmRoutes({ backend }: Pick<RouteModules, 'backend'>): Route[] {
  return [
    {
      method: 'POST',
      path: '/swarm/init',
      async handle({ req, res }) {
        sendJson(
          res,
          200,
          await backend.init(shaped(INIT_SHAPE, await readJson<InitRequest>(req, 'swarm.InitRequest'))),
        );
      },
    },
    {
      method: 'POST',
      path: '/swarm/join',
      async handle({ req, res }) {
        await backend.join(shaped(JOIN_SHAPE, await readJson<JoinRequest>(req, 'swarm.JoinRequest')));
        sendEmpty(res, 200);
      },
    },
    {
      method: 'POST',
      path: '/swarm/leave',
      async handle({ res, target }) {
        await backend.leave(looseBool(target.query, 'force'));
        sendEmpty(res, 200);
      },
    },
    {
      method: 'GET',
      path: '/swarm',
      async handle({ res }) {
        sendJson(res, 200, await backend.control().getCluster({}));
      },
    },
    {
      method: 'POST',
      path: '/swarm/update',
      async handle({ req, res, target: { query } }) {
        const spec = await readJson<ClusterSpec>(req, 'swarm.Spec');
        await backend.control().updateCluster({
          version: versionParam(query, 'swarm', 'detailed'),
          spec,
          rotateWorkerToken: strictBool(query, 'rotateWorkerToken', 'plain'),
          rotateManagerToken: strictBool(query, 'rotateManagerToken', 'plain'),
          rotateManagerUnlockKey: strictBool(query, 'rotateManagerUnlockKey', 'plain'),
        });
        sendEmpty(res, 200);
      },
    },
    {
      method: 'GET',
      path: '/swarm/unlockkey',
      async handle({ res }) {
        sendJson(res, 200, await backend.control().getUnlockKey({}));
      },
    },
    {
      method: 'POST',
      path: '/swarm/unlock',
      async handle({ req, res }) {
        const request = await readJson<{ UnlockKey?: string }>(req, 'swarm.UnlockRequest');
        const { UnlockKey } = shaped(UNLOCK_SHAPE, request);
        await backend.unlock(UnlockKey ?? '');
        sendEmpty(res, 200);
      },
    },
  ];
}
