import type { RestartPolicy, TaskSpec } from '../../proto/objects/task.ts';
import type { ServiceSpec, UpdateConfig } from '../../proto/objects/service.ts';

const SECOND_NS = 1_000_000_000;

const RESTART_POLICY: RestartPolicy = { Condition: 'any', Delay: 5 * SECOND_NS, MaxAttempts: 0 };

const UPDATE_CONFIG: UpdateConfig = {
  Parallelism: 1,
  FailureAction: 'pause',
  Monitor: 5 * SECOND_NS,
  MaxFailureRatio: 0,
  Order: 'stop-first',
};

/** The spec with Docker's defaults where nothing was given, as `GET /services/ID?insertDefaults=true` shows it. */
export function withServiceDefaults(spec: ServiceSpec): ServiceSpec {
  return {
    ...spec,
    TaskTemplate: withTaskDefaults(spec.TaskTemplate),
    UpdateConfig: withUpdateDefaults(spec.UpdateConfig),
    RollbackConfig: withUpdateDefaults(spec.RollbackConfig),
  };
}

function withTaskDefaults(template: TaskSpec): TaskSpec {
  const restart = template.RestartPolicy;
  const container = template.ContainerSpec;
  return {
    ...template,
    ...(container === undefined
      ? {}
      : { ContainerSpec: { StopGracePeriod: 10 * SECOND_NS, DNSConfig: {}, ...container } }),
    Resources: template.Resources ?? {},
    RestartPolicy: restart === undefined ? RESTART_POLICY : { Delay: 5 * SECOND_NS, ...restart },
    Placement: template.Placement ?? {},
  };
}

/** Only what is absent as a whole takes every default; in one that was given, zero is a value and Monitor is filled in. */
function withUpdateDefaults(config: UpdateConfig | undefined): UpdateConfig {
  return config === undefined ? UPDATE_CONFIG : { Monitor: 5 * SECOND_NS, ...config };
}
