import { waggle } from '../../proto/gen/dispatcher.js';
import type { NetworkObject } from '../../proto/objects/network.ts';
import type { TaskObject } from '../../proto/objects/task.ts';

const { AssignmentKind } = waggle.dispatcher;

/** Objects by ID; undefined stands for one that is not assigned any more. */
export interface AssignmentSet {
  tasks: ReadonlyMap<string, TaskObject | undefined>;
  networks: ReadonlyMap<string, NetworkObject | undefined>;
}

export type ChainResult =
  /** A part of a whole set; the rest is to come. */
  | { kind: 'partial' }
  | { kind: 'complete'; set: AssignmentSet }
  | { kind: 'incremental'; set: AssignmentSet }
  /** A message is missing: the stream must be opened anew. */
  | { kind: 'gap'; expected: number; got: number };

/** Puts the messages of one assignment stream together and finds gaps in it. One chain per stream. */
export class AssignmentChain {
  #tasks = new Map<string, TaskObject | undefined>();
  #networks = new Map<string, NetworkObject | undefined>();
  /** What the next message must apply to; undefined until the whole set is here. */
  #at: number | undefined;

  /** @throws SyntaxError for an object that is not JSON. */
  take(message: waggle.dispatcher.AssignmentsMessage): ChainResult {
    if (!message.complete && this.#at !== message.appliesTo) {
      return { kind: 'gap', expected: this.#at ?? 0, got: message.appliesTo };
    }
    for (const change of message.changes) this.#collect(change);
    if (message.complete && message.resultsIn === 0) return { kind: 'partial' };
    this.#at = message.resultsIn;
    const set = { tasks: this.#tasks, networks: this.#networks };
    this.#tasks = new Map();
    this.#networks = new Map();
    return { kind: message.complete ? 'complete' : 'incremental', set };
  }

  /** Kinds that this agent does not know are passed over. */
  #collect(change: waggle.dispatcher.IAssignmentChange): void {
    const id = change.id ?? '';
    const object: unknown =
      change.remove === true ? undefined : JSON.parse(Buffer.from(change.objectJson ?? []).toString('utf8'));
    const kind = change.kind ?? AssignmentKind.TASK;
    if (kind === AssignmentKind.TASK) this.#tasks.set(id, object as TaskObject | undefined);
    else if (kind === AssignmentKind.NETWORK) this.#networks.set(id, object as NetworkObject | undefined);
  }
}
