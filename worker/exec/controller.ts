import type { TaskObject, TaskStatus } from '../../proto/objects/task.ts';

/**
 * Runs one task on this node. Methods are called one at a time, each may be called again after a failure or a
 * restart of the daemon, and finds then what it had done before (swarmkit agent/exec.Controller).
 * A TaskError with `temporary` means: try again later; any other failure ends the task: REJECTED before it was
 * started, FAILED after.
 */
export interface Controller {
  /** A new version of the same task: only DesiredState may differ. */
  update(task: TaskObject): Promise<void>;
  /** Networks, image and container are there afterwards. */
  prepare(signal: AbortSignal): Promise<void>;
  /** The container runs and, when it has a health check, is healthy. */
  start(signal: AbortSignal): Promise<void>;
  /** Resolves when the container has ended with code 0; otherwise throws an ExitError. */
  wait(signal: AbortSignal): Promise<void>;
  /** Asks the container to end, within its grace period, then makes it. */
  shutdown(signal: AbortSignal): Promise<void>;
  /** Everything of this task is gone from the node. */
  remove(signal: AbortSignal): Promise<void>;
  /** ContainerStatus and PortStatus for the task's status; empty before there is a container. */
  status(): Promise<Pick<TaskStatus, 'ContainerStatus' | 'PortStatus'>>;
}

/** Makes controllers; one per kind of runtime. */
export interface Executor {
  controller(task: TaskObject): Controller;
  /** IDs of tasks that have something on this node, found by label. */
  existingTasks(): Promise<string[]>;
}

/** A step of a task failed; when it is temporary the same step is tried again. */
export class TaskError extends Error {
  override readonly name = 'TaskError';
  readonly temporary: boolean;

  constructor(message: string, options: { temporary: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.temporary = options.temporary;
  }
}

/** The container ended by itself, not with 0 or not in good health. Text as Docker's: `task: non-zero exit (1)`. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exitCode: number;

  constructor(exitCode: number, cause?: string) {
    super(cause === undefined ? `task: non-zero exit (${exitCode})` : `task: non-zero exit (${exitCode}): ${cause}`);
    this.exitCode = exitCode;
  }
}
