import type { TaskActor } from '../../proto/objects/task-state.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Indexes, TableName, Tables } from './tables.ts';

/** A consistent reading of committed state. Objects are frozen; a new version replaces the whole object. */
export interface ReadTx {
  get<T extends TableName>(table: T, id: string): Tables[T] | undefined;
  /** All rows, in no stated order. */
  all<T extends TableName>(table: T): Iterable<Tables[T]>;
  count(table: TableName): number;
  /** Rows whose index key equals `key`. Names are compared without regard to case. Slot keys are `serviceID/slot`, or `serviceID//nodeID` when the slot is 0. */
  find<T extends TableName>(table: T, index: Indexes[T], key: string): readonly Tables[T][];
}

/** A new object before the store gives it a version. */
export type NewObject<T extends TableName> = Omit<Tables[T], 'Version' | 'CreatedAt' | 'UpdatedAt'>;

/** Reads see this transaction's own writes. */
export interface WriteTx extends ReadTx {
  /** @throws WaggleError already-exists for an ID or (case-insensitive) name in use. */
  create<T extends TableName>(table: T, object: NewObject<T>): void;
  /**
   * Replaces the object whole, keeping ID and CreatedAt; its Version must be that of the object read.
   * @throws WaggleError unknown "update out of sequence" when it is not, not-found when it is gone.
   */
  update<T extends TableName>(table: T, object: Tables[T]): void;
  /** @throws WaggleError not-found. */
  remove(table: TableName, id: string): void;
  /**
   * As `get`, for what this transaction's right to write depends on: it commits only if the row is then still there,
   * or still not there, and otherwise counts as a race lost. (What a transaction writes is checked anyway.)
   */
  pin<T extends TableName>(table: T, id: string): Tables[T] | undefined;
  /** As `find`; commits only if the same rows, in whatever version, are then found. */
  pinFound<T extends TableName>(table: T, index: Indexes[T], key: string): readonly Tables[T][];
}

/**
 * One change, as it is proposed and logged. A transaction is an array of them, applied wholly or not at all:
 * `create` needs a free ID and name, `update` and `remove` need `base` to be the object's present version, `expect` needs the rows
 * with the key (an ID when there is no index) to be `ids`, and changes nothing.
 */
export type StoreAction = {
  [T in TableName]:
    | { kind: 'create'; table: T; object: NewObject<T> }
    | { kind: 'update'; table: T; object: Omit<Tables[T], 'Version' | 'UpdatedAt'>; base: number }
    | { kind: 'remove'; table: T; id: string; base: number }
    | { kind: 'expect'; table: T; index?: Indexes[T]; key: string; ids: string[] };
}[TableName];

/** A proposal: what is put into the log, JSON in UTF-8. `at` becomes CreatedAt/UpdatedAt. */
export interface Proposal {
  at: string;
  actions: StoreAction[];
  /** Name of the request that this is done for: of the same name nothing more is applied. */
  request?: string;
}

/** What applying a logged proposal came to; the same on every manager. */
export type ApplyResult =
  | { ok: true; index: number }
  | { ok: false; reason: 'conflict' | 'name-in-use'; detail: string };

/**
 * Durability and order, as Raft gives them. The store never changes before its own entry comes back through
 * `apply`, in log order, after it is committed and durable.
 */
export interface Proposer {
  /**
   * Resolves with what `apply` answered for this very entry. Many may be in flight.
   * @throws WaggleError unavailable (no leader, lost leadership: the outcome is unknown), resource-exhausted (over
   * MAX_PROPOSAL_BYTES, or the queue is full).
   * @param term of leadership in which it may be made; in another one it is refused as unavailable. Absent: in whichever.
   */
  propose(data: Uint8Array, term?: number): Promise<ApplyResult>;
}

/** The receiving end, called by the Proposer in log order and never concurrently. */
export interface StateMachine {
  apply(index: number, data: Uint8Array): ApplyResult;
  /** The whole state, in chunks; writes may go on while it is being read. */
  snapshot(): Iterable<Uint8Array>;
  restore(chunks: Iterable<Uint8Array>): void;
  /** Begins to read another state, which takes the place of the present one only by `install`. */
  stage(): StagedState;
}

/** A state that comes in chunks. Dropping it half-way leaves nothing. */
export interface StagedState {
  /** @throws when it is no state, or of another format. */
  write(chunk: Uint8Array): void;
  /** @throws when it is not whole. */
  finish(): void;
  /** After `finish`: it is the state from now on. */
  install(): void;
}

/** As swarmkit's MaxTransactionBytes. */
export const MAX_PROPOSAL_BYTES = 1.5 * 1024 * 1024;

/** In Docker's words, which answers 500 to it. The code tells those who can make a change smaller. */
export function proposalTooLarge(): WaggleError {
  const text = "rpc error: code = Unknown desc = raft: raft message is too large and can't be sent";
  return new WaggleError('resource-exhausted', text);
}

/** One committed change, in commit order. `before` is absent for a create, `after` for a remove. */
export type StoreEvent = {
  [T in TableName]: { table: T; before?: Tables[T]; after?: Tables[T] };
}[TableName];

export interface Watch extends AsyncIterable<readonly StoreEvent[]> {
  /** Ends the iteration. */
  close(): void;
}

export interface StoreUpdateOptions {
  /** When given, the store asserts that this actor may make each change of a task's observed state. */
  actor?: TaskActor;
  /** The request that this is done for, under a name of its own in the whole swarm; made once and remembered with the change. */
  request?: string;
  /** Proposed in this term of leadership only, however often the transaction has to be worked out again. */
  term?: number;
}

export interface Store {
  view<R>(read: (tx: ReadTx) => R): R;
  /**
   * Runs `write` against committed state and proposes its changes; resolves once they are committed and applied
   * here. When another transaction won the race, `write` runs again on the new state (a few times), so it
   * must be free of effects. Objects it updates by a version that a client gave fail instead.
   */
  update<R>(write: (tx: WriteTx) => R, options?: StoreUpdateOptions): Promise<R>;
  /**
   * Committed changes from now on, in batches of one transaction. The queue is bounded: a watcher that falls
   * behind ends with a WaggleError resource-exhausted and must view again.
   */
  watch(tables?: readonly TableName[]): Watch;
  /** Atomically: what `read` returned, and every change after it. */
  viewAndWatch<R>(read: (tx: ReadTx) => R, tables?: readonly TableName[]): { view: R; watch: Watch };
}
