import type { RestartPolicy, TaskSpec } from '../../proto/objects/task.ts';
import type { EndpointSpec, PortConfig } from '../../proto/objects/endpoint.ts';
import type { ServiceMode, ServiceSpec } from '../../proto/objects/service.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
const PUBLISH_MODES = ['ingress', 'host'] as const;

/**
 * The spec as it is stored and shown: as it was given, with the mode, the resolution mode and each port's protocol and
 * publish mode filled in, which Docker fills in too, so that nobody has to know what their absence means.
 */
export function canonicalServiceSpec(given: ServiceSpec): ServiceSpec {
  if (typeof given.TaskTemplate !== 'object' || given.TaskTemplate === null) {
    throw new WaggleError('invalid-argument', 'mismatched Runtime and *Spec fields');
  }
  const { EndpointSpec: endpoint, ...spec } = given;
  return {
    ...spec,
    TaskTemplate: canonicalTemplate(spec.TaskTemplate),
    Mode: canonicalMode(spec.Mode),
    ...(endpoint === undefined || endpoint === null ? {} : { EndpointSpec: canonicalEndpoint(endpoint) }),
  };
}

/** What the API shows of every template comes back with a client's update: it must not make a spec another one. */
function canonicalTemplate({ Runtime, ForceUpdate, RestartPolicy: restart, ...template }: TaskSpec): TaskSpec {
  return {
    ...template,
    ...(restart === undefined || restart === null ? {} : { RestartPolicy: canonicalRestart(restart) }),
    ...(Runtime === undefined || Runtime === '' || Runtime === 'container' ? {} : { Runtime }),
    ...(ForceUpdate === undefined || ForceUpdate === 0 ? {} : { ForceUpdate }),
  };
}

function canonicalRestart({ Condition, MaxAttempts, ...policy }: RestartPolicy): RestartPolicy {
  return {
    ...policy,
    ...(Condition === undefined || (Condition as string) === '' || Condition === 'any' ? {} : { Condition }),
    ...(MaxAttempts === undefined || MaxAttempts === 0 ? {} : { MaxAttempts }),
  };
}

/** `replicated`, `global` …: the words of the filter `mode`. */
export function modeName(mode: ServiceMode | undefined): 'replicated' | 'global' | 'replicated-job' | 'global-job' {
  if (mode?.Global !== undefined) return 'global';
  if (mode?.GlobalJob !== undefined) return 'global-job';
  return mode?.ReplicatedJob !== undefined ? 'replicated-job' : 'replicated';
}

/** Docker's clients send the modes that are not meant as null or not at all. */
function canonicalMode(given: ServiceMode | null | undefined): ServiceMode {
  const entries = Object.entries(given ?? {}).filter(([, value]) => value !== null && value !== undefined);
  const mode = Object.fromEntries(entries) as ServiceMode;
  if (entries.length === 0) return { Replicated: { Replicas: 1 } };
  const replicated = mode.Replicated;
  return replicated === undefined
    ? mode
    : { ...mode, Replicated: { ...replicated, Replicas: replicated.Replicas ?? 1 } };
}

function canonicalEndpoint(given: EndpointSpec): EndpointSpec {
  const { Mode, Ports, ...rest } = given;
  return {
    ...rest,
    Mode: (Mode as string | undefined) === undefined || (Mode as string) === '' ? 'vip' : (Mode ?? 'vip'),
    ...(Ports === undefined || Ports === null ? {} : { Ports: Ports.map(canonicalPort) }),
  };
}

function canonicalPort(port: PortConfig): PortConfig {
  return {
    ...port,
    Protocol: word(PROTOCOLS, port.Protocol, 'protocol'),
    PublishMode: word(PUBLISH_MODES, port.PublishMode, 'publish mode'),
  };
}

function word<W extends string>(words: readonly [W, ...W[]], given: string | undefined, what: string): W {
  if (given === undefined || given === '') return words[0];
  const found = words.find((candidate) => candidate === given.toLowerCase());
  if (found === undefined) throw new WaggleError('invalid-argument', `invalid port ${what}: ${JSON.stringify(given)}`);
  return found;
}
