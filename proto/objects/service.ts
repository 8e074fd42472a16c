import type { EndpointSpec, ServiceEndpoint } from './endpoint.ts';
import type { Annotations, ObjectMeta } from './meta.ts';
import type { NetworkAttachmentConfig, TaskSpec } from './task.ts';

export interface ServiceMode {
  Replicated?: { Replicas?: number };
  Global?: Record<string, never>;
  ReplicatedJob?: { MaxConcurrent?: number; TotalCompletions?: number };
  GlobalJob?: Record<string, never>;
}

/** Durations are nanoseconds. */
export interface UpdateConfig {
  Parallelism?: number;
  Delay?: number;
  FailureAction?: 'pause' | 'continue' | 'rollback';
  Monitor?: number;
  MaxFailureRatio?: number;
  Order?: 'stop-first' | 'start-first';
}

/** The Engine API's ServiceSpec, kept as it was given (network names resolved to IDs). */
export interface ServiceSpec extends Annotations {
  TaskTemplate: TaskSpec;
  Mode?: ServiceMode;
  UpdateConfig?: UpdateConfig;
  RollbackConfig?: UpdateConfig;
  Networks?: NetworkAttachmentConfig[] | null;
  EndpointSpec?: EndpointSpec;
}

export type UpdateState =
  | 'updating'
  | 'paused'
  | 'completed'
  | 'rollback_started'
  | 'rollback_paused'
  | 'rollback_completed';

export interface UpdateStatus {
  State: UpdateState;
  StartedAt?: string;
  CompletedAt?: string;
  Message: string;
}

export interface JobStatus {
  JobIteration: { Index: number };
  LastExecution: string;
}

/** A row of the table `services`. */
export interface ServiceObject extends ObjectMeta {
  Spec: ServiceSpec;
  PreviousSpec?: ServiceSpec;
  /**
   * Names Spec among all specs the service has had: 1 when created, then one more than the Version.Index that the update was
   * based on (its own is not known before commit); a rollback brings back the number with the spec. Tasks carry it, and those
   * that carry another may be out of date. Compare for equality only.
   */
  SpecVersion: number;
  PreviousSpecVersion?: number;
  Endpoint?: ServiceEndpoint;
  UpdateStatus?: UpdateStatus;
  JobStatus?: JobStatus;
  /** base64 of the X-Registry-Auth header given with this and the previous spec. */
  RegistryAuth?: string;
  PreviousRegistryAuth?: string;
}
