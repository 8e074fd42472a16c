import { isDeepStrictEqual } from 'node:util';
import type { ServiceObject, ServiceSpec } from '../../proto/objects/service.ts';
import { rfc3339 } from '../../proto/runtime/clock.ts';
import type { WriteTx } from '../store/transaction.ts';
import { canonicalServiceSpec, modeName } from './canonical-service.ts';
import type { ApiObject, ControlApi, Filters } from './control-api.ts';
import type { ControlModules } from './control-modules.ts';
import {
  assertFilterKeys,
  type Condition,
  filterValues,
  matchesExactly,
  matchesLabels,
  matchesPrefix,
  select,
} from './filters.ts';
import { plainEndpoint } from './plain-endpoint.ts';
import { assertPortsFree } from './port-conflicts.ts';
import { randomName } from './random-name.ts';
import { renderService } from './render/service.ts';
import { resolve } from './resolve.ts';
import { assertDataReferences, withNetworkIds } from './service-references.ts';
import { serviceStatus } from './service-status.ts';
import { assertChangeAllowed, changed, rolledBack } from './service-update.ts';
import { outOfSequence, swarmError } from './swarm-error.ts';
import { SERVICE_SHAPE, shaped } from '../../proto/objects/spec-shape.ts';
import { validateServiceSpec } from './validation/service-spec.ts';

type Methods = Pick<ControlApi, 'listServices' | 'getService' | 'createService' | 'updateService' | 'removeService'>;
type CreateArgs = Parameters<ControlApi['createService']>[0];
type UpdateArgs = Parameters<ControlApi['updateService']>[0];

const FILTER_KEYS = ['id', 'label', 'mode', 'name', 'runtime'];
const INGRESS_WARNING = 'ports published in ingress mode are not reachable yet: use mode=host';

export class ServiceControl implements Methods {
  readonly #modules: ControlModules;

  constructor(modules: ControlModules) {
    this.#modules = modules;
  }

  async listServices({ filters, status }: { filters: Filters; status: boolean }): Promise<ApiObject[]> {
    const conditions = conditionsOf(filters);
    return this.#modules.store.view((tx) =>
      select(tx.all('services'), conditions).map((service) =>
        renderService(service, status ? { status: serviceStatus(tx, service) } : {}),
      ),
    );
  }

  async getService({ ref, insertDefaults }: { ref: string; insertDefaults: boolean }): Promise<ApiObject> {
    return this.#modules.store.view((tx) => renderService(resolve(tx, 'services', ref), { insertDefaults }));
  }

  async createService({ spec: given, registryAuth }: CreateArgs): Promise<{ ID: string; Warnings?: string[] }> {
    const { store, newId } = this.#modules;
    const shape = shaped(SERVICE_SHAPE, given);
    const named = { ...shape, Name: (shape.Name ?? '') === '' ? this.#newName() : shape.Name };
    const canonical = canonicalServiceSpec(named);
    validateServiceSpec(canonical);
    const id = newId();
    await store.update((tx) => {
      const spec = checkedSpec(tx, canonical);
      if (tx.find('services', 'name', spec.Name).length > 0) throw nameInUse(spec.Name);
      const auth = registryAuth === undefined ? {} : { RegistryAuth: registryAuth };
      tx.create('services', { ID: id, Spec: spec, SpecVersion: 1, ...auth, ...plainEndpoint(spec) });
    });
    return { ID: id, ...warningsFor(canonical) };
  }

  async updateService(args: UpdateArgs): Promise<{ Warnings?: string[] }> {
    const { store, clock } = this.#modules;
    const canonical = canonicalServiceSpec(shaped(SERVICE_SHAPE, args.spec));
    validateServiceSpec(canonical);
    const service = await store.update((tx) => {
      const present = resolve(tx, 'services', args.ref);
      const spec = checkedSpec(tx, canonical, present);
      assertChangeAllowed(present, spec);
      if (present.Version.Index !== args.version) throw outOfSequence();
      const next = args.rollback ? rolledBack(present, rfc3339(clock.now())) : changed(present, { ...args, spec });
      // What the spec before refers to may have been removed since, and its ports be another's.
      if (args.rollback) checkedSpec(tx, next.Spec, present);
      tx.update('services', next);
      return next;
    });
    return warningsFor(service.Spec);
  }

  /** Its tasks are the orchestrator's to remove. */
  async removeService({ ref }: { ref: string }): Promise<Record<string, never>> {
    await this.#modules.store.update((tx) => tx.remove('services', resolve(tx, 'services', ref).ID));
    return {};
  }

  #newName(): string {
    const { store, random } = this.#modules;
    return store.view((tx) => randomName(random, (name) => tx.find('services', 'name', name).length === 0));
  }
}

/** The spec with everything it refers to looked up; the rest of the validation needs no store. */
function checkedSpec(tx: WriteTx, spec: ServiceSpec, present?: ServiceObject): ServiceSpec {
  const resolved = withNetworkIds(tx, spec);
  if (!isDeepStrictEqual(resolved.EndpointSpec, present?.Spec.EndpointSpec)) {
    assertPortsFree(tx, resolved, present?.ID);
  }
  assertDataReferences(tx, resolved);
  return resolved;
}

function warningsFor(spec: ServiceSpec): { Warnings?: string[] } {
  const ingress = (spec.EndpointSpec?.Ports ?? []).some((port) => port.PublishMode === 'ingress');
  return ingress ? { Warnings: [INGRESS_WARNING] } : {};
}

function nameInUse(name: string): Error {
  return swarmError('already-exists', `name conflicts with an existing object: service ${name} already exists`);
}

function conditionsOf(filters: Filters): Condition<ServiceObject>[] {
  assertFilterKeys(filters, FILTER_KEYS);
  const runtimes = filterValues(filters, 'runtime');
  return [
    (service) => matchesPrefix(service.ID, filterValues(filters, 'id')),
    (service) => matchesPrefix(service.Spec.Name, filterValues(filters, 'name')),
    (service) => matchesLabels(service.Spec.Labels, filterValues(filters, 'label')),
    (service) => matchesExactly(modeName(service.Spec.Mode), filterValues(filters, 'mode')),
    // Every service is of containers.
    () => matchesExactly('container', runtimes),
  ];
}
