import { waggle } from '../../proto/gen/dispatcher.js';
import type { ResponseStream } from '../../proto/rpc/gate.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Store } from '../store/transaction.ts';
import { AssignmentStream, type AssignmentsMessage } from './assignment-stream.ts';
import { LeadingTimer } from './leading-timer.ts';
import { Outbox } from './outbox.ts';
import { fingerprint, type SessionMessage, sessionMessage, sharedFacts } from './session-message.ts';

const FACTS_INTERVAL_MS = 100;

/** One session of one node: what it has been told so far, and the streams that tell it. */
export class NodeSession {
  readonly nodeId: string;
  readonly sessionId: string;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #facts = new Outbox<SessionMessage>();
  readonly #factsTimer: LeadingTimer;
  #following = false;
  #told = '';
  #ended: Error | undefined;
  #assignments: { stream: AssignmentStream; outbox: Outbox<AssignmentsMessage> } | undefined;

  constructor(options: { nodeId: string; sessionId: string }, modules: { store: Store; clock: Clock }) {
    this.nodeId = options.nodeId;
    this.sessionId = options.sessionId;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#factsTimer = new LeadingTimer({ intervalMs: FACTS_INTERVAL_MS, run: () => this.#tell() }, modules);
  }

  /** Sends the first message and whatever is new after it. Always throws in the end. */
  async follow(stream: ResponseStream<SessionMessage>): Promise<never> {
    this.#following = true;
    this.#tell();
    return this.#facts.drainTo(stream);
  }

  /** Sends the assignments from the beginning; a stream opened earlier in this session ends. Always throws in the end. */
  async assign(stream: ResponseStream<AssignmentsMessage>): Promise<never> {
    if (this.#ended !== undefined) throw this.#ended;
    this.#endAssignments(new WaggleError('aborted', 'a newer assignment stream was opened'));
    const outbox = new Outbox<AssignmentsMessage>();
    const assignments = new AssignmentStream(this.nodeId, {
      view: (read) => this.#store.view(read),
      send: (message) => outbox.put(message),
      clock: this.#clock,
    });
    this.#assignments = { stream: assignments, outbox };
    assignments.begin();
    try {
      return await outbox.drainTo(stream);
    } finally {
      assignments.end();
      if (this.#assignments?.stream === assignments) this.#assignments = undefined;
    }
  }

  /** Node, managers, peers, keys or the cluster may have changed. */
  markFacts(): void {
    if (this.#following && this.#ended === undefined) this.#factsTimer.mark();
  }

  /** Asks the node to show that it is there: it sends a heartbeat at once. */
  challenge(): void {
    if (!this.#following || this.#ended !== undefined) return;
    this.#facts.put(waggle.dispatcher.SessionMessage.create({ sessionId: this.sessionId, challenge: true }));
  }

  /** @param changes how many, for the size of a batch. */
  markAssignments(changes: number): void {
    this.#assignments?.stream.mark(changes);
  }

  markAll(): void {
    this.markFacts();
    this.markAssignments(1);
  }

  /** Ends the session's streams with `reason`. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.#factsTimer.cancel();
    this.#facts.end(reason);
    this.#endAssignments(reason);
  }

  #endAssignments(reason: Error): void {
    this.#assignments?.stream.end();
    this.#assignments?.outbox.end(reason);
    this.#assignments = undefined;
  }

  #tell(): void {
    const message = this.#store.view((tx) => {
      const node = tx.get('nodes', this.nodeId);
      return node === undefined ? undefined : sessionMessage(this.sessionId, node, sharedFacts(tx));
    });
    if (message === undefined) return;
    const text = fingerprint(message);
    if (text === this.#told) return;
    this.#told = text;
    this.#facts.put(message);
  }
}
