import type Docker from 'dockerode';
import { ExitError, TaskError } from '../exec/controller.ts';

type State = Docker.ContainerInspectInfo['State'];

/** Docker's own text for a container whose health check failed. */
const UNHEALTHY = 'dockerexec: unhealthy container';

/** When Docker never filled a time in. */
const NEVER = '0001-01-01T00:00:00Z';

/** True when the container has run at some time, which for a task is the only time it ever does. */
export function wasStarted(state: State): boolean {
  return state.Running || (state.StartedAt !== '' && state.StartedAt !== NEVER);
}

export type Readiness = 'waiting' | 'ready' | 'unhealthy';

/** How far a started container is; one that has ended is `ready`: what became of it is for `outcomeOf` to say. */
export function readinessOf(state: State): Readiness {
  if (!state.Running) return 'ready';
  const health = state.Health?.Status;
  if (health === 'unhealthy') return 'unhealthy';
  return health === 'starting' ? 'waiting' : 'ready';
}

export type Outcome = { kind: 'complete' } | { kind: 'unhealthy' } | { kind: 'failed'; error: Error };

/** What became of a started container; undefined while it runs in good health. */
export function outcomeOf(state: State): Outcome | undefined {
  if (state.Running) return state.Health?.Status === 'unhealthy' ? { kind: 'unhealthy' } : undefined;
  if (!wasStarted(state)) {
    const why = state.Error === '' ? 'the container was never started' : state.Error;
    return { kind: 'failed', error: new TaskError(why, { temporary: false }) };
  }
  if (state.ExitCode === 0) return { kind: 'complete' };
  return { kind: 'failed', error: new ExitError(state.ExitCode, causeOf(state)) };
}

/** How a container ended that we stopped for its health. */
export function unhealthyError(exitCode: number): Error {
  return exitCode === 0 ? new TaskError(UNHEALTHY, { temporary: false }) : new ExitError(exitCode, UNHEALTHY);
}

function causeOf(state: State): string | undefined {
  if (state.OOMKilled) return 'out of memory';
  return state.Error === '' ? undefined : state.Error;
}
