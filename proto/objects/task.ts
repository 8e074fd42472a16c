import type { GenericResource } from './node.ts';
import type { Driver, Json, Labels, ObjectMeta } from './meta.ts';
import type { ServiceEndpoint } from './endpoint.ts';
import type { TaskState } from './task-state.ts';

/** The parts of the Engine API's ContainerSpec that Waggle reads; others pass through untouched. */
export interface ContainerSpec {
  Image?: string;
  Labels?: Labels | null;
  Command?: string[] | null;
  Args?: string[] | null;
  Hostname?: string;
  Env?: string[] | null;
  Dir?: string;
  User?: string;
  Groups?: string[] | null;
  Privileges?: { [key: string]: Json } | null;
  StopSignal?: string;
  TTY?: boolean;
  OpenStdin?: boolean;
  ReadOnly?: boolean;
  Mounts?: { [key: string]: Json }[] | null;
  /** Nanoseconds. */
  StopGracePeriod?: number;
  Healthcheck?: {
    Test?: string[];
    Interval?: number;
    Timeout?: number;
    StartPeriod?: number;
    StartInterval?: number;
    Retries?: number;
  };
  /** Lines of `/etc/hosts`: `IP host [alias …]`. */
  Hosts?: string[] | null;
  DNSConfig?: { Nameservers?: string[] | null; Search?: string[] | null; Options?: string[] | null };
  Secrets?: { [key: string]: Json }[] | null;
  Configs?: { [key: string]: Json }[] | null;
  Isolation?: string;
  Init?: boolean | null;
  Sysctls?: Record<string, string> | null;
  CapabilityAdd?: string[] | null;
  CapabilityDrop?: string[] | null;
  Ulimits?: { Name: string; Hard: number; Soft: number }[] | null;
  OomScoreAdj?: number;
}

export interface ResourceSet {
  NanoCPUs?: number;
  MemoryBytes?: number;
  Pids?: number;
  GenericResources?: GenericResource[] | null;
}

/** Durations are nanoseconds. */
export interface RestartPolicy {
  Condition?: 'none' | 'on-failure' | 'any';
  Delay?: number;
  MaxAttempts?: number;
  Window?: number;
}

export interface Placement {
  Constraints?: string[] | null;
  Preferences?: { Spread?: { SpreadDescriptor: string } }[] | null;
  MaxReplicas?: number;
  Platforms?: { Architecture?: string; OS?: string }[] | null;
}

export interface NetworkAttachmentConfig {
  /** A network ID once stored; a name or ID as given by clients. */
  Target?: string;
  Aliases?: string[] | null;
  DriverOpts?: Record<string, string> | null;
}

export interface TaskSpec {
  ContainerSpec?: ContainerSpec;
  Resources?: {
    Limits?: ResourceSet;
    Reservations?: ResourceSet;
    SwapBytes?: number;
    MemorySwappiness?: number;
  };
  RestartPolicy?: RestartPolicy;
  Placement?: Placement;
  Networks?: NetworkAttachmentConfig[] | null;
  LogDriver?: Driver;
  ForceUpdate?: number;
  Runtime?: string;
  PluginSpec?: { [key: string]: Json };
  NetworkAttachmentSpec?: { ContainerID: string };
}

export interface ContainerStatus {
  ContainerID?: string;
  PID?: number;
  ExitCode?: number;
}

export interface PortStatus {
  Ports?: {
    Name?: string;
    Protocol?: 'tcp' | 'udp' | 'sctp';
    TargetPort?: number;
    PublishedPort?: number;
    PublishMode?: 'ingress' | 'host';
  }[];
}

export interface TaskStatus {
  Timestamp: string;
  State: TaskState;
  Message?: string;
  Err?: string;
  ContainerStatus?: ContainerStatus;
  PortStatus?: PortStatus;
}

/** Addresses are CIDR. The API expands NetworkID into the whole network. */
export interface TaskNetworkAttachment {
  NetworkID: string;
  Addresses: string[];
  Aliases?: string[];
  DriverOpts?: Record<string, string>;
}

/** A row of the table `tasks`. `Spec` never changes after creation: every change is a new task. */
export interface TaskObject extends ObjectMeta {
  Labels?: Labels;
  Spec: TaskSpec;
  ServiceID: string;
  /** 1.. for replicated services, 0 for global ones. */
  Slot: number;
  /** Empty until scheduled; fixed from the start for global services. */
  NodeID: string;
  Status: TaskStatus;
  DesiredState: TaskState;
  NetworksAttachments?: TaskNetworkAttachment[];
  GenericResources?: GenericResource[];
  JobIteration?: { Index: number };
  /** ServiceObject.SpecVersion that this task was made from. */
  SpecVersion: number;
  /** RFC 3339: until then the orchestrator keeps the task at desired `ready` (restart delay). Never shown by the API. */
  NotBefore?: string;
  /** The service's name and labels when the task was made. */
  ServiceAnnotations: { Name: string; Labels?: Labels | null };
  /** The service's endpoint when the allocator finished the task. */
  Endpoint?: ServiceEndpoint;
  RegistryAuth?: string;
  /** Default log driver of the cluster, when the spec names none. */
  LogDriver?: Driver;
}
