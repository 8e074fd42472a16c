import type { ServiceObject, UpdateConfig } from '../../../proto/objects/service.ts';

const NANOSECONDS_PER_MS = 1e6;
const DEFAULT_MONITOR_MS = 5_000;

/** An UpdateConfig with its defaults (swarmkit's api/defaults). */
export interface CompiledUpdateConfig {
  /** Slots under way at once; Infinity for all. */
  parallelism: number;
  /** Between the end of one slot's replacement and the next one of its lane. */
  delayMs: number;
  failureAction: 'pause' | 'continue' | 'rollback';
  /** How long after it began to run a task's end counts as a failure of the update. */
  monitorMs: number;
  /** 0..1: share of the slots that may fail before the action is taken. */
  maxFailureRatio: number;
  order: 'stop-first' | 'start-first';
}

/** RollbackConfig while a rollback is under way, UpdateConfig otherwise. */
export function updateConfigOf(service: ServiceObject): CompiledUpdateConfig {
  const state = service.UpdateStatus?.State;
  const rollingBack = state === 'rollback_started' || state === 'rollback_paused';
  return compile(rollingBack ? service.Spec.RollbackConfig : service.Spec.UpdateConfig);
}

/** A config that is given but silent on parallelism means all at once, as zero does; none given means one by one. */
function compile(config: UpdateConfig = { Parallelism: 1 }): CompiledUpdateConfig {
  const parallelism = config.Parallelism ?? 0;
  const monitor = config.Monitor ?? 0;
  return {
    parallelism: parallelism === 0 ? Number.POSITIVE_INFINITY : parallelism,
    delayMs: (config.Delay ?? 0) / NANOSECONDS_PER_MS,
    failureAction: config.FailureAction ?? 'pause',
    monitorMs: monitor === 0 ? DEFAULT_MONITOR_MS : monitor / NANOSECONDS_PER_MS,
    maxFailureRatio: config.MaxFailureRatio ?? 0,
    order: config.Order ?? 'stop-first',
  };
}
