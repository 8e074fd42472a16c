import type { NetworkObject } from '../../proto/objects/network.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { compareTaskStates, isTerminal } from '../../proto/objects/task-state.ts';
import type { ReadTx } from '../store/transaction.ts';

/** What a node must have, by ID. */
export interface Assignments {
  tasks: ReadonlyMap<string, TaskObject>;
  networks: ReadonlyMap<string, NetworkObject>;
}

export type AssignmentDelta =
  | { kind: 'task'; id: string; object?: TaskObject }
  | { kind: 'network'; id: string; object?: NetworkObject };

export const NO_ASSIGNMENTS: Assignments = { tasks: new Map(), networks: new Map() };

/**
 * The node's tasks from ASSIGNED on until they are deleted (ended ones too: their containers stay for `logs` and
 * `ps -a` as long as the task history does), and the allocated networks that its live tasks use or that any of its
 * containers may attach to. Orphaned tasks are not the node's any more.
 */
export function assignmentsOf(tx: ReadTx, nodeId: string): Assignments {
  const tasks = new Map<string, TaskObject>();
  const networks = new Map<string, NetworkObject>();
  for (const task of tx.find('tasks', 'node', nodeId)) {
    const { State } = task.Status;
    if (State === 'orphaned' || compareTaskStates(State, 'assigned') < 0) continue;
    tasks.set(task.ID, task);
    if (isTerminal(State)) continue;
    for (const { NetworkID } of task.NetworksAttachments ?? []) {
      const network = tx.get('networks', NetworkID);
      if (network?.Allocated !== undefined) networks.set(NetworkID, network);
    }
  }
  for (const network of tx.all('networks')) {
    if (network.Spec.Attachable === true && network.Allocated !== undefined) networks.set(network.ID, network);
  }
  return { tasks, networks };
}

/** From `sent` to `wanted`, in the order to be carried out: networks before tasks that need them, and after those that did. */
export function assignmentChanges(sent: Assignments, wanted: Assignments): AssignmentDelta[] {
  const changes: AssignmentDelta[] = [];
  for (const [id, object] of wanted.networks) {
    const before = sent.networks.get(id);
    if (before === undefined || before.Version.Index !== object.Version.Index)
      changes.push({ kind: 'network', id, object });
  }
  for (const [id, object] of wanted.tasks) {
    const before = sent.tasks.get(id);
    if (before === undefined || !sameForAgent(before, object)) changes.push({ kind: 'task', id, object });
  }
  for (const id of sent.tasks.keys()) if (!wanted.tasks.has(id)) changes.push({ kind: 'task', id });
  for (const id of sent.networks.keys()) if (!wanted.networks.has(id)) changes.push({ kind: 'network', id });
  return changes;
}

/** An assigned task changes in its status, which the agent itself reports, and in what is wanted of it. */
function sameForAgent(a: TaskObject, b: TaskObject): boolean {
  return a === b || a.DesiredState === b.DesiredState;
}

/** False for a change of a task that cannot change any node's assignments, as most status reports are. */
export function concernsAgent(before: TaskObject | undefined, after: TaskObject | undefined): boolean {
  if (before === undefined || after === undefined) return true;
  return before.NodeID !== after.NodeID || before.DesiredState !== after.DesiredState || stage(before) !== stage(after);
}

function stage(task: TaskObject): 'unassigned' | 'live' | 'ended' | 'orphaned' {
  const { State } = task.Status;
  if (State === 'orphaned') return State;
  if (isTerminal(State)) return 'ended';
  return compareTaskStates(State, 'assigned') < 0 ? 'unassigned' : 'live';
}
