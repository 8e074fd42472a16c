import type Docker from 'dockerode';
import { taskName } from '../../proto/objects/naming.ts';
import type { GenericResource, NodeDescription } from '../../proto/objects/node.ts';
import type { ContainerSpec, TaskObject } from '../../proto/objects/task.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { engineMount } from './engine-mount.ts';
import { hostPorts } from './host-ports.ts';
import { imageReferenceText, parseImageReference } from './image-reference.ts';
import { securityOptions } from './security-options.ts';
import { type Expand, taskTemplate } from './template.ts';
import { type LocalNetwork, taskNetworks } from './task-networks.ts';

/** Labels by which the containers of tasks are found again. */
export const TASK_LABEL = 'com.docker.swarm.task';
export const TASK_ID_LABEL = 'com.docker.swarm.task.id';
export const NODE_ID_LABEL = 'com.docker.swarm.node.id';

const NANO = 1e9;

/** What to ask of the engine for one task. */
export interface ContainerConfig {
  name: string;
  /** Body of `POST /containers/create`; holds the first network, since engines before 25 refuse more. */
  create: Docker.ContainerCreateOptions;
  /** To be connected before the start, in this order. */
  connect: readonly { network: string; endpoint: Docker.EndpointSettings }[];
}

/**
 * Pure: a task to its container, field by field as Docker Swarm's executor does it (SWARM-BEHAVIOUR.md 3.6). Never a
 * restart policy: restarting is the manager's.
 * @param networks the twin of each overlay network that the task is attached to.
 * @throws WaggleError invalid-argument (template), failed-precondition (no container spec, or a network is missing),
 * unimplemented (secrets and configs).
 */
export function containerConfig(
  task: TaskObject,
  networks: readonly LocalNetwork[],
  node: NodeDescription,
): ContainerConfig {
  const spec = task.Spec.ContainerSpec;
  if (spec === undefined) throw new WaggleError('failed-precondition', `task ${task.ID} has no container spec`);
  refuseUnbuilt(spec);
  const expand = taskTemplate(task, node);
  const placed = taskNetworks(task, networks);
  const name = taskName(task);
  return {
    name,
    create: {
      name,
      ...processConfig(task, spec, expand),
      ...(placed.first === undefined
        ? {}
        : { NetworkingConfig: { EndpointsConfig: { [placed.first.network]: placed.first.endpoint } } }),
      HostConfig: { ...hostConfig(task, spec, expand), NetworkMode: placed.mode },
    },
    connect: placed.rest,
  };
}

function refuseUnbuilt(spec: ContainerSpec): void {
  if ((spec.Secrets ?? []).length + (spec.Configs ?? []).length === 0) return;
  throw new WaggleError('unimplemented', 'secrets and configs cannot be given to containers on this node');
}

/** How long a container may take to end after its stop signal; the engine, which ends by itself now and then, counts in seconds. */
export function graceSeconds({ StopGracePeriod: grace }: Pick<ContainerSpec, 'StopGracePeriod'>): number | undefined {
  return grace === undefined ? undefined : Math.ceil(grace / NANO);
}

/** The part that describes the process. */
function processConfig(task: TaskObject, spec: ContainerSpec, expand: Expand): Docker.ContainerCreateOptions {
  const command = spec.Command ?? [];
  const args = spec.Args ?? [];
  const exposed = hostPorts(task).map((port) => [port.container, {}] as const);
  return {
    Image: imageReferenceText(parseImageReference(spec.Image ?? '')),
    Labels: { ...spec.Labels, ...taskLabels(task) },
    Env: [...(spec.Env ?? []).map(expand), ...resourceVariables(task.GenericResources ?? [])],
    ...(command.length > 0 ? { Entrypoint: command } : {}),
    ...(args.length > 0 ? { Cmd: args } : {}),
    ...given('Hostname', spec.Hostname === undefined ? undefined : expand(spec.Hostname)),
    ...given('User', spec.User),
    ...given('WorkingDir', spec.Dir),
    ...given('Tty', spec.TTY),
    ...given('OpenStdin', spec.OpenStdin),
    ...given('StopSignal', spec.StopSignal),
    ...given('StopTimeout', graceSeconds(spec)),
    ...given('Healthcheck', spec.Healthcheck),
    ...(exposed.length > 0 ? { ExposedPorts: Object.fromEntries(exposed) } : {}),
  };
}

function hostConfig(task: TaskObject, spec: ContainerSpec, expand: Expand): Docker.HostConfig {
  const ports = hostPorts(task);
  const mounts = (spec.Mounts ?? []).map((mount) => engineMount(mount, expand));
  const security = securityOptions(spec.Privileges);
  return {
    ...resourceLimits(task, spec),
    ...(mounts.length > 0 ? { Mounts: mounts as unknown as Docker.MountConfig } : {}),
    ...(ports.length > 0 ? { PortBindings: portBindings(ports) } : {}),
    ...(security.length > 0 ? { SecurityOpt: security } : {}),
    ...list('GroupAdd', spec.Groups),
    ...list('CapAdd', spec.CapabilityAdd),
    ...list('CapDrop', spec.CapabilityDrop),
    ...list('Dns', spec.DNSConfig?.Nameservers),
    ...list('DnsSearch', spec.DNSConfig?.Search),
    ...list('DnsOptions', spec.DNSConfig?.Options),
    ...list('ExtraHosts', (spec.Hosts ?? []).flatMap(extraHosts)),
    ...given('ReadonlyRootfs', spec.ReadOnly),
    ...given('Init', spec.Init ?? undefined),
    ...given('Sysctls', spec.Sysctls ?? undefined),
    ...given('OomScoreAdj', spec.OomScoreAdj),
    ...given('Isolation', spec.Isolation === '' ? undefined : spec.Isolation),
    ...given('LogConfig', logConfig(task)),
  };
}

function resourceLimits(task: TaskObject, spec: ContainerSpec): Docker.HostConfig {
  const { Limits: limits, SwapBytes: swap, MemorySwappiness: swappiness } = task.Spec.Resources ?? {};
  const memory = limits?.MemoryBytes ?? 0;
  return {
    ...(memory > 0 ? { Memory: memory } : {}),
    ...((limits?.NanoCPUs ?? 0) > 0 ? { NanoCpus: limits?.NanoCPUs } : {}),
    ...((limits?.Pids ?? 0) > 0 ? { PidsLimit: limits?.Pids } : {}),
    ...given('MemorySwap', memorySwap(memory, swap)),
    ...given('MemorySwappiness', swappiness),
    ...list('Ulimits', spec.Ulimits),
  };
}

/** The engine counts memory and swap together; -1 is without limit, and without a memory limit swap has none either. */
function memorySwap(memory: number, swap: number | undefined): number | undefined {
  if (swap === undefined) return undefined;
  if (swap < 0) return -1;
  return memory > 0 ? memory + swap : undefined;
}

function logConfig(task: TaskObject): { Type: string; Config: Record<string, string> } | undefined {
  const driver = task.Spec.LogDriver ?? task.LogDriver;
  if (driver === undefined) return undefined;
  return { Type: driver.Name ?? '', Config: driver.Options ?? {} };
}

/** A line of /etc/hosts, `IP host [alias …]`, as the engine's `host:IP`. */
function extraHosts(line: string): string[] {
  const [address = '', ...names] = line.trim().split(/\s+/);
  return names.map((name) => `${name}:${address}`);
}

function portBindings(ports: ReturnType<typeof hostPorts>): Record<string, { HostPort: string }[]> {
  const bindings: Record<string, { HostPort: string }[]> = {};
  for (const port of ports) {
    const known = bindings[port.container] ?? [];
    bindings[port.container] = [...known, { HostPort: port.published === 0 ? '' : String(port.published) }];
  }
  return bindings;
}

/** `DOCKER_RESOURCE_GPU=id1,id2` for named resources, a count for others. */
function resourceVariables(resources: readonly GenericResource[]): string[] {
  const values = new Map<string, string[]>();
  for (const { NamedResourceSpec: named, DiscreteResourceSpec: discrete } of resources) {
    if (named !== undefined) values.set(named.Kind, [...(values.get(named.Kind) ?? []), named.Value]);
    if (discrete !== undefined) values.set(discrete.Kind, [String(discrete.Value)]);
  }
  return [...values].map(([kind, each]) => `DOCKER_RESOURCE_${kind.toUpperCase()}=${each.join(',')}`);
}

function taskLabels(task: TaskObject): Record<string, string> {
  return {
    [TASK_LABEL]: '',
    [TASK_ID_LABEL]: task.ID,
    'com.docker.swarm.task.name': taskName(task),
    [NODE_ID_LABEL]: task.NodeID,
    'com.docker.swarm.service.id': task.ServiceID,
    'com.docker.swarm.service.name': task.ServiceAnnotations.Name,
  };
}

function given<K extends string, V>(key: K, value: V | undefined): Partial<Record<K, V>> {
  return value === undefined ? {} : ({ [key]: value } as Partial<Record<K, V>>);
}

function list<K extends string, V>(key: K, values: readonly V[] | null | undefined): Partial<Record<K, V[]>> {
  if (values === undefined || values === null || values.length === 0) return {};
  return { [key]: [...values] } as Partial<Record<K, V[]>>;
}
