import { isDeepStrictEqual } from 'node:util';
import type { ServiceObject, ServiceSpec } from '../../proto/objects/service.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { modeName } from './canonical-service.ts';
import { swarmError } from './swarm-error.ts';

export interface ServiceChange {
  spec: ServiceSpec;
  registryAuth?: string;
  registryAuthFrom: 'spec' | 'previous-spec';
}

/** @throws WaggleError unimplemented for what a service cannot change (SWARM-BEHAVIOUR 3.3). */
export function assertChangeAllowed(service: ServiceObject, spec: ServiceSpec): void {
  const [before, after] = [service.Spec, spec];
  const sameOldNetworks = isDeepStrictEqual(before.Networks ?? [], after.Networks ?? []);
  const sameNetworks = isDeepStrictEqual(before.TaskTemplate.Networks ?? [], after.TaskTemplate.Networks ?? []);
  if (!sameOldNetworks && sameNetworks) {
    throw swarmError('unimplemented', 'networks must be migrated to TaskSpec before being changed');
  }
  if (modeName(before.Mode) !== modeName(after.Mode)) {
    throw swarmError('unimplemented', 'service mode change is not allowed');
  }
  if (before.Name !== after.Name) throw swarmError('unimplemented', 'renaming services is not supported');
}

/** The service with a new spec; the one before is kept, and an update in progress is forgotten: a new one begins. */
export function changed(service: ServiceObject, change: ServiceChange): ServiceObject {
  const { PreviousSpec: _spec, UpdateStatus: _status, RegistryAuth, PreviousRegistryAuth: _auth, ...kept } = service;
  return {
    ...kept,
    Spec: change.spec,
    SpecVersion: service.Version.Index + 1,
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    ...present('RegistryAuth', change.registryAuth ?? keptAuth(service, change.registryAuthFrom)),
    ...present('PreviousRegistryAuth', RegistryAuth),
  };
}

/** The service with its spec and the one before exchanged. @throws WaggleError failed-precondition without one. */
export function rolledBack(service: ServiceObject, at: string): ServiceObject {
  const { PreviousSpec, PreviousSpecVersion, RegistryAuth, PreviousRegistryAuth, ...kept } = service;
  if (PreviousSpec === undefined || PreviousSpecVersion === undefined) {
    throw swarmError('failed-precondition', `service ${service.ID} does not have a previous spec`);
  }
  return {
    ...kept,
    Spec: PreviousSpec,
    SpecVersion: PreviousSpecVersion,
    PreviousSpec: service.Spec,
    PreviousSpecVersion: service.SpecVersion,
    UpdateStatus: { State: 'rollback_started', Message: 'manually requested rollback', StartedAt: at },
    ...present('RegistryAuth', PreviousRegistryAuth),
    ...present('PreviousRegistryAuth', RegistryAuth),
  };
}

function keptAuth(service: ServiceObject, from: 'spec' | 'previous-spec'): string | undefined {
  if (from === 'spec') return service.RegistryAuth;
  if (service.PreviousSpec === undefined) {
    throw new WaggleError('invalid-argument', 'service does not have a previous spec');
  }
  return service.PreviousRegistryAuth;
}

function present<K extends string>(key: K, value: string | undefined): { [P in K]?: string } {
  return (value === undefined ? {} : { [key]: value }) as { [P in K]?: string };
}
