import { z } from 'zod';
import { WaggleError } from '../runtime/errors.ts';
import { withoutNulls } from './without-nulls.ts';

/**
 * The types of the fields that the managers read; everything else passes as it is. A spec of another shape is refused
 * before it is stored, for every part that reads it later trusts these types.
 */
const text = z.string().optional();
const whole = z.int().optional();
const ratio = z.number().optional();
const flag = z.boolean().optional();
const texts = z.array(z.string()).optional();
const labels = z.record(z.string(), z.string()).optional();
const driver = z.looseObject({ Name: text, Options: labels }).optional();
const objects = z.array(z.looseObject({})).optional();
const annotations = { Name: text, Labels: labels };

const resourceSet = z
  .looseObject({
    NanoCPUs: whole,
    MemoryBytes: whole,
    Pids: whole,
    GenericResources: z
      .array(
        z.looseObject({
          NamedResourceSpec: z.looseObject({ Kind: z.string(), Value: z.string() }).optional(),
          DiscreteResourceSpec: z.looseObject({ Kind: z.string(), Value: z.int() }).optional(),
        }),
      )
      .optional(),
  })
  .optional();

const networks = z.array(z.looseObject({ Target: text, Aliases: texts, DriverOpts: labels })).optional();

const container = z
  .looseObject({
    Image: text,
    Labels: labels,
    Command: texts,
    Args: texts,
    Hostname: text,
    Env: texts,
    Dir: text,
    User: text,
    Groups: texts,
    StopSignal: text,
    StopGracePeriod: whole,
    Mounts: z
      .array(z.looseObject({ Type: text, Source: text, Target: text, ReadOnly: flag, Consistency: text }))
      .optional(),
    Init: flag,
    TTY: flag,
    OpenStdin: flag,
    ReadOnly: flag,
    Isolation: text,
    Privileges: z.looseObject({}).optional(),
    Healthcheck: z
      .looseObject({
        Test: texts,
        Interval: whole,
        Timeout: whole,
        StartPeriod: whole,
        StartInterval: whole,
        Retries: whole,
      })
      .optional(),
    Hosts: texts,
    DNSConfig: z.looseObject({ Nameservers: texts, Search: texts, Options: texts }).optional(),
    Secrets: objects,
    Configs: objects,
    Sysctls: labels,
    CapabilityAdd: texts,
    CapabilityDrop: texts,
    Ulimits: z.array(z.looseObject({ Name: z.string(), Hard: z.int(), Soft: z.int() })).optional(),
  })
  .optional();

const taskTemplate = z.looseObject({
  ContainerSpec: container,
  Resources: z.looseObject({ Limits: resourceSet, Reservations: resourceSet }).optional(),
  RestartPolicy: z.looseObject({ Condition: text, Delay: whole, MaxAttempts: whole, Window: whole }).optional(),
  Placement: z
    .looseObject({
      Constraints: texts,
      Preferences: z
        .array(z.looseObject({ Spread: z.looseObject({ SpreadDescriptor: z.string() }).optional() }))
        .optional(),
      MaxReplicas: whole,
      Platforms: z.array(z.looseObject({ Architecture: text, OS: text })).optional(),
    })
    .optional(),
  Networks: networks,
  LogDriver: driver,
  ForceUpdate: whole,
  Runtime: text,
});

const updateConfig = z
  .looseObject({
    Parallelism: whole,
    Delay: whole,
    FailureAction: text,
    Monitor: whole,
    MaxFailureRatio: ratio,
    Order: text,
  })
  .optional();

const port = z.looseObject({ Name: text, Protocol: text, TargetPort: whole, PublishedPort: whole, PublishMode: text });

export const SERVICE_SHAPE = z.looseObject({
  ...annotations,
  TaskTemplate: taskTemplate.optional(),
  Mode: z
    .looseObject({
      Replicated: z.looseObject({ Replicas: whole }).optional(),
      Global: z.looseObject({}).optional(),
      ReplicatedJob: z.looseObject({ MaxConcurrent: whole, TotalCompletions: whole }).optional(),
      GlobalJob: z.looseObject({}).optional(),
    })
    .optional(),
  UpdateConfig: updateConfig,
  RollbackConfig: updateConfig,
  Networks: networks,
  EndpointSpec: z.looseObject({ Mode: text, Ports: z.array(port).optional() }).optional(),
});

export const NETWORK_SHAPE = z.looseObject({
  ...annotations,
  DriverConfiguration: driver,
  IPv6Enabled: flag,
  Internal: flag,
  Attachable: flag,
  Ingress: flag,
  IPAMOptions: z
    .looseObject({
      Driver: driver,
      Configs: z
        .array(z.looseObject({ Subnet: text, IPRange: text, Gateway: text, AuxiliaryAddresses: labels }))
        .optional(),
    })
    .optional(),
  ConfigFrom: z.looseObject({ Network: z.string() }).optional(),
});

export const NODE_SHAPE = z.looseObject({ ...annotations, Role: text, Availability: text });

/** Secrets and configs. */
export const DATA_SHAPE = z.looseObject({ ...annotations, Data: text, Driver: driver, Templating: driver });

export const CLUSTER_SHAPE = z.looseObject({
  ...annotations,
  Orchestration: z.looseObject({ TaskHistoryRetentionLimit: whole }).optional(),
  Raft: z.record(z.string(), z.int()).optional(),
  Dispatcher: z.looseObject({ HeartbeatPeriod: whole }).optional(),
  CAConfig: z
    .looseObject({
      NodeCertExpiry: whole,
      ExternalCAs: objects,
      SigningCACert: text,
      SigningCAKey: text,
      ForceRotate: whole,
    })
    .optional(),
  TaskDefaults: z.looseObject({ LogDriver: driver }).optional(),
  EncryptionConfig: z.looseObject({ AutoLockManagers: flag }).optional(),
});

/**
 * The spec without its nulls, its known fields of the types they should have.
 * @throws WaggleError invalid-argument naming the first field that is not.
 */
export function shaped<S>(shape: z.ZodType, spec: S): S {
  const given = withoutNulls(spec);
  const { error } = shape.safeParse(given);
  const issue = error?.issues[0];
  if (issue === undefined) return given;
  throw new WaggleError('invalid-argument', `invalid spec: ${issue.path.join('.') || 'body'}: ${issue.message}`);
}
