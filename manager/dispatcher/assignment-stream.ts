import { waggle } from '../../proto/gen/dispatcher.js';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { ReadTx } from '../store/transaction.ts';
import {
  type AssignmentDelta,
  assignmentChanges,
  type Assignments,
  assignmentsOf,
  NO_ASSIGNMENTS,
} from './assignment-set.ts';
import { LeadingTimer } from './leading-timer.ts';

const { AssignmentKind, AssignmentsMessage, AssignmentChange } = waggle.dispatcher;
export type AssignmentsMessage = waggle.dispatcher.AssignmentsMessage;

/** As swarmkit: 100 ms or 100 changes, whichever comes first. */
const BATCH_MS = 100;
const BATCH_CHANGES = 100;
/** Objects per message; a quarter of the message limit, since one object alone may be large. */
const MESSAGE_BYTES = 1024 * 1024;

export interface AssignmentStreamModules {
  view: <R>(read: (tx: ReadTx) => R) => R;
  /** Takes messages in order; must not throw. */
  send: (message: AssignmentsMessage) => void;
  clock: Clock;
}

/**
 * The assignments of one node as a chain of messages. Level-triggered: each message is the difference between what
 * was sent and what the store wants now, so nothing is lost however many events were folded into one mark.
 */
export class AssignmentStream {
  readonly #nodeId: string;
  readonly #modules: AssignmentStreamModules;
  readonly #timer: LeadingTimer;
  #sent: Assignments = NO_ASSIGNMENTS;
  #sequence = 0;
  #marks = 0;

  constructor(nodeId: string, modules: AssignmentStreamModules) {
    this.#nodeId = nodeId;
    this.#modules = modules;
    this.#timer = new LeadingTimer({ intervalMs: BATCH_MS, run: () => this.#flush() }, modules);
  }

  /** Sends the COMPLETE set, in one or more messages; only the last one carries `resultsIn`. */
  begin(): void {
    const wanted = this.#modules.view((tx) => assignmentsOf(tx, this.#nodeId));
    const parts = split(assignmentChanges(NO_ASSIGNMENTS, wanted));
    this.#sent = wanted;
    this.#sequence = 1;
    for (const [index, changes] of parts.entries()) {
      const last = index === parts.length - 1;
      this.#modules.send(AssignmentsMessage.create({ complete: true, appliesTo: 0, resultsIn: last ? 1 : 0, changes }));
    }
  }

  /** Something that may concern this node has changed. */
  mark(changes: number): void {
    this.#marks += changes;
    if (this.#marks >= BATCH_CHANGES) this.#timer.runNow();
    else this.#timer.mark();
  }

  end(): void {
    this.#timer.cancel();
  }

  #flush(): void {
    this.#marks = 0;
    const wanted = this.#modules.view((tx) => assignmentsOf(tx, this.#nodeId));
    const deltas = assignmentChanges(this.#sent, wanted);
    this.#sent = wanted;
    if (deltas.length === 0) return;
    for (const changes of split(deltas)) {
      const appliesTo = this.#sequence++;
      this.#modules.send(AssignmentsMessage.create({ complete: false, appliesTo, resultsIn: this.#sequence, changes }));
    }
  }
}

/** At least one part, so that an empty set is announced too. */
function split(deltas: readonly AssignmentDelta[]): waggle.dispatcher.AssignmentChange[][] {
  const parts: waggle.dispatcher.AssignmentChange[][] = [[]];
  let bytes = 0;
  for (const delta of deltas) {
    const change = toChange(delta);
    if (bytes > 0 && bytes + change.objectJson.length > MESSAGE_BYTES) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(change);
    bytes += change.objectJson.length;
  }
  return parts;
}

function toChange(delta: AssignmentDelta): waggle.dispatcher.AssignmentChange {
  return AssignmentChange.create({
    kind: delta.kind === 'task' ? AssignmentKind.TASK : AssignmentKind.NETWORK,
    id: delta.id,
    remove: delta.object === undefined,
    objectJson: delta.object === undefined ? new Uint8Array() : Buffer.from(JSON.stringify(delta.object)),
  });
}
