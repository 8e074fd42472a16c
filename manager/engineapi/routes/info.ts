import { messageOf } from '../../../proto/runtime/errors.ts';
import type { ApiObject } from '../../controlapi/control-api.ts';
import type { Backend } from '../backend.ts';
import { type Route, send } from '../exchange.ts';
import { editText, memberOf, scanJson } from '../json-scan.ts';
import type { RouteModules } from '../route-modules.ts';

const TWO_MANAGERS =
  'WARNING: Running Swarm in a two-manager configuration. This configuration provides\n' +
  '         no fault tolerance, and poses a high risk to lose control over the cluster.\n' +
  '         Refer to https://docs.docker.com/engine/swarm/admin_guide/ to configure the\n' +
  '         Swarm for fault-tolerance.';

/** `/info`: the engine's, with `Swarm` replaced and every other byte as it came. */
export function infoRoutes({ backend, engine }: Pick<RouteModules, 'backend' | 'engine'>): Route[] {
  return [
    {
      method: 'GET',
      path: '/info',
      async handle({ res, target, signal }) {
        const path = `${target.prefix}/info${target.search}`;
        const [text, swarm] = await Promise.all([engine.text({ method: 'GET', path, signal }), swarmInfo(backend)]);
        const merged = withMember(text, 'Swarm', JSON.stringify(swarm));
        send(res, 200, 'application/json', withWarnings(merged, swarm.Warnings ?? []));
      },
    },
  ];
}

function withMember(text: string, name: string, value: string): string {
  const root = scanJson(text);
  const present = memberOf(root, name)?.value;
  if (present !== undefined) return editText(text, [{ ...present, text: value }]);
  const comma = (root.members?.length ?? 0) > 0 ? ',' : '';
  return editText(text, [{ start: root.end - 1, end: root.end - 1, text: `${comma}"${name}":${value}` }]);
}

/** The swarm's come behind the engine's own, as Docker's do: the clients print these. */
function withWarnings(text: string, more: readonly string[]): string {
  if (more.length === 0) return text;
  const present = memberOf(scanJson(text), 'Warnings')?.value;
  const own: unknown = present === undefined ? [] : JSON.parse(text.slice(present.start, present.end));
  return withMember(text, 'Warnings', JSON.stringify([...(Array.isArray(own) ? own : []), ...more]));
}

/** The Engine API's swarm.Info. A cluster that cannot be asked shows in `Error`; `/info` itself never fails for it. */
async function swarmInfo(backend: Backend): Promise<Record<string, unknown> & { Warnings?: string[] }> {
  const status = backend.status();
  const info: Record<string, unknown> = {
    NodeID: status.nodeId,
    NodeAddr: status.nodeAddr,
    LocalNodeState: status.state,
    ControlAvailable: status.manager,
    Error: status.error,
    RemoteManagers: status.remoteManagers.length > 0 ? status.remoteManagers : null,
  };
  if (!status.manager) return info;
  try {
    const control = backend.control();
    const [cluster, nodes] = await Promise.all([control.getCluster({}), control.listNodes({ filters: {} })]);
    const managers = nodes.filter(isManager).length;
    const { JoinTokens: _secret, ...shown } = cluster;
    return {
      ...info,
      Nodes: nodes.length,
      Managers: managers,
      Cluster: shown,
      ...(managers === 2 ? { Warnings: [TWO_MANAGERS] } : {}),
    };
  } catch (error) {
    return { ...info, Error: messageOf(error) };
  }
}

function isManager(node: ApiObject): boolean {
  return node['ManagerStatus'] !== undefined && node['ManagerStatus'] !== null;
}
