import type { EndpointSpec } from '../../../proto/objects/endpoint.ts';
import type { ServiceMode, ServiceSpec, UpdateConfig } from '../../../proto/objects/service.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { swarmError } from '../swarm-error.ts';
import { validateDnsName } from './name.ts';
import { validateTaskSpec } from './task-spec.ts';

const MAX_PORT = 65_535;
/** Every one is an object in the memory of every manager: a slip of the finger must not be the end of them. */
const MAX_REPLICAS = 50_000;
const FAILURE_ACTIONS: ReadonlySet<unknown> = new Set([undefined, '', 'pause', 'continue', 'rollback']);
const ORDERS: ReadonlySet<unknown> = new Set([undefined, '', 'stop-first', 'start-first']);

/**
 * Everything that can be said of a canonical spec (canonical-service.ts) without the store.
 * @throws WaggleError invalid-argument in Docker's words; unimplemented for what Waggle does not do yet.
 */
export function validateServiceSpec(spec: ServiceSpec): void {
  const mode = spec.Mode ?? {};
  if (Object.values(mode).filter((kind) => kind !== undefined && kind !== null).length > 1) {
    throw new WaggleError('invalid-argument', 'must specify only one service mode');
  }
  for (const config of [spec.UpdateConfig, spec.RollbackConfig]) validateWords(config);
  validateDnsName(spec.Name);
  validateTaskSpec(spec.TaskTemplate);
  validateMode(mode);
  validateUpdate(spec.UpdateConfig);
  validateEndpoint(spec.EndpointSpec);
}

function validateMode(mode: ServiceMode): void {
  if (mode.ReplicatedJob !== undefined || mode.GlobalJob !== undefined) {
    throw new WaggleError('unimplemented', 'services of mode replicated-job and global-job are not supported yet');
  }
  const replicas = mode.Replicated?.Replicas ?? 0;
  if (!Number.isSafeInteger(replicas)) throw new WaggleError('invalid-argument', 'Replicas must be a whole number');
  if (replicas < 0) throw swarmError('invalid-argument', 'Number of replicas must be non-negative');
  if (replicas > MAX_REPLICAS) {
    throw swarmError('invalid-argument', `Number of replicas must be at most ${MAX_REPLICAS}`);
  }
}

function validateWords(config: UpdateConfig | null | undefined): void {
  if (!FAILURE_ACTIONS.has(config?.FailureAction)) {
    throw new WaggleError('invalid-argument', `unrecognized update failure action ${config?.FailureAction}`);
  }
  if (!ORDERS.has(config?.Order)) {
    throw new WaggleError('invalid-argument', `unrecognized update order ${config?.Order}`);
  }
}

function validateUpdate(config: UpdateConfig | null | undefined): void {
  if ((config?.Delay ?? 0) < 0) throw swarmError('invalid-argument', 'TaskSpec: update-delay cannot be negative');
  if ((config?.Monitor ?? 0) < 0) throw swarmError('invalid-argument', 'TaskSpec: update-monitor cannot be negative');
  const ratio = config?.MaxFailureRatio ?? 0;
  if (ratio < 0 || ratio > 1) {
    throw swarmError('invalid-argument', 'TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1');
  }
}

function validateEndpoint(endpoint: EndpointSpec | undefined): void {
  if (endpoint === undefined) return;
  if (endpoint.Mode !== undefined && endpoint.Mode !== 'vip' && endpoint.Mode !== 'dnsrr') {
    throw new WaggleError('invalid-argument', `invalid resolution mode: ${JSON.stringify(endpoint.Mode)}`);
  }
  const published = new Set<string>();
  for (const port of endpoint.Ports ?? []) {
    assertPort('target', port.TargetPort, 1);
    assertPort('published', port.PublishedPort, 0);
    if (endpoint.Mode === 'dnsrr' && port.PublishMode === 'ingress') {
      throw swarmError(
        'invalid-argument',
        "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
      );
    }
    if ((port.PublishedPort ?? 0) === 0) continue;
    const key = `${port.PublishedPort}/${port.Protocol}`;
    if (published.has(key)) throw swarmError('invalid-argument', 'EndpointSpec: duplicate published ports provided');
    published.add(key);
  }
}

function assertPort(which: 'target' | 'published', port: number | undefined, min: number): void {
  const value = port ?? 0;
  if (Number.isInteger(value) && value >= min && value <= MAX_PORT) return;
  throw swarmError('invalid-argument', `EndpointSpec: invalid ${which} port ${value}`);
}
