/**
 * The states of a task, their order, and which actor may write which transition
 * (swarmkit design/task_model.md; the table there is looser in code, ours is asserted by the store).
 */

/** In order: a task's observed state only ever moves to the right. */
export const TASK_STATES = [
  'new',
  'pending',
  'assigned',
  'accepted',
  'preparing',
  'ready',
  'starting',
  'running',
  'complete',
  'shutdown',
  'failed',
  'rejected',
  'remove',
  'orphaned',
] as const;

export type TaskState = (typeof TASK_STATES)[number];

const ORDER: ReadonlyMap<TaskState, number> = new Map(TASK_STATES.map((state, index) => [state, index]));

/** Negative when `a` comes before `b`, 0 when equal. */
export function compareTaskStates(a: TaskState, b: TaskState): number {
  return orderOf(a) - orderOf(b);
}

export function isTaskState(value: string): value is TaskState {
  return ORDER.has(value as TaskState);
}

/** True once the task has ended for good, however it ended: every state after `running`. */
export function isTerminal(state: TaskState): boolean {
  return orderOf(state) > orderOf('running');
}

function orderOf(state: TaskState): number {
  const order = ORDER.get(state);
  if (order === undefined) throw new Error(`unknown task state ${state}`);
  return order;
}

/** Who writes to a task. */
export type TaskActor = 'orchestrator' | 'allocator' | 'scheduler' | 'agent' | 'dispatcher' | 'enforcer' | 'control';

const AGENT_TARGETS: readonly TaskState[] = TASK_STATES.filter(
  (state) => compareTaskStates(state, 'assigned') > 0 && state !== 'remove' && state !== 'orphaned',
);

/** For each actor, the observed states from which and to which it may move a task. */
const TRANSITIONS: Readonly<Record<TaskActor, (from: TaskState, to: TaskState) => boolean>> = {
  orchestrator: (from, to) => from === 'new' && to === 'shutdown',
  allocator: (from, to) => from === 'new' && to === 'pending',
  scheduler: (from, to) => from === 'pending' && (to === 'assigned' || to === 'shutdown'),
  agent: (from, to) => compareTaskStates(from, 'assigned') >= 0 && AGENT_TARGETS.includes(to),
  dispatcher: (from, to) => compareTaskStates(from, 'assigned') >= 0 && !isTerminal(from) && to === 'orphaned',
  enforcer: (from, to) => compareTaskStates(from, 'assigned') >= 0 && !isTerminal(from) && to === 'rejected',
  control: (from, to) => compareTaskStates(from, 'assigned') >= 0 && !isTerminal(from) && to === 'orphaned',
};

/** True when `actor` may move a task's observed state from `from` to `to`; staying is always allowed. */
export function mayMove(actor: TaskActor, from: TaskState, to: TaskState): boolean {
  if (from === to) return true;
  return compareTaskStates(from, to) < 0 && TRANSITIONS[actor](from, to);
}
