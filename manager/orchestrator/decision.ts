import type { ClusterObject } from '../../proto/objects/cluster.ts';
import type { NodeObject } from '../../proto/objects/node.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import type { TaskState } from '../../proto/objects/task-state.ts';
import type { NewObject } from '../store/transaction.ts';

/** What a decision about one service is made from: committed state, the time, and nothing else. */
export interface ServiceView {
  service: ServiceObject;
  /** All tasks of the service. */
  tasks: readonly TaskObject[];
  cluster: ClusterObject | undefined;
  node(id: string): NodeObject | undefined;
  nodes(): Iterable<NodeObject>;
  /** The leader's clock. */
  nowMs: number;
  newId(): string;
}

export type Change =
  | { kind: 'create'; task: NewObject<'tasks'> }
  /** A desired state only ever moves forward; a task that is already there or further is left alone. */
  | { kind: 'desire'; task: TaskObject; state: TaskState }
  | { kind: 'service'; service: ServiceObject };

/** Changes that belong in one transaction: none of them is made without the others. */
export type Step = readonly Change[];

/**
 * What is to be done about a service now. Steps are in order and any number of them may be carried out before the
 * service is decided on again: the rest comes out again then.
 */
export interface Decision {
  steps: Step[];
  /** When to decide again though nothing has happened; Infinity for never. */
  wakeAtMs: number;
}
