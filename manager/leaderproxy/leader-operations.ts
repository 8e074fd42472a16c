import { RequestStore } from '../store/request-store.ts';
import type { Store } from '../store/transaction.ts';
import type { ControlApi, ControlOperation } from '../controlapi/control-api.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { isRead } from './control-operations.ts';

/** Attempts of one request are seconds apart, and only an election makes many requests be asked for again. */
const MAX_REPEATED = 8_192;

/** The name of one change that a user asked for, the same each time that it is asked for. */
export interface RequestMark {
  request: string;
  /** It was asked for before, of whichever leader, and what became of that is not known. */
  isRepeat: boolean;
  /**
   * Of the leadership that is asked. It is made in no other: by the time that this manager leads again, another leader may have refused
   * the repetition. Absent: in the present one.
   */
  term?: number;
}

/** Whoever carries out operations of ControlApi: this manager while it leads, or the leader behind a stream. */
export interface OperationRunner {
  /** @param mark for changes that may be asked for again. @throws WaggleError the operation's own. */
  run(operation: ControlOperation, args: object, mark?: RequestMark): Promise<unknown>;
}

export interface LeaderOperationsModules {
  store: Store & { madeFor(request: string): string | undefined };
  /** The operations on a store. */
  control: (store: Store) => ControlApi;
  /** Resolves when the store holds everything that was acknowledged, and what is not in it never will be. */
  readBarrier: () => Promise<void>;
  /** Of this manager's leadership. */
  term: () => number;
}

/**
 * The operations of the manager that leads. Reads find everything that was acknowledged anywhere. A change that is asked
 * for again is made once: the replicated state remembers the latest requests, so that also another leader than the one
 * that made it knows (Raft thesis, 6.3).
 */
export class LeaderOperations implements OperationRunner {
  readonly #modules: LeaderOperationsModules;
  readonly #api: ControlApi;
  /** Requests that were asked for again here, oldest first: a first attempt that comes after its repetition is one that nobody waits for. */
  readonly #repeated = new Set<string>();
  /** Changes under way here. */
  readonly #running = new Map<string, Promise<unknown>>();

  constructor(modules: LeaderOperationsModules) {
    this.#modules = modules;
    this.#api = modules.control(modules.store);
  }

  async run(operation: ControlOperation, args: object, mark?: RequestMark): Promise<unknown> {
    const { readBarrier, store } = this.#modules;
    if (isRead(operation)) await readBarrier();
    if (mark === undefined) return await call(this.#api, operation, args);
    const term = this.#modules.term();
    if (mark.term !== undefined && mark.term !== term) {
      throw new WaggleError('unavailable', 'the leader has changed since this was asked for');
    }
    if (!mark.isRepeat && this.#repeated.has(mark.request)) {
      throw new WaggleError('unavailable', 'this was asked for again in the meantime');
    }
    if (mark.isRepeat) {
      this.#remember(mark.request);
      // Its own failure is not this one's: the question is only whether it has ended.
      await this.#running.get(mark.request)?.catch(() => undefined);
      await readBarrier();
      const created = store.madeFor(mark.request);
      if (created !== undefined) return resultOf(operation, created);
    }
    return await this.#change(operation, args, { request: mark.request, term });
  }

  /**
   * Refusals too are those of the leader: one that was deposed while it stood still, or that does not know yet all that was acknowledged
   * before its time, would refuse for what is no longer, or not yet, so. Nothing has come of it, so it is tried again after a barrier.
   */
  async #change(operation: ControlOperation, args: object, of: { request: string; term: number }): Promise<unknown> {
    const first = new RequestStore(this.#modules.store, of);
    try {
      return await this.#attempt(operation, args, first, of.request);
    } catch (error) {
      if (first.hasProposed) throw error;
      await this.#modules.readBarrier();
      return await this.#attempt(operation, args, new RequestStore(this.#modules.store, of), of.request);
    }
  }

  async #attempt(operation: ControlOperation, args: object, own: RequestStore, request: string): Promise<unknown> {
    const { store, control } = this.#modules;
    const running = call(control(own), operation, args);
    this.#running.set(request, running);
    try {
      return await running;
    } catch (error) {
      // Refused for what another attempt of the same request has done meanwhile, of which this is the answer.
      const created = own.hasChanged ? undefined : store.madeFor(request);
      if (created === undefined) throw error;
      return resultOf(operation, created);
    } finally {
      this.#running.delete(request);
    }
  }

  #remember(request: string): void {
    this.#repeated.add(request);
    for (const oldest of this.#repeated) {
      if (this.#repeated.size <= MAX_REPEATED) return;
      this.#repeated.delete(oldest);
    }
  }
}

function call(api: ControlApi, operation: ControlOperation, args: object): Promise<unknown> {
  return (api[operation] as (given: object) => Promise<unknown>).call(api, args);
}

/** What a change answers that was made before, and created `id`. */
function resultOf(operation: ControlOperation, id: string): object {
  if (id === '') return {};
  return operation === 'createNetwork' ? { Id: id, Warning: '' } : { ID: id };
}
