/**
 * The names of the fields in the bodies that this API takes (moby api/types). A leaf is a value, or a map whose keys
 * are the user's own; a list is described by its elements.
 */
interface Fields {
  readonly [name: string]: Fields | null;
}

const V = null;
const DRIVER = { Name: V, Options: V };
const ANNOTATIONS = { Name: V, Labels: V };
const RESOURCES = {
  NanoCPUs: V,
  MemoryBytes: V,
  Pids: V,
  GenericResources: {
    NamedResourceSpec: { Kind: V, Value: V },
    DiscreteResourceSpec: { Kind: V, Value: V },
  },
};
const NETWORKS = { Target: V, Aliases: V, DriverOpts: V };
const FILE = { Name: V, UID: V, GID: V, Mode: V };
const UPDATE = { Parallelism: V, Delay: V, FailureAction: V, Monitor: V, MaxFailureRatio: V, Order: V };

const MOUNT = {
  Type: V,
  Source: V,
  Target: V,
  ReadOnly: V,
  Consistency: V,
  BindOptions: {
    Propagation: V,
    NonRecursive: V,
    CreateMountpoint: V,
    ReadOnlyNonRecursive: V,
    ReadOnlyForceRecursive: V,
  },
  VolumeOptions: { NoCopy: V, Labels: V, Subpath: V, DriverConfig: DRIVER },
  ImageOptions: { Subpath: V },
  TmpfsOptions: { SizeBytes: V, Mode: V, Options: V },
  ClusterOptions: {},
};

const CONTAINER = {
  Image: V,
  Labels: V,
  Command: V,
  Args: V,
  Hostname: V,
  Env: V,
  Dir: V,
  User: V,
  Groups: V,
  Privileges: {
    CredentialSpec: { Config: V, File: V, Registry: V },
    SELinuxContext: { Disable: V, User: V, Role: V, Type: V, Level: V },
    Seccomp: { Mode: V, Profile: V },
    AppArmor: { Mode: V },
    NoNewPrivileges: V,
  },
  Init: V,
  StopSignal: V,
  TTY: V,
  OpenStdin: V,
  ReadOnly: V,
  Mounts: MOUNT,
  StopGracePeriod: V,
  Healthcheck: { Test: V, Interval: V, Timeout: V, StartPeriod: V, StartInterval: V, Retries: V },
  Hosts: V,
  DNSConfig: { Nameservers: V, Search: V, Options: V },
  Secrets: { File: FILE, SecretID: V, SecretName: V },
  Configs: { File: FILE, Runtime: {}, ConfigID: V, ConfigName: V },
  Isolation: V,
  Sysctls: V,
  CapabilityAdd: V,
  CapabilityDrop: V,
  Ulimits: { Name: V, Hard: V, Soft: V },
  OomScoreAdj: V,
};

const TASK = {
  ContainerSpec: CONTAINER,
  PluginSpec: { Name: V, Remote: V, Disabled: V, PluginPrivilege: { Name: V, Description: V, Value: V }, Env: V },
  NetworkAttachmentSpec: { ContainerID: V },
  Resources: { Limits: RESOURCES, Reservations: RESOURCES, SwapBytes: V, MemorySwappiness: V },
  RestartPolicy: { Condition: V, Delay: V, MaxAttempts: V, Window: V },
  Placement: {
    Constraints: V,
    Preferences: { Spread: { SpreadDescriptor: V } },
    MaxReplicas: V,
    Platforms: { Architecture: V, OS: V },
  },
  Networks: NETWORKS,
  LogDriver: DRIVER,
  ForceUpdate: V,
  Runtime: V,
};

const SERVICE = {
  ...ANNOTATIONS,
  TaskTemplate: TASK,
  Mode: {
    Replicated: { Replicas: V },
    Global: {},
    ReplicatedJob: { MaxConcurrent: V, TotalCompletions: V },
    GlobalJob: {},
  },
  UpdateConfig: UPDATE,
  RollbackConfig: UPDATE,
  Networks: NETWORKS,
  EndpointSpec: {
    Mode: V,
    Ports: { Name: V, Protocol: V, TargetPort: V, PublishedPort: V, PublishMode: V },
  },
};

const CLUSTER = {
  ...ANNOTATIONS,
  Orchestration: { TaskHistoryRetentionLimit: V },
  Raft: {
    SnapshotInterval: V,
    KeepOldSnapshots: V,
    LogEntriesForSlowFollowers: V,
    ElectionTick: V,
    HeartbeatTick: V,
  },
  Dispatcher: { HeartbeatPeriod: V },
  CAConfig: {
    NodeCertExpiry: V,
    ExternalCAs: { Protocol: V, URL: V, Options: V, CACert: V },
    SigningCACert: V,
    SigningCAKey: V,
    ForceRotate: V,
  },
  TaskDefaults: { LogDriver: DRIVER },
  EncryptionConfig: { AutoLockManagers: V },
};

const NETWORK = {
  Name: V,
  CheckDuplicate: V,
  Driver: V,
  Scope: V,
  EnableIPv4: V,
  EnableIPv6: V,
  IPAM: { Driver: V, Options: V, Config: { Subnet: V, IPRange: V, Gateway: V, AuxiliaryAddresses: V } },
  Internal: V,
  Attachable: V,
  Ingress: V,
  ConfigOnly: V,
  ConfigFrom: { Network: V },
  Options: V,
  Labels: V,
};

const ENTRY = { ListenAddr: V, AdvertiseAddr: V, DataPathAddr: V, Availability: V };
const DATA = { ...ANNOTATIONS, Data: V, Driver: DRIVER, Templating: DRIVER };

const TYPES = {
  'swarm.InitRequest': {
    ...ENTRY,
    DataPathPort: V,
    DefaultAddrPool: V,
    SubnetSize: V,
    ForceNewCluster: V,
    AutoLockManagers: V,
    Spec: CLUSTER,
  },
  'swarm.JoinRequest': { ...ENTRY, RemoteAddrs: V, JoinToken: V },
  'swarm.UnlockRequest': { UnlockKey: V },
  'swarm.Spec': CLUSTER,
  'swarm.NodeSpec': { ...ANNOTATIONS, Role: V, Availability: V },
  'swarm.ServiceSpec': SERVICE,
  'swarm.SecretSpec': DATA,
  'swarm.ConfigSpec': DATA,
  'types.NetworkCreateRequest': NETWORK,
  'types.NetworkConnect': { Container: V, EndpointConfig: V },
} as const satisfies Record<string, Fields>;

/** Go's name of a type that a request's body may have. */
export type BodyType = keyof typeof TYPES;

/**
 * The body with its fields under the names that the API gives them. Go's decoder takes a field's name in any case, so
 * clients have come to rely on it (docker-py sends `{"Mode": {"global": {}}}`); of two that mean the same the later
 * counts. Fields that the API does not know stay as they are.
 */
export function withFieldNames(body: unknown, type: BodyType): unknown {
  return named(body, TYPES[type]);
}

function named(value: unknown, fields: Fields | null): unknown {
  if (fields === null || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((element: unknown) => named(element, fields));
  const entries = Object.entries(value).map(([key, field]: [string, unknown]): [string, unknown] => {
    const name = Object.hasOwn(fields, key) ? key : (byLowerCase(fields).get(key.toLowerCase()) ?? key);
    return [name, named(field, Object.hasOwn(fields, name) ? (fields[name] ?? null) : null)];
  });
  return Object.fromEntries(entries);
}

const lowerCases = new WeakMap<Fields, ReadonlyMap<string, string>>();

function byLowerCase(fields: Fields): ReadonlyMap<string, string> {
  const known = lowerCases.get(fields);
  if (known !== undefined) return known;
  const names = new Map(Object.keys(fields).map((name) => [name.toLowerCase(), name]));
  lowerCases.set(fields, names);
  return names;
}
