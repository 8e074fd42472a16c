import type { Command } from 'commander';
import type { Json } from '../../../../proto/objects/meta.ts';
import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import type { ContainerSpec, NetworkAttachmentConfig, ResourceSet } from '../../../../proto/objects/task.ts';
import { collect, CommandError } from '../../../command.ts';
import { pairsOf } from '../../pairs.ts';
import { parseMount } from './mount.ts';
import { parsePorts, parseTargetPort } from './port.ts';
import { isIP } from 'node:net';
import { changeCapabilities } from './capabilities.ts';
import { fields, parseInteger, refuse } from './values.ts';

/** A flag that may be repeated: `--x` for create, `--x-add` and `--x-rm` for update. */
interface ListFlag {
  name: string;
  value: string;
  help: string;
  short?: string;
  add(spec: ServiceSpec, texts: readonly string[]): void;
  remove?(spec: ServiceSpec, texts: readonly string[]): void;
}

function container(spec: ServiceSpec): ContainerSpec {
  spec.TaskTemplate.ContainerSpec ??= {};
  return spec.TaskTemplate.ContainerSpec;
}

/** A list of texts in the container's spec in which an entry is replaced by one with the same key. */
function texts(
  name: string,
  value: string,
  help: string,
  field: 'Env' | 'Groups',
  keyOf: (text: string) => string = (text) => text,
): Omit<ListFlag, 'short'> {
  return {
    name,
    value,
    help,
    add: (spec, given) => {
      const all = [...(container(spec)[field] ?? []), ...given];
      // Of several with one key the last counts.
      const last = new Map(all.map((text, at) => [keyOf(text), at]));
      container(spec)[field] = all.filter((text, at) => last.get(keyOf(text)) === at);
    },
    remove: (spec, given) => {
      container(spec)[field] = (container(spec)[field] ?? []).filter((each) => !given.includes(keyOf(each)));
    },
  };
}

function dns(name: string, field: 'Nameservers' | 'Search' | 'Options', help: string): ListFlag {
  return {
    name,
    value: 'list',
    help,
    add: (spec, given) => {
      const bad = field === 'Nameservers' ? given.find((text) => isIP(text.trim()) === 0) : undefined;
      if (bad !== undefined) refuse(name, bad, `IP address is not correctly formatted: ${bad}`);
      const config = container(spec).DNSConfig ?? {};
      container(spec).DNSConfig = { ...config, [field]: [...new Set([...(config[field] ?? []), ...given])] };
    },
    remove: (spec, given) => {
      const config = container(spec).DNSConfig ?? {};
      container(spec).DNSConfig = { ...config, [field]: (config[field] ?? []).filter((each) => !given.includes(each)) };
    },
  };
}

/** Labels and the like: an object of texts somewhere in the spec. */
function pairs(
  name: string,
  help: string,
  get: (spec: ServiceSpec) => Record<string, string>,
  set: (spec: ServiceSpec, value: Record<string, string>) => void,
): ListFlag {
  return {
    name,
    value: 'list',
    help,
    add: (spec, given) => set(spec, { ...get(spec), ...pairsOf(given) }),
    remove: (spec, given) =>
      set(spec, Object.fromEntries(Object.entries(get(spec)).filter(([key]) => !given.includes(key)))),
  };
}

function networks(spec: ServiceSpec): NetworkAttachmentConfig[] {
  return [...(spec.TaskTemplate.Networks ?? spec.Networks ?? [])];
}

/** `net1` or `name=net1,alias=web,driver-opt=k=v`. */
function parseNetwork(text: string): NetworkAttachmentConfig {
  if (!text.includes('=')) return { Target: text };
  const parts = text.split(',');
  const all = (key: string): string[] =>
    parts.filter((part) => part.startsWith(`${key}=`)).map((part) => part.slice(key.length + 1));
  const aliases = all('alias');
  const options = all('driver-opt');
  return {
    Target: all('name')[0] ?? '',
    ...(aliases.length === 0 ? {} : { Aliases: aliases }),
    ...(options.length === 0 ? {} : { DriverOpts: pairsOf(options) }),
  };
}

/** `host:ip` -> the line of /etc/hosts that specs hold. */
function hostLine(text: string): string {
  const at = text.indexOf(':');
  if (at <= 0) return refuse('host', text, `bad format for add-host: "${text}"`);
  const address = text.slice(at + 1).replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) === 0) return refuse('host', text, `invalid IP address in add-host: "${address}"`);
  return `${address} ${text.slice(0, at)}`;
}

function genericResource(text: string): NonNullable<ResourceSet['GenericResources']>[number] {
  const [kind = '', value = ''] = text.split('=');
  if (!/^\d+$/.test(value)) {
    throw new CommandError(
      `invalid generic-resource request \`${text}\`, Named Generic Resources is not supported for service create or update`,
    );
  }
  return { DiscreteResourceSpec: { Kind: kind, Value: Number(value) } };
}

/** `name` or `source=,target=,uid=,gid=,mode=`: what secrets and configs share. */
function fileReference(kind: 'Secret' | 'Config', text: string): { [key: string]: Json } {
  const given = text.includes('=') ? fields(text) : new Map([['source', text]]);
  const source = given.get('source') ?? given.get('src') ?? '';
  return {
    [`${kind}ID`]: '',
    [`${kind}Name`]: source,
    File: {
      Name: given.get('target') ?? (kind === 'Secret' ? source : `/${source}`),
      UID: given.get('uid') ?? '0',
      GID: given.get('gid') ?? '0',
      Mode: Number.parseInt(given.get('mode') ?? '0444', 8),
    },
  };
}

function files(name: string, kind: 'Secret' | 'Config'): ListFlag {
  const field = kind === 'Secret' ? 'Secrets' : 'Configs';
  return {
    name,
    value: name,
    help: `Specify ${name}s to expose to the service`,
    add: (spec, given) => {
      container(spec)[field] = [...(container(spec)[field] ?? []), ...given.map((text) => fileReference(kind, text))];
    },
    remove: (spec, given) => {
      const kept = (container(spec)[field] ?? []).filter((each) => !given.includes(each[`${kind}Name`] as string));
      container(spec)[field] = kept;
    },
  };
}

const LISTS: readonly ListFlag[] = [
  { ...texts('env', 'list', 'Set environment variables', 'Env', (text) => text.split('=')[0] ?? text), short: 'e' },
  texts('group', 'list', 'Set one or more supplementary user groups for the container', 'Groups'),
  dns('dns', 'Nameservers', 'Set custom DNS servers'),
  dns('dns-option', 'Options', 'Set DNS options'),
  dns('dns-search', 'Search', 'Set custom DNS search domains'),
  {
    ...pairs(
      'label',
      'Service labels',
      (spec) => ({ ...spec.Labels }),
      (spec, value) => void (spec.Labels = value),
    ),
    short: 'l',
  },
  pairs(
    'container-label',
    'Container labels',
    (spec) => ({ ...container(spec).Labels }),
    (spec, value) => void (container(spec).Labels = value),
  ),
  pairs(
    'sysctl',
    'Sysctl options',
    (spec) => ({ ...container(spec).Sysctls }),
    (spec, value) => void (container(spec).Sysctls = value),
  ),
  {
    name: 'mount',
    value: 'mount',
    help: 'Attach a filesystem mount to the service',
    add: (spec, given) => {
      const fresh = given.map(parseMount);
      const kept = (container(spec).Mounts ?? []).filter(
        (each) => !fresh.some((mount) => mount['Target'] === each['Target']),
      );
      container(spec).Mounts = [...kept, ...fresh];
    },
    remove: (spec, given) => {
      container(spec).Mounts = (container(spec).Mounts ?? []).filter(
        (each) => !given.includes(each['Target'] as string),
      );
    },
  },
  {
    name: 'host',
    value: 'list',
    help: 'Set one or more custom host-to-IP mappings (host:ip)',
    add: (spec, given) => void (container(spec).Hosts = [...(container(spec).Hosts ?? []), ...given.map(hostLine)]),
    remove: (spec, given) => {
      const gone = given.map((text) => (text.includes(':') ? hostLine(text) : text));
      container(spec).Hosts = (container(spec).Hosts ?? []).filter(
        (line) => !gone.some((each) => line === each || line.endsWith(` ${each}`)),
      );
    },
  },
  {
    name: 'publish',
    value: 'port',
    help: 'Publish a port as a node port',
    short: 'p',
    add: (spec, given) => {
      spec.EndpointSpec = {
        ...spec.EndpointSpec,
        Ports: distinct([...(spec.EndpointSpec?.Ports ?? []), ...given.flatMap(parsePorts)]),
      };
    },
    remove: (spec, given) => {
      const gone = given.map(parseTargetPort);
      const kept = (spec.EndpointSpec?.Ports ?? []).filter(
        (port) => !gone.some((each) => each.target === port.TargetPort && each.protocol === (port.Protocol ?? 'tcp')),
      );
      spec.EndpointSpec = { ...spec.EndpointSpec, Ports: kept };
    },
  },
  {
    name: 'network',
    value: 'network',
    help: 'Network attachments',
    add: (spec, given) => {
      spec.TaskTemplate.Networks = [...networks(spec), ...given.map(parseNetwork)];
    },
    remove: (spec, given) => {
      spec.TaskTemplate.Networks = networks(spec).filter((each) => !given.includes(each.Target ?? ''));
    },
  },
  {
    name: 'constraint',
    value: 'list',
    help: 'Placement constraints',
    add: (spec, given) => {
      const { Placement } = spec.TaskTemplate;
      spec.TaskTemplate.Placement = { ...Placement, Constraints: [...(Placement?.Constraints ?? []), ...given] };
    },
    remove: (spec, given) => {
      const { Placement } = spec.TaskTemplate;
      const kept = (Placement?.Constraints ?? []).filter((each) => !given.includes(each));
      spec.TaskTemplate.Placement = { ...Placement, Constraints: kept };
    },
  },
  {
    name: 'placement-pref',
    value: 'pref',
    help: 'Add a placement preference',
    add: (spec, given) => {
      const { Placement } = spec.TaskTemplate;
      const fresh = given.map((text) => ({ Spread: { SpreadDescriptor: spreadOf(text) } }));
      spec.TaskTemplate.Placement = { ...Placement, Preferences: [...(Placement?.Preferences ?? []), ...fresh] };
    },
    remove: (spec, given) => {
      const { Placement } = spec.TaskTemplate;
      const gone = given.map((text) => text.replace(/^spread=/, ''));
      const kept = (Placement?.Preferences ?? []).filter((each) => !gone.includes(each.Spread?.SpreadDescriptor ?? ''));
      spec.TaskTemplate.Placement = { ...Placement, Preferences: kept };
    },
  },
  {
    name: 'generic-resource',
    value: 'list',
    help: 'User defined resources',
    add: (spec, given) => {
      const resources = (spec.TaskTemplate.Resources ??= {});
      const reservations = (resources.Reservations ??= {});
      reservations.GenericResources = [...(reservations.GenericResources ?? []), ...given.map(genericResource)];
    },
  },
  {
    name: 'ulimit',
    value: 'ulimit',
    help: 'Ulimit options',
    add: (spec, given) => {
      const fresh = given.map((text) => {
        const [name = '', limits] = text.split('=');
        if (limits === undefined) return refuse('ulimit', text, `invalid ulimit argument: ${text}`);
        const [soft = '', hard = soft] = limits.split(':');
        return { Name: name, Soft: parseInteger('ulimit', soft), Hard: parseInteger('ulimit', hard) };
      });
      const kept = (container(spec).Ulimits ?? []).filter((each) => !fresh.some((limit) => limit.Name === each.Name));
      container(spec).Ulimits = [...kept, ...fresh].toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
    },
    remove: (spec, given) => {
      container(spec).Ulimits = (container(spec).Ulimits ?? []).filter((each) => !given.includes(each.Name));
    },
  },
  files('secret', 'Secret'),
  files('config', 'Config'),
];

/** One pair of flags that are read together, the same for both commands. */
function addCapabilityFlags(command: Command): void {
  command
    .option('--cap-add <list>', 'Add Linux capabilities', collect)
    .option('--cap-drop <list>', 'Drop Linux capabilities', collect);
}

type Given = Readonly<Record<string, string[] | undefined>>;

export function addCreateListFlags(command: Command): Command {
  addCapabilityFlags(command);
  for (const flag of LISTS) {
    const long = `--${flag.name} <${flag.value}>`;
    command.option(flag.short === undefined ? long : `-${flag.short}, ${long}`, flag.help, collect);
  }
  return command;
}

export function addUpdateListFlags(command: Command): Command {
  addCapabilityFlags(command);
  for (const flag of LISTS) {
    command.option(`--${flag.name}-add <${flag.value}>`, `Add or update: ${flag.help}`, collect);
    if (flag.remove !== undefined) command.option(`--${flag.name}-rm <${flag.value}>`, `Remove: ${flag.help}`, collect);
  }
  return command;
}

/** Without the ones that are there before. */
function distinct<T>(all: readonly T[]): T[] {
  return [...new Map(all.map((each) => [JSON.stringify(each), each])).values()];
}

/** `spread=node.labels.dc` -> `node.labels.dc`; spreading is the only strategy. */
function spreadOf(text: string): string {
  const [strategy = '', value] = text.split('=');
  if (value === undefined)
    return refuse('placement-pref', text, 'placement preference must be of the format "<strategy>=<arg>"');
  if (strategy !== 'spread')
    return refuse('placement-pref', text, `unsupported placement preference ${strategy} (only spread is supported)`);
  return value;
}

/** Changes the spec by the list flags of either command; removals first, so that one call can replace. */
export function applyListFlags(spec: ServiceSpec, given: Given): void {
  for (const flag of LISTS) {
    const removed = given[camel(`${flag.name}-rm`)];
    if (removed !== undefined) flag.remove?.(spec, removed);
    const added = given[camel(`${flag.name}-add`)] ?? given[camel(flag.name)];
    if (added !== undefined) flag.add(spec, added);
  }
  const { capAdd, capDrop } = given;
  if (capAdd !== undefined || capDrop !== undefined) changeCapabilities(container(spec), capAdd ?? [], capDrop ?? []);
}

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
