import type { ApplyResult } from '../store/transaction.ts';

export interface Proposal {
  data: Uint8Array;
  resolve: (result: ApplyResult) => void;
  reject: (error: Error) => void;
}

export interface ProposalQueueOptions {
  /** Beyond either, nothing more is taken. */
  maxWaiting: number;
  maxWaitingBytes: number;
  /** Of one batch, which holds one proposal at least. */
  maxBatchBytes: number;
  /** Batches that are not applied yet; while there are so many, proposals gather for the next one. */
  maxBatches: number;
}

/** One batch at a time: two cost the followers half as much again for each write, and made none faster. */
export const DEFAULT_PROPOSAL_QUEUE_OPTIONS: ProposalQueueOptions = {
  maxWaiting: 8192,
  maxWaitingBytes: 64 * 1024 * 1024,
  maxBatchBytes: 4 * 1024 * 1024,
  maxBatches: 1,
};

/**
 * Proposals that are not in the log yet. While a batch is on its way the next one gathers: what it costs to send, to write
 * and to sync is paid once for all of them (the thesis's batching, 10.2.2), and the pipeline is only as deep as it pays.
 */
export class ProposalQueue {
  readonly #options: ProposalQueueOptions;
  #waiting: Proposal[] = [];
  #waitingBytes = 0;
  /** Last index of each batch on its way, oldest first. */
  #batches: number[] = [];

  constructor(options: ProposalQueueOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#waiting.length;
  }

  /** @returns false when there is no room. */
  add(proposal: Proposal): boolean {
    const { maxWaiting, maxWaitingBytes } = this.#options;
    const bytes = this.#waitingBytes + proposal.data.length;
    if (this.#waiting.length >= maxWaiting || (this.#waiting.length > 0 && bytes > maxWaitingBytes)) return false;
    this.#waiting.push(proposal);
    this.#waitingBytes = bytes;
    return true;
  }

  /** The next batch, oldest first; empty while enough are on their way. */
  take(): readonly Proposal[] {
    if (this.#batches.length >= this.#options.maxBatches) return [];
    let count = 0;
    let bytes = 0;
    for (const { data } of this.#waiting) {
      if (count > 0 && bytes + data.length > this.#options.maxBatchBytes) break;
      bytes += data.length;
      count++;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  /** A batch is in the log, up to this index. */
  begun(lastIndex: number): void {
    this.#batches.push(lastIndex);
  }

  /** Everything up to this index has been applied. */
  applied(index: number): void {
    while (this.#batches[0] !== undefined && this.#batches[0] <= index) this.#batches.shift();
  }

  /** Nothing that waits was made, and no batch counts as on its way any more. */
  abandon(error: Error): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#batches = [];
    for (const { reject } of waiting) reject(error);
  }
}
