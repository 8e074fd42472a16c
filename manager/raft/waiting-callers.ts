import { noLeader } from '../../proto/rpc/no-leader.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ApplyResult } from '../store/transaction.ts';
import type { ProposeResult, Ready } from './core/raft.ts';
import { PendingProposals } from './pending-proposals.ts';
import { PendingReads } from './pending-reads.ts';
import { DEFAULT_PROPOSAL_QUEUE_OPTIONS, ProposalQueue } from './proposal-queue.ts';

/**
 * Everybody who waits for an answer of this member while it leads: proposals that gather for the log, those that are in it, and read
 * barriers. Each is answered once: when the state machine has come so far, or when it is abandoned.
 */
export class WaitingCallers {
  readonly #proposals = new ProposalQueue(DEFAULT_PROPOSAL_QUEUE_OPTIONS);
  readonly #pending = new PendingProposals();
  readonly #reads = new PendingReads();
  #lastRead = 0;

  /** Goes into the log with the next batch. @throws WaggleError resource-exhausted, and as it is abandoned. */
  propose(data: Uint8Array): Promise<ApplyResult> {
    return new Promise((resolve, reject) => {
      if (!this.#proposals.add({ data, resolve, reject })) reject(tooMany());
    });
  }

  /** Gives the core the next batch, if one may be on its way. */
  beginBatch(propose: (data: Uint8Array[]) => ProposeResult): void {
    const batch = this.#proposals.take();
    if (batch.length === 0) return;
    const result = propose(batch.map((each) => each.data));
    if (result.ok) this.#proposals.begun(result.index + batch.length - 1);
    batch.forEach((each, at) => {
      if (result.ok) this.#pending.add(result.index + at, result.term, each);
      else each.reject(result.reason === 'busy' ? tooMany() : noLeader());
    });
  }

  /** Waits for an entry that is in the log. */
  entry({ index, term }: { index: number; term: number }): Promise<void> {
    return new Promise((resolve, reject) => this.#pending.add(index, term, { resolve: () => resolve(), reject }));
  }

  /** Waits for a read barrier. @param ask the core, under a number; false when it does not lead. */
  read(ask: (request: number) => boolean): Promise<void> {
    const request = ++this.#lastRead;
    if (!ask(request)) return Promise.reject(noLeader());
    return new Promise((resolve, reject) => this.#reads.add(request, { resolve, reject }));
  }

  /** This entry was applied. */
  applied(index: number, term: number, result: ApplyResult): void {
    this.#pending.applied(index, term, result);
  }

  /** Everything up to this index has been applied. */
  settled(index: number, reads: Ready['reads']): void {
    this.#proposals.applied(index);
    this.#reads.confirm(reads);
    this.#reads.applied(index);
  }

  /** @param error absent: the leadership is lost. */
  abandon(error?: Error): void {
    this.#pending.abandon(error);
    const why = error ?? noLeader();
    this.#proposals.abandon(why);
    this.#reads.abandon(why);
  }
}

function tooMany(): WaggleError {
  return new WaggleError('resource-exhausted', 'too many changes are waiting');
}
