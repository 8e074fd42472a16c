import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { type ApplyResult, MAX_PROPOSAL_BYTES, type Proposer, type StateMachine } from '../store/transaction.ts';
import { EMPTY_CONFIGURATION } from './core/entry.ts';
import type { LogStore } from './log/log-store.ts';

const TERM = 1;
const MAX_IN_FLIGHT = 4096;

export interface SingleMemberOptions {
  /** Log entries between snapshots (Docker's default: 10000). */
  snapshotInterval: number;
  keepOldSnapshots: number;
}

export interface SingleMemberModules {
  log: LogStore;
  stateMachine: StateMachine;
  logger: Log;
  /** Called once when the disk fails: the manager must stop, nothing more is acknowledged. */
  onFatal: (error: Error) => void;
}

/**
 * Proposer of a swarm with one manager: an entry is applied and acknowledged as soon as it is on this disk. The log has
 * the form that Raft has for a single member in term 1.
 */
export class SingleMember implements Proposer, Startable {
  readonly #options: SingleMemberOptions;
  readonly #modules: SingleMemberModules;
  #lastIndex = 0;
  #appliedIndex = 0;
  #snapshotIndex = 0;
  #inFlight = 0;
  #snapshotting: Promise<void> | undefined;
  #tail: Promise<unknown> = Promise.resolve();
  #stopped = false;

  constructor(options: SingleMemberOptions, modules: SingleMemberModules) {
    this.#options = options;
    this.#modules = modules;
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** Restores the state machine from the snapshot and the log. @throws CorruptLogError */
  async start(): Promise<void> {
    const { entries, snapshot } = await this.#modules.log.open();
    if (snapshot !== undefined) {
      this.#modules.stateMachine.restore(snapshot.chunks);
      this.#snapshotIndex = snapshot.meta.index;
      this.#appliedIndex = snapshot.meta.index;
    }
    for (const entry of entries) {
      if (entry.index <= this.#appliedIndex) continue;
      this.#modules.stateMachine.apply(entry.index, entry.data);
      this.#appliedIndex = entry.index;
    }
    this.#lastIndex = this.#appliedIndex;
  }

  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#tail;
    await this.#snapshotting;
    await this.#modules.log.close();
  }

  async propose(data: Uint8Array): Promise<ApplyResult> {
    if (this.#stopped) throw new WaggleError('unavailable', 'the manager is stopping');
    if (data.length > MAX_PROPOSAL_BYTES) {
      throw new WaggleError(
        'resource-exhausted',
        `a change of ${data.length} bytes is over the limit of ${MAX_PROPOSAL_BYTES}`,
      );
    }
    if (this.#inFlight >= MAX_IN_FLIGHT) throw new WaggleError('resource-exhausted', 'too many changes are waiting');
    this.#inFlight++;
    const index = ++this.#lastIndex;
    const saved = this.#modules.log.save({
      entries: [{ term: TERM, index, type: 'normal', data }],
      hardState: { term: TERM, vote: 0, commit: index },
    });
    // Chained, so that entries are applied in log order.
    const applied = this.#tail.then(() => saved).then(() => this.#apply(index, data));
    this.#tail = applied.catch(() => undefined);
    try {
      return await applied;
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      this.#modules.onFatal(failure);
      throw new WaggleError('internal', `the change could not be made durable: ${failure.message}`, { cause: error });
    } finally {
      this.#inFlight--;
    }
  }

  #apply(index: number, data: Uint8Array): ApplyResult {
    const result = this.#modules.stateMachine.apply(index, data);
    this.#appliedIndex = index;
    if (index - this.#snapshotIndex >= this.#options.snapshotInterval) this.#snapshotting ??= this.#takeSnapshot(index);
    return result;
  }

  async #takeSnapshot(index: number): Promise<void> {
    try {
      const chunks = this.#modules.stateMachine.snapshot();
      const meta = { term: TERM, index, configuration: EMPTY_CONFIGURATION };
      await this.#modules.log.saveSnapshot(meta, chunks, index, this.#options.keepOldSnapshots);
      this.#snapshotIndex = index;
    } catch (error) {
      this.#modules.onFatal(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#snapshotting = undefined;
    }
  }
}
