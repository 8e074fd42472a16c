import type { Command } from 'commander';
import type { UpdateState } from '../../../proto/objects/service.ts';
import { sleep, systemClock } from '../../../proto/runtime/clock.ts';
import { compareTaskStates, type TaskState } from '../../../proto/objects/task-state.ts';
import { filtersOf } from '../../filters.ts';
import { CommandError } from '../../command.ts';
import type { Context } from '../../context.ts';
import type { ApiTask } from '../task-listing.ts';
import { type ApiService, getService } from './api-service.ts';
import type { Progress } from './progress.ts';
import { ProgressDisplay } from './progress-display.ts';

const POLL_MS = 200;
const NANOSECONDS_PER_MS = 1e6;
const DEFAULT_MONITOR_NS = 5e9;

const FAILED: readonly UpdateState[] = ['paused', 'rollback_paused'];

/** As `addConvergenceFlags` parses them. */
export interface ConvergenceFlags {
  detach?: boolean;
  quiet?: boolean;
}

/** Whether a command waits for its service, and whether it shows how far that is. */
export function addConvergenceFlags(command: Command): Command {
  return command
    .option('-d, --detach', 'Exit immediately instead of waiting for the service to converge')
    .option('-q, --quiet', 'Suppress progress output');
}

/**
 * Watches a service until everything that was asked of it runs and has run for its monitor period, as `docker service create`
 * does without `--detach`. `rollback`: going back is what was asked for.
 * @throws CommandError when an update was paused, or rolled back unasked.
 */
export async function waitForConvergence(
  context: Context,
  serviceId: string,
  quiet = false,
  rollback = false,
): Promise<void> {
  const display = new ProgressDisplay(context, quiet);
  let runningSince: number | undefined;
  for (;;) {
    const service = await getService(context, serviceId);
    const progress = measure(service, await upToDateTasks(context, serviceId), await eligibleNodes(context, service));
    const state = service.UpdateStatus?.State;
    if (state !== undefined && FAILED.includes(state)) {
      throw new CommandError(
        `service ${state === 'paused' ? 'update' : 'rollback'} paused: ${service.UpdateStatus?.Message ?? ''}`,
      );
    }
    const rollingBack = state === 'rollback_started';
    const settled = progress.converged && state !== 'updating' && !rollingBack;
    const now = systemClock.monotonic();
    runningSince = settled ? (runningSince ?? now) : undefined;
    const monitorMs = (service.Spec.UpdateConfig?.Monitor ?? DEFAULT_MONITOR_NS) / NANOSECONDS_PER_MS;
    const remainingMs = runningSince === undefined ? undefined : Math.max(0, monitorMs - (now - runningSince));
    display.show(progress, remainingMs, rollingBack);
    if (remainingMs === 0) {
      display.finish(`verify: Service ${serviceId} converged`);
      if (state === 'rollback_completed' && !rollback)
        throw new CommandError(`service rolled back: ${service.UpdateStatus?.Message ?? ''}`);
      return;
    }
    await sleep(systemClock, POLL_MS);
  }
}

function upToDateTasks(context: Context, serviceId: string): Promise<ApiTask[]> {
  const filters = filtersOf([`service=${serviceId}`, '_up-to-date=true']);
  return context.client.get<ApiTask[]>('/tasks', { filters });
}

/** For global services: the nodes that should have a task. */
async function eligibleNodes(context: Context, service: ApiService): Promise<string[]> {
  if (service.Spec.Mode?.Global === undefined) return [];
  const nodes =
    await context.client.get<{ ID: string; Status: { State: string }; Spec: { Availability: string } }[]>('/nodes');
  return nodes
    .filter((node) => node.Status.State === 'ready' && node.Spec.Availability === 'active')
    .map((node) => node.ID);
}

/** Pure: what one poll says. */
export function measure(service: ApiService, tasks: readonly ApiTask[], nodes: readonly string[]): Progress {
  const wantedTasks = tasks.filter((task) => task.DesiredState === 'running' || task.DesiredState === 'ready');
  if (service.Spec.Mode?.Global !== undefined) {
    // Nodes that constraints keep out have no task, and are not waited for.
    const used = nodes.filter((node) => wantedTasks.some((task) => task.NodeID === node));
    const slots = used.map((node) => ({
      name: node.slice(0, 12),
      task: furthest(wantedTasks.filter((task) => task.NodeID === node)),
    }));
    return { wanted: slots.length, slots, converged: slots.length > 0 && slots.every(isRunning) };
  }
  const wanted = service.Spec.Mode?.Replicated?.Replicas ?? 1;
  const numbers = [...new Set(wantedTasks.map((task) => task.Slot ?? 0))].toSorted((a, b) => a - b);
  const slots = Array.from({ length: wanted }, (_, at) => {
    const slot = numbers[at];
    return {
      name: `${at + 1}/${wanted}`,
      task: slot === undefined ? undefined : furthest(wantedTasks.filter((task) => task.Slot === slot)),
    };
  });
  return { wanted, slots, converged: numbers.length === wanted && slots.every(isRunning) };
}

function isRunning({ task }: { task: ApiTask | undefined }): boolean {
  return task?.Status.State === 'running';
}

function furthest(tasks: readonly ApiTask[]): ApiTask | undefined {
  return tasks.toSorted((a, b) => compareTaskStates(b.Status.State as TaskState, a.Status.State as TaskState))[0];
}
