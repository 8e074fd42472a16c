import type { ServiceObject, ServiceSpec, UpdateConfig } from '../../../proto/objects/service.ts';
import type { ApiObject } from '../control-api.ts';
import type { ServiceStatus } from '../service-status.ts';
import { withServiceDefaults } from '../defaults.ts';
import { apiObject, withLabels } from './api-object.ts';
import { renderTaskSpec } from './task.ts';

/** What Docker always shows of a config that was given. */
const UPDATE_ZEROS: UpdateConfig = { Parallelism: 0, FailureAction: 'pause', MaxFailureRatio: 0, Order: 'stop-first' };

export interface RenderServiceOptions {
  insertDefaults?: boolean;
  /** Shown as ServiceStatus when given. */
  status?: ServiceStatus;
}

/** The Engine API's Service; spec versions and registry credentials are ours alone. */
export function renderService(service: ServiceObject, options: RenderServiceOptions = {}): ApiObject {
  const spec = options.insertDefaults === true ? withServiceDefaults(service.Spec) : service.Spec;
  return apiObject(service, {
    Spec: renderServiceSpec(spec),
    PreviousSpec: service.PreviousSpec === undefined ? undefined : renderServiceSpec(service.PreviousSpec),
    Endpoint: { Spec: {}, ...service.Endpoint },
    UpdateStatus: service.UpdateStatus,
    ServiceStatus: options.status,
    JobStatus: service.JobStatus,
  });
}

function renderServiceSpec(spec: ServiceSpec): ServiceSpec {
  const { UpdateConfig: update, RollbackConfig: rollback } = spec;
  return {
    ...withLabels(spec),
    TaskTemplate: renderTaskSpec(spec.TaskTemplate),
    ...(isGiven(update) ? { UpdateConfig: { ...UPDATE_ZEROS, ...update } } : {}),
    ...(isGiven(rollback) ? { RollbackConfig: { ...UPDATE_ZEROS, ...rollback } } : {}),
  };
}

function isGiven<V>(section: V | null | undefined): section is V {
  return section !== undefined && section !== null;
}
