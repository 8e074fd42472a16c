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

export interface PortConfig {
  Name?: string;
  Protocol?: 'tcp' | 'udp' | 'sctp';
  TargetPort?: number;
  PublishedPort?: number;
  PublishMode?: 'ingress' | 'host';
}

export interface EndpointSpec {
  Mode?: 'vip' | 'dnsrr';
  Ports?: PortConfig[] | null;
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

/** The Engine API's Endpoint: what the allocator settled for the service. */
export interface ServiceEndpoint {
  Spec?: EndpointSpec;
  Ports?: PortConfig[];
  /** `Addr` is CIDR. */
  VirtualIPs?: { NetworkID: string; Addr: string }[];
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
  /** Version.Index of the change that set Spec; tasks carry it, and differ from it when they are out of date. */
  SpecVersion: number;
  PreviousSpecVersion?: number;
  Endpoint?: ServiceEndpoint;
  UpdateStatus?: UpdateStatus;
  JobStatus?: JobStatus;
  /** Set by `DELETE /services/ID` until every task is gone. Such a service is hidden from the API. */
  PendingDelete?: boolean;
  /** base64 of the X-Registry-Auth header given with this and the previous spec. */
  RegistryAuth?: string;
  PreviousRegistryAuth?: string;
}
