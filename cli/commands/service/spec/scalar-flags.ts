import type { Command } from 'commander';
import type { Json } from '../../../../proto/objects/meta.ts';
import type { ServiceSpec, UpdateConfig } from '../../../../proto/objects/service.ts';
import type { ContainerSpec, ResourceSet, RestartPolicy } from '../../../../proto/objects/task.ts';
import { collect, CommandError } from '../../../command.ts';
import { pairsOf } from '../../pairs.ts';
import { bytes, cpus, duration, parseCount, parseInteger, ratio } from './values.ts';

type Options = Readonly<Record<string, Json | undefined>>;

/** A flag with one value, the same for `service create` and `service update`. */
interface ScalarFlag {
  name: string;
  /** Placeholder of the value; absent for a switch. */
  value?: string;
  short?: string;
  help: string;
  apply(spec: ServiceSpec, text: string, options: Options): void;
}

function container(spec: ServiceSpec): ContainerSpec {
  spec.TaskTemplate.ContainerSpec ??= {};
  return spec.TaskTemplate.ContainerSpec;
}

function resources(spec: ServiceSpec, kind: 'Limits' | 'Reservations'): ResourceSet {
  spec.TaskTemplate.Resources ??= {};
  spec.TaskTemplate.Resources[kind] ??= {};
  return spec.TaskTemplate.Resources[kind];
}

function restart(spec: ServiceSpec): RestartPolicy {
  spec.TaskTemplate.RestartPolicy ??= { Condition: 'any', Delay: 5e9, MaxAttempts: 0 };
  return spec.TaskTemplate.RestartPolicy;
}

function health(spec: ServiceSpec): NonNullable<ContainerSpec['Healthcheck']> {
  const target = container(spec);
  target.Healthcheck ??= {};
  return target.Healthcheck;
}

function updateConfig(spec: ServiceSpec, key: 'UpdateConfig' | 'RollbackConfig'): UpdateConfig {
  spec[key] ??= {
    Parallelism: 1,
    FailureAction: 'pause',
    Monitor: 5e9,
    MaxFailureRatio: 0,
    Order: 'stop-first',
  };
  return spec[key];
}

const CONTAINER: readonly ScalarFlag[] = [
  {
    name: 'entrypoint',
    value: 'command',
    help: 'Overwrite the default ENTRYPOINT of the image',
    apply: (spec, text) => void (container(spec).Command = words(text)),
  },
  {
    name: 'hostname',
    value: 'string',
    help: 'Container hostname',
    apply: (spec, text) => void (container(spec).Hostname = text),
  },
  {
    name: 'init',
    help: 'Use an init inside each service container to forward signals and reap processes',
    apply: (spec) => void (container(spec).Init = true),
  },
  {
    name: 'read-only',
    help: "Mount the container's root filesystem as read only",
    apply: (spec) => void (container(spec).ReadOnly = true),
  },
  {
    name: 'stop-grace-period',
    value: 'duration',
    help: 'Time to wait before force killing a container (ns|us|ms|s|m|h) (default 10s)',
    apply: (spec, text) => void (container(spec).StopGracePeriod = duration('stop-grace-period', text)),
  },
  {
    name: 'stop-signal',
    value: 'signal',
    help: 'Signal to stop the container',
    apply: (spec, text) => void (container(spec).StopSignal = text),
  },
  { name: 'tty', short: 't', help: 'Allocate a pseudo-TTY', apply: (spec) => void (container(spec).TTY = true) },
  {
    name: 'user',
    short: 'u',
    value: 'string',
    help: 'Username or UID (format: <name|uid>[:<group|gid>])',
    apply: (spec, text) => void (container(spec).User = text),
  },
  {
    name: 'workdir',
    short: 'w',
    value: 'string',
    help: 'Working directory inside the container',
    apply: (spec, text) => void (container(spec).Dir = text),
  },
  {
    name: 'isolation',
    value: 'string',
    help: 'Service container isolation mode',
    apply: (spec, text) => void (container(spec).Isolation = text),
  },
  {
    name: 'oom-score-adj',
    value: 'int',
    help: "Tune host's OOM preferences (-1000 to 1000)",
    apply: (spec, text) => void (container(spec).OomScoreAdj = parseInteger('oom-score-adj', text)),
  },
];

const HEALTH: readonly ScalarFlag[] = [
  {
    name: 'health-cmd',
    value: 'command',
    help: 'Command to run to check health',
    apply: (spec, text) => void (health(spec).Test = ['CMD-SHELL', text]),
  },
  {
    name: 'health-interval',
    value: 'duration',
    help: 'Time between running the check (ms|s|m|h)',
    apply: (spec, text) => void (health(spec).Interval = duration('health-interval', text)),
  },
  {
    name: 'health-retries',
    value: 'int',
    help: 'Consecutive failures needed to report unhealthy',
    apply: (spec, text) => void (health(spec).Retries = parseCount('health-retries', text)),
  },
  {
    name: 'health-start-interval',
    value: 'duration',
    help: 'Time between running the check during the start period (ms|s|m|h)',
    apply: (spec, text) => void (health(spec).StartInterval = duration('health-start-interval', text)),
  },
  {
    name: 'health-start-period',
    value: 'duration',
    help: 'Start period for the container to initialize before counting retries towards unstable (ms|s|m|h)',
    apply: (spec, text) => void (health(spec).StartPeriod = duration('health-start-period', text)),
  },
  {
    name: 'health-timeout',
    value: 'duration',
    help: 'Maximum time to allow one check to run (ms|s|m|h)',
    apply: (spec, text) => void (health(spec).Timeout = duration('health-timeout', text)),
  },
  {
    name: 'no-healthcheck',
    help: 'Disable any container-specified HEALTHCHECK',
    apply: (spec) => void (container(spec).Healthcheck = { Test: ['NONE'] }),
  },
];

const RESOURCES: readonly ScalarFlag[] = [
  {
    name: 'limit-cpu',
    value: 'decimal',
    help: 'Limit CPUs',
    apply: (spec, text) => void (resources(spec, 'Limits').NanoCPUs = cpus('limit-cpu', text)),
  },
  {
    name: 'limit-memory',
    value: 'bytes',
    help: 'Limit Memory',
    apply: (spec, text) => void (resources(spec, 'Limits').MemoryBytes = bytes('limit-memory', text)),
  },
  {
    name: 'limit-pids',
    value: 'int',
    help: 'Limit maximum number of processes (default 0 = unlimited)',
    apply: (spec, text) => void (resources(spec, 'Limits').Pids = parseCount('limit-pids', text)),
  },
  {
    name: 'reserve-cpu',
    value: 'decimal',
    help: 'Reserve CPUs',
    apply: (spec, text) => void (resources(spec, 'Reservations').NanoCPUs = cpus('reserve-cpu', text)),
  },
  {
    name: 'reserve-memory',
    value: 'bytes',
    help: 'Reserve Memory',
    apply: (spec, text) => void (resources(spec, 'Reservations').MemoryBytes = bytes('reserve-memory', text)),
  },
];

const RESTART: readonly ScalarFlag[] = [
  {
    name: 'restart-condition',
    value: 'string',
    help: 'Restart when condition is met ("none", "on-failure", "any") (default "any")',
    apply: (spec, text) => void (restart(spec).Condition = text as NonNullable<RestartPolicy['Condition']>),
  },
  {
    name: 'restart-delay',
    value: 'duration',
    help: 'Delay between restart attempts (ns|us|ms|s|m|h) (default 5s)',
    apply: (spec, text) => void (restart(spec).Delay = duration('restart-delay', text)),
  },
  {
    name: 'restart-max-attempts',
    value: 'uint',
    help: 'Maximum number of restarts before giving up',
    apply: (spec, text) => void (restart(spec).MaxAttempts = parseCount('restart-max-attempts', text)),
  },
  {
    name: 'restart-window',
    value: 'duration',
    help: 'Window used to evaluate the restart policy (ns|us|ms|s|m|h)',
    apply: (spec, text) => void (restart(spec).Window = duration('restart-window', text)),
  },
];

const PLACEMENT: readonly ScalarFlag[] = [
  {
    name: 'replicas',
    value: 'uint',
    help: 'Number of tasks',
    apply: (spec, text) => {
      const replicas = parseCount('replicas', text);
      if (spec.Mode?.Global !== undefined || spec.Mode?.GlobalJob !== undefined)
        throw new CommandError('replicas can only be used with replicated or replicated-job mode');
      if (spec.Mode?.ReplicatedJob === undefined) spec.Mode = { Replicated: { Replicas: replicas } };
      else {
        const { ReplicatedJob } = spec.Mode;
        spec.Mode = { ReplicatedJob: { MaxConcurrent: replicas, ...ReplicatedJob, TotalCompletions: replicas } };
      }
    },
  },
  {
    name: 'max-concurrent',
    value: 'uint',
    help: 'Number of job tasks to run concurrently (default equal to --replicas)',
    apply: (spec, text) => {
      const most = parseCount('max-concurrent', text);
      if (spec.Mode?.ReplicatedJob === undefined)
        throw new CommandError('max-concurrent can only be used with replicated-job mode');
      spec.Mode = { ReplicatedJob: { ...spec.Mode.ReplicatedJob, MaxConcurrent: most } };
    },
  },
  {
    name: 'replicas-max-per-node',
    value: 'uint',
    help: 'Maximum number of tasks per node (default 0 = unlimited)',
    apply: (spec, text) =>
      void (spec.TaskTemplate.Placement = {
        ...spec.TaskTemplate.Placement,
        MaxReplicas: parseCount('replicas-max-per-node', text),
      }),
  },
  {
    name: 'endpoint-mode',
    value: 'string',
    help: 'Endpoint mode (vip or dnsrr) (default "vip")',
    apply: (spec, text) => void (spec.EndpointSpec = { ...spec.EndpointSpec, Mode: text as 'vip' | 'dnsrr' }),
  },
  {
    name: 'log-driver',
    value: 'string',
    help: 'Logging driver for service',
    apply: (spec, text, { logOpt }) => {
      const options = logOpt as string[] | undefined;
      spec.TaskTemplate.LogDriver = { Name: text, ...(options === undefined ? {} : { Options: pairsOf(options) }) };
    },
  },
];

function rollout(prefix: 'update' | 'rollback', key: 'UpdateConfig' | 'RollbackConfig'): ScalarFlag[] {
  const actions = prefix === 'update' ? ['pause', 'continue', 'rollback'] : ['pause', 'continue'];
  return [
    {
      name: `${prefix}-parallelism`,
      value: 'uint',
      help: `Maximum number of tasks ${prefix === 'update' ? 'updated' : 'rolled back'} simultaneously (0 to do all at once)`,
      apply: (spec, text) => void (updateConfig(spec, key).Parallelism = parseCount(`${prefix}-parallelism`, text)),
    },
    {
      name: `${prefix}-delay`,
      value: 'duration',
      help: `Delay between task ${prefix}s (ns|us|ms|s|m|h)`,
      apply: (spec, text) => void (updateConfig(spec, key).Delay = duration(`${prefix}-delay`, text)),
    },
    {
      name: `${prefix}-monitor`,
      value: 'duration',
      help: `Duration after each task ${prefix} to monitor for failure (ns|us|ms|s|m|h)`,
      apply: (spec, text) => void (updateConfig(spec, key).Monitor = duration(`${prefix}-monitor`, text)),
    },
    {
      name: `${prefix}-failure-action`,
      value: 'string',
      help: `Action on ${prefix} failure (${actions.join(', ')})`,
      apply: (spec, text) =>
        void (updateConfig(spec, key).FailureAction = text as NonNullable<UpdateConfig['FailureAction']>),
    },
    {
      name: `${prefix}-max-failure-ratio`,
      value: 'float',
      help: `Failure rate to tolerate during a ${prefix}`,
      apply: (spec, text) =>
        void (updateConfig(spec, key).MaxFailureRatio = ratio(`${prefix}-max-failure-ratio`, text)),
    },
    {
      name: `${prefix}-order`,
      value: 'string',
      help: `${prefix} order ("start-first", "stop-first")`,
      apply: (spec, text) => void (updateConfig(spec, key).Order = text as NonNullable<UpdateConfig['Order']>),
    },
  ];
}

const SCALARS: readonly ScalarFlag[] = [
  ...CONTAINER,
  ...HEALTH,
  ...RESOURCES,
  ...RESTART,
  ...PLACEMENT,
  ...rollout('update', 'UpdateConfig'),
  ...rollout('rollback', 'RollbackConfig'),
];

export function addScalarFlags(command: Command): Command {
  for (const flag of SCALARS) {
    const long = flag.value === undefined ? `--${flag.name}` : `--${flag.name} <${flag.value}>`;
    command.option(flag.short === undefined ? long : `-${flag.short}, ${long}`, flag.help);
  }
  return command.option('--log-opt <list>', 'Logging driver options', collect);
}

/** `--no-healthcheck` stands alone. @throws CommandError */
function assertHealthFlags(options: Options): void {
  const others = HEALTH.filter((flag) => flag.value !== undefined && options[camel(flag.name)] !== undefined);
  if (options['healthcheck'] === false && others.length > 0)
    throw new CommandError('--no-healthcheck conflicts with --health-* options');
}

/** Changes the spec by the flags that were given; what was not given stays as it is, or absent. */
export function applyScalarFlags(spec: ServiceSpec, options: Options): void {
  assertHealthFlags(options);
  for (const flag of SCALARS) {
    // Commander stores `--no-x` under `x`, turned round.
    const value = flag.name.startsWith('no-')
      ? options[camel(flag.name.slice(3))] === false
      : options[camel(flag.name)];
    if (value !== undefined && value !== false) flag.apply(spec, `${value as string | boolean}`, options);
  }
}

/** Splits a command line as a shell does, as far as quotes go. */
export function words(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? match[3] ?? '');
}

function camel(name: string): string {
  return name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
}
