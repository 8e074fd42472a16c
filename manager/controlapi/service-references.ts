import type { Json } from '../../proto/objects/meta.ts';
import type { ServiceSpec } from '../../proto/objects/service.ts';
import type { NetworkAttachmentConfig } from '../../proto/objects/task.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { WriteTx } from '../store/transaction.ts';
import { resolve } from './resolve.ts';
import { swarmError } from './swarm-error.ts';
import { PREDEFINED_NETWORKS } from './validation/network-spec.ts';

/**
 * The spec with network names replaced by IDs. Networks of the task template come first; those of the service itself
 * (the old place) count only without them.
 * @throws WaggleError not-found `network net1 not found`.
 */
export function withNetworkIds(tx: WriteTx, spec: ServiceSpec): ServiceSpec {
  const inTemplate = spec.TaskTemplate.Networks ?? [];
  if (inTemplate.length > 0) {
    return { ...spec, TaskTemplate: { ...spec.TaskTemplate, Networks: resolveTargets(tx, inTemplate) } };
  }
  const inService = spec.Networks ?? [];
  return inService.length > 0 ? { ...spec, Networks: resolveTargets(tx, inService) } : spec;
}

/**
 * Refuses references to secrets and configs that are not there, and, until they can be put into containers, to those
 * that are.
 */
export function assertDataReferences(tx: WriteTx, spec: ServiceSpec): void {
  const container = spec.TaskTemplate.ContainerSpec;
  const secrets = container?.Secrets ?? [];
  const configs = container?.Configs ?? [];
  assertExist(tx, 'secret', secrets);
  assertExist(tx, 'config', configs);
  if (secrets.length + configs.length > 0) {
    throw new WaggleError('unimplemented', 'secrets and configs cannot be given to services yet');
  }
}

function resolveTargets(tx: WriteTx, networks: readonly NetworkAttachmentConfig[]): NetworkAttachmentConfig[] {
  return networks.map((attachment) => ({ ...attachment, Target: resolveTarget(tx, attachment.Target ?? '') }));
}

function resolveTarget(tx: WriteTx, target: string): string {
  if (PREDEFINED_NETWORKS.has(target)) return target;
  const network = resolve(tx, 'networks', target);
  if (network.Spec.Ingress === true) {
    throw swarmError(
      'invalid-argument',
      `Service cannot be explicitly attached to the ingress network ${JSON.stringify(network.Spec.Name)}`,
    );
  }
  tx.pin('networks', network.ID);
  return network.ID;
}

function assertExist(tx: WriteTx, noun: 'secret' | 'config', references: readonly { [key: string]: Json }[]): void {
  const [table, field] = noun === 'secret' ? (['secrets', 'Secret'] as const) : (['configs', 'Config'] as const);
  const missing = references.filter((reference) => {
    const found = tx.pin(table, text(reference[`${field}ID`]));
    return found === undefined || found.Spec.Name !== reference[`${field}Name`];
  });
  if (missing.length === 0) return;
  const names = missing.map((reference) => text(reference[`${field}Name`])).join(', ');
  throw swarmError('invalid-argument', `${noun}${missing.length === 1 ? '' : 's'} not found: ${names}`);
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : '';
}
