/**
 * The questions a task asks of a node, in the order in which they are asked, and how a refusal is told to the user
 * (swarmkit manager/scheduler/filter.go, word for word since clients show and compare these texts). Pure.
 */

import type { Json } from '../../proto/objects/meta.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { ENCRYPTION_PLUGIN } from '../../proto/objects/tunnel.ts';
import { matchesAll, parseConstraints } from '../constraint/constraint.ts';
import { hasFree, reservedUnits } from './generic-resources.ts';
import { hostPortsOf, type NodeInfo, reservationsOf } from './node-info.ts';

/** What filters may ask of the swarm besides tasks and nodes. */
export interface FilterContext {
  isEncrypted(networkId: string): boolean;
}

export type NodeCheck = (info: NodeInfo) => boolean;

export interface Filter {
  name: string;
  /** The check for this task, or undefined when the task asks nothing that this filter looks at. */
  prepare(task: TaskObject, context: FilterContext): NodeCheck | undefined;
  /** Why `nodes` nodes were refused. */
  explain(nodes: number): string;
}

const ready: Filter = {
  name: 'ready',
  prepare: () => (info) => info.node.Status.State === 'ready' && info.node.Spec.Availability === 'active',
  explain: (nodes) => `${nodes === 1 ? '1 node' : `${nodes} nodes`} not available for new tasks`,
};

const resource: Filter = {
  name: 'resource',
  prepare(task) {
    const reserved = reservationsOf(task);
    const { NanoCPUs: cpus = 0, MemoryBytes: memory = 0 } = reserved;
    const generics = reservedUnits(reserved.GenericResources ?? []);
    if (cpus === 0 && memory === 0 && generics.size === 0) return undefined;
    return (info) => cpus <= info.nanoCpus && memory <= info.memoryBytes && hasFree(info.free, generics);
  },
  explain: (nodes) => `insufficient resources on ${count(nodes)}`,
};

const plugin: Filter = {
  name: 'plugin',
  prepare(task, context) {
    const volumes = (task.Spec.ContainerSpec?.Mounts ?? []).map(volumeDriver).filter((name) => name !== undefined);
    const log = task.Spec.LogDriver?.Name ?? '';
    const checksLog = log !== '' && log !== 'none';
    const encrypts = (task.NetworksAttachments ?? []).some(({ NetworkID }) => context.isEncrypted(NetworkID));
    if (volumes.length === 0 && !checksLog && !encrypts) return undefined;
    return (info) => {
      const plugins = info.node.Description?.Engine.Plugins;
      if (encrypts && !canEncrypt(plugins ?? [])) return false;
      if (plugins === undefined) return true;
      const has = (type: string, name: string): boolean =>
        plugins.some((one) => one.Type === type && (one.Name === name || one.Name === `${name}:latest`));
      if (!volumes.every((name) => has('Volume', name))) return false;
      // An engine too old to report its log drivers is given the benefit of the doubt.
      return !checksLog || has('Log', log) || !plugins.some((one) => one.Type === 'Log');
    };
  },
  explain: (nodes) => `missing plugin on ${count(nodes)}`,
};

const constraint: Filter = {
  name: 'constraint',
  prepare(task) {
    const expressions = task.Spec.Placement?.Constraints ?? [];
    if (expressions.length === 0) return undefined;
    try {
      const constraints = parseConstraints(expressions);
      return (info) => matchesAll(constraints, info.node);
    } catch {
      // The API refuses such specs; one that came in all the same must not run just anywhere.
      return () => false;
    }
  },
  explain: (nodes) => `scheduling constraints not satisfied on ${count(nodes)}`,
};

const platform: Filter = {
  name: 'platform',
  prepare(task) {
    const platforms = task.Spec.Placement?.Platforms ?? [];
    if (platforms.length === 0) return undefined;
    return (info) => {
      const own = info.node.Description?.Platform;
      if (own === undefined) return false;
      return platforms.some(
        ({ Architecture: arch = '', OS: os = '' }) =>
          (arch === '' || architecture(arch) === architecture(own.Architecture)) && (os === '' || os === own.OS),
      );
    };
  },
  explain: (nodes) => `unsupported platform on ${count(nodes)}`,
};

const hostPort: Filter = {
  name: 'host-port',
  prepare(task) {
    const ports = hostPortsOf(task);
    return ports.length === 0 ? undefined : (info) => !ports.some((port) => info.usesHostPort(port));
  },
  explain: (nodes) => `host-mode port already in use on ${count(nodes)}`,
};

const maxReplicas: Filter = {
  name: 'max-replicas',
  prepare(task) {
    const limit = task.Spec.Placement?.MaxReplicas ?? 0;
    return limit === 0 ? undefined : (info) => info.activeOf(task.ServiceID) < limit;
  },
  explain: () => 'max replicas per node limit exceed',
};

/** All filters in their order; the first one that refuses a node is the one that counts in the explanation. */
export const DEFAULT_FILTERS: readonly Filter[] = [
  ready,
  resource,
  plugin,
  constraint,
  platform,
  hostPort,
  maxReplicas,
];

function canEncrypt(plugins: readonly { Type: string; Name: string }[]): boolean {
  return plugins.some(({ Type, Name }) => Type === ENCRYPTION_PLUGIN.Type && Name === ENCRYPTION_PLUGIN.Name);
}

function count(nodes: number): string {
  return nodes === 1 ? '1 node' : `${nodes} nodes`;
}

/** The volume plugin that a mount needs, if any. */
function volumeDriver(mount: { [key: string]: Json }): string | undefined {
  if (mount['Type'] !== 'volume') return undefined;
  const name = field(field(field(mount, 'VolumeOptions'), 'DriverConfig'), 'Name');
  return typeof name === 'string' && name !== '' && name !== 'local' ? name : undefined;
}

function field(value: Json | undefined, key: string): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value[key] : undefined;
}

function architecture(name: string): string {
  if (name === 'x86_64') return 'amd64';
  return name === 'aarch64' ? 'arm64' : name;
}
