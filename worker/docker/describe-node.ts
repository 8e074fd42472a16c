import type { GenericResource, NodeDescription } from '../../proto/objects/node.ts';
import type { Engine } from './engine.ts';
import { DEFAULT_LOCAL_NETWORKS_OPTIONS } from './local-networks.ts';

/** What of `GET /info` is read. */
interface EngineInfo {
  Name: string;
  Architecture: string;
  OSType: string;
  NCPU: number;
  MemTotal: number;
  ServerVersion: string;
  Labels?: string[] | null;
  GenericResources?: GenericResource[] | null;
  Plugins?: Record<string, string[] | null> | null;
}

interface NodePlugin {
  readonly Type: string;
  readonly Name: string;
}

const NANO = 1e9;

/** The node as its engine sees it. @param more what it has besides the engine's plugins. @throws WaggleError as Engine.call. */
export async function describeNode(
  engine: Engine,
  more: readonly NodePlugin[] = [],
  signal?: AbortSignal,
): Promise<NodeDescription> {
  const info = await engine.call(
    (docker) => docker.info() as Promise<EngineInfo>,
    signal === undefined ? {} : { signal },
  );
  return nodeDescription(info, more);
}

/**
 * Pure: plugins are sorted, and always hold the overlay driver, which is ours whatever the engine has; never the one that it knows us by,
 * which it names from the first network on only: a node that changes registers anew.
 */
export function nodeDescription(info: EngineInfo, more: readonly NodePlugin[] = []): NodeDescription {
  const labels = labelsOf(info.Labels ?? []);
  const resources = info.GenericResources ?? [];
  return {
    Hostname: info.Name,
    Platform: { Architecture: info.Architecture, OS: info.OSType },
    Resources: {
      NanoCPUs: info.NCPU * NANO,
      MemoryBytes: info.MemTotal,
      ...(resources.length > 0 ? { GenericResources: resources } : {}),
    },
    Engine: {
      EngineVersion: info.ServerVersion,
      ...(Object.keys(labels).length > 0 ? { Labels: labels } : {}),
      Plugins: pluginsOf(info.Plugins ?? {}, more),
    },
  };
}

function labelsOf(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map((line) => {
      const at = line.indexOf('=');
      return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)];
    }),
  );
}

function pluginsOf(plugins: Record<string, string[] | null>, more: readonly NodePlugin[]): NodePlugin[] {
  const found = new Map<string, NodePlugin>();
  const add = (Type: string, Name: string): unknown => found.set(`${Type}/${Name}`, { Type, Name });
  for (const [type, names] of Object.entries(plugins)) for (const name of names ?? []) add(type, name);
  found.delete(`Network/${DEFAULT_LOCAL_NETWORKS_OPTIONS.driver}`);
  add('Network', 'overlay');
  for (const { Type, Name } of more) add(Type, Name);
  return [...found.entries()].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, plugin]) => plugin);
}
