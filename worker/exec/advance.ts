import { assertNever } from '../../proto/runtime/assert.ts';
import { rfc3339 } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { TaskObject, TaskStatus } from '../../proto/objects/task.ts';
import { compareTaskStates, isTerminal, type TaskState } from '../../proto/objects/task-state.ts';
import { type Controller, ExitError, TaskError } from './controller.ts';

/** What a task needs next. */
export type Step = 'accept' | 'begin-prepare' | 'prepare' | 'begin-start' | 'start' | 'wait' | 'shutdown' | 'rest';

/** What a step came to. */
export type Outcome =
  /** A new status, to be kept and reported. */
  | { kind: 'moved'; status: TaskStatus }
  /** Nothing to do until the task is updated. */
  | { kind: 'rest' }
  /** The same again later. */
  | { kind: 'retry'; reason: string };

/**
 * Pure: the next step by what is wanted and what is (swarmkit agent/exec, task_model.md). A step that has begun
 * is finished even past the desired state; a new one begins only while the desired state is ahead. Anything at or
 * beyond `shutdown` means: end it.
 */
export function nextStep(desired: TaskState, observed: TaskState): Step {
  if (isTerminal(observed)) return 'rest';
  if (compareTaskStates(desired, 'shutdown') >= 0) return 'shutdown';
  if (observed === 'running') return 'wait';
  if (compareTaskStates(observed, desired) > 0) return 'rest';
  if (observed === 'preparing') return 'prepare';
  if (observed === 'starting') return 'start';
  if (compareTaskStates(observed, desired) >= 0) return 'rest';
  if (observed === 'accepted') return 'begin-prepare';
  return observed === 'ready' ? 'begin-start' : 'accept';
}

/** Moves a task by exactly one step. Never throws: a failure is part of the outcome. */
export async function advance(
  task: Pick<TaskObject, 'DesiredState'>,
  status: TaskStatus,
  controller: Controller,
  modules: { now: () => number; signal: AbortSignal },
): Promise<Outcome> {
  const step = nextStep(task.DesiredState, status.State);
  if (step === 'rest') return { kind: 'rest' };
  try {
    const [state, message] = await perform(step, controller, modules.signal);
    const details = await containerDetails(state, controller);
    return moved({ ...kept(status), ...details, State: state, Message: message }, modules.now());
  } catch (error) {
    if (modules.signal.aborted) return { kind: 'retry', reason: 'interrupted' };
    if (error instanceof TaskError && error.temporary) return { kind: 'retry', reason: error.message };
    return moved(await failed(status, error, controller), modules.now());
  }
}

async function perform(
  step: Exclude<Step, 'rest'>,
  controller: Controller,
  signal: AbortSignal,
): Promise<[TaskState, string]> {
  switch (step) {
    case 'accept':
      return ['accepted', 'accepted'];
    case 'begin-prepare':
      return ['preparing', 'preparing'];
    case 'prepare':
      await controller.prepare(signal);
      return ['ready', 'prepared'];
    case 'begin-start':
      return ['starting', 'starting'];
    case 'start':
      await controller.start(signal);
      return ['running', 'started'];
    case 'wait':
      await controller.wait(signal);
      return ['complete', 'finished'];
    case 'shutdown':
      await controller.shutdown(signal);
      return ['shutdown', 'shutdown'];
    default:
      return assertNever(step);
  }
}

/** Rejected before it was to start, failed after; the message stays that of the last good state, as in Docker. */
async function failed(status: TaskStatus, error: unknown, controller: Controller): Promise<TaskStatus> {
  const State = compareTaskStates(status.State, 'starting') < 0 ? 'rejected' : 'failed';
  const details = await containerDetails(State, controller);
  const next: TaskStatus = { ...kept(status), ...details, State, Err: messageOf(error) };
  if (status.Message !== undefined) next.Message = status.Message;
  if (error instanceof ExitError) next.ContainerStatus = { ...next.ContainerStatus, ExitCode: error.exitCode };
  return next;
}

/** Of the former status only what is known of the container goes on; message and error are of one state. */
function kept(status: TaskStatus): Pick<TaskStatus, 'Timestamp' | 'ContainerStatus' | 'PortStatus'> {
  const next: Pick<TaskStatus, 'Timestamp' | 'ContainerStatus' | 'PortStatus'> = { Timestamp: status.Timestamp };
  if (status.ContainerStatus !== undefined) next.ContainerStatus = status.ContainerStatus;
  if (status.PortStatus !== undefined) next.PortStatus = status.PortStatus;
  return next;
}

/** Best effort: an engine that is away must not change what became of the task. */
async function containerDetails(
  state: TaskState,
  controller: Controller,
): Promise<Pick<TaskStatus, 'ContainerStatus' | 'PortStatus'>> {
  if (compareTaskStates(state, 'starting') < 0 || state === 'rejected') return {};
  return controller.status().catch(() => ({}));
}

function moved(status: TaskStatus, nowMs: number): Outcome {
  return { kind: 'moved', status: { ...status, Timestamp: rfc3339(nowMs) } };
}
