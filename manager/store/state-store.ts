import { type Clock, rfc3339 } from '../../proto/runtime/clock.ts';
import { assertNever, invariant } from '../../proto/runtime/assert.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { OverlayTx, PreconditionError } from './overlay-tx.ts';
import { MadeRequests } from './made-requests.ts';
import { decodeProposal, encodeProposal } from './proposal-codec.ts';
import { decodeSnapshot, encodeSnapshot, type SnapshotContent, SnapshotDecoder } from './snapshot-codec.ts';
import { emptyTables, type TableSet } from './table-rows.ts';
import { TABLE_NAMES, type TableName, type Tables } from './tables.ts';
import {
  type ApplyResult,
  MAX_PROPOSAL_BYTES,
  type NewObject,
  proposalTooLarge,
  type Proposer,
  type ReadTx,
  type StagedState,
  type StateMachine,
  type Store,
  type StoreAction,
  type StoreEvent,
  type StoreUpdateOptions,
  type Watch,
  type WriteTx,
} from './transaction.ts';
import { WATCH_LIMIT, WatchQueue } from './watch-queue.ts';

const UPDATE_TRIES = 10;

export interface StateStoreOptions {
  /** Events a watcher may have waiting; WATCH_LIMIT unless a test says otherwise. */
  watchLimit?: number;
}

/**
 * The swarm's state in memory: tables of frozen objects, changed only by `apply`, in log order. Writing is
 * optimistic: `update` works out its actions on committed state without a lock and proposes them, and `apply` decides,
 * the same on every manager, whether what they were based on still holds.
 */
export class StateStore implements Store, StateMachine {
  readonly #clock: Clock;
  readonly #watchLimit: number;
  readonly #watchers = new Set<WatchQueue>();
  #tables: TableSet = emptyTables();
  #made = new MadeRequests();
  #proposer: Proposer | undefined;

  constructor(options: StateStoreOptions, modules: { clock: Clock }) {
    this.#clock = modules.clock;
    this.#watchLimit = options.watchLimit ?? WATCH_LIMIT;
  }

  /** Says through whom `update` proposes; before, it fails as unavailable. */
  connect(proposer: Proposer): void {
    this.#proposer = proposer;
  }

  view<R>(read: (tx: ReadTx) => R): R {
    const tx = this.#open();
    try {
      return read(tx);
    } finally {
      tx.close();
    }
  }

  /**
   * See Store.
   * @throws WaggleError aborted after ten lost races; resource-exhausted for a transaction above
   * MAX_PROPOSAL_BYTES; already-exists "name conflicts with an existing object"; whatever the Proposer throws.
   */
  async update<R>(write: (tx: WriteTx) => R, options: StoreUpdateOptions = {}): Promise<R> {
    for (let tries = 0; tries < UPDATE_TRIES; tries++) {
      const { result, actions, at } = this.#write(write, options);
      if (actions.every((action) => action.kind === 'expect')) return result;
      const { request, term } = options;
      const data = encodeProposal({ at, actions, ...(request === undefined ? {} : { request }) });
      const applied = await this.#propose(data, term);
      if (applied.ok) return result;
      if (applied.reason === 'name-in-use') throw new WaggleError('already-exists', applied.detail);
    }
    throw new WaggleError('aborted', `gave up after losing ${UPDATE_TRIES} races with other changes`);
  }

  /**
   * What became of a request, as far as it is committed and applied here: ID of the object that it created, '' when it
   * changed something else, undefined when nothing was done for it. The latest thousands are remembered.
   */
  madeFor(request: string): string | undefined {
    return this.#made.get(request);
  }

  watch(tables?: readonly TableName[]): Watch {
    const queue = new WatchQueue(
      { limit: this.#watchLimit, ...(tables === undefined ? {} : { tables }) },
      { onClose: (closed) => this.#watchers.delete(closed) },
    );
    this.#watchers.add(queue);
    return queue;
  }

  viewAndWatch<R>(read: (tx: ReadTx) => R, tables?: readonly TableName[]): { view: R; watch: Watch } {
    const view = this.view(read);
    return { view, watch: this.watch(tables) };
  }

  /** @throws InvariantError for data that is no proposal: this manager must stop. */
  apply(index: number, data: Uint8Array): ApplyResult {
    const { at, actions, request } = decodeProposal(data);
    if (request !== undefined && this.#made.get(request) !== undefined) {
      return { ok: false, reason: 'conflict', detail: 'this was done before' };
    }
    const tx = new OverlayTx({ at }, { base: this.#tables });
    try {
      for (const action of actions) replay(tx, action);
    } catch (error) {
      if (!(error instanceof PreconditionError)) throw error;
      const reason = error.reason === 'name-in-use' ? 'name-in-use' : 'conflict';
      return { ok: false, reason, detail: error.message };
    }
    const events = tx.commit(index);
    if (request !== undefined) this.#made.add(request, createdBy(actions));
    this.#publish(events);
    return { ok: true, index };
  }

  snapshot(): Iterable<Uint8Array> {
    return encodeSnapshot(this.#tables, this.#made.entries());
  }

  /** Replaces everything or, when the snapshot is damaged, nothing. Watchers are told what is different. */
  restore(chunks: Iterable<Uint8Array>): void {
    this.#replace(decodeSnapshot(chunks));
  }

  stage(): StagedState {
    const decoder = new SnapshotDecoder();
    let content: SnapshotContent | undefined;
    return {
      write: (chunk) => decoder.write(chunk),
      finish: () => {
        content = decoder.finish();
      },
      install: () => {
        invariant(content !== undefined, 'a state is installed before it is whole');
        this.#replace(content);
      },
    };
  }

  #replace({ tables, made }: SnapshotContent): void {
    const before = this.#tables;
    this.#tables = tables;
    this.#made = new MadeRequests(made);
    this.#publish(TABLE_NAMES.flatMap((table) => differences(table, before, this.#tables)));
  }

  #open(options: StoreUpdateOptions = {}, at = ''): OverlayTx {
    return new OverlayTx({ at, ...options }, { base: this.#tables });
  }

  #write<R>(write: (tx: WriteTx) => R, options: StoreUpdateOptions): { result: R; actions: StoreAction[]; at: string } {
    const at = rfc3339(this.#clock.now());
    const tx = this.#open(options, at);
    try {
      return { result: write(tx), actions: tx.actions, at };
    } finally {
      tx.close();
    }
  }

  async #propose(data: Uint8Array, term: number | undefined): Promise<ApplyResult> {
    if (data.byteLength > MAX_PROPOSAL_BYTES) throw proposalTooLarge();
    if (this.#proposer === undefined) throw new WaggleError('unavailable', 'the state store has no log yet');
    return await this.#proposer.propose(data, term);
  }

  #publish(events: readonly StoreEvent[]): void {
    if (events.length === 0) return;
    const batch = Object.freeze(events);
    for (const watcher of [...this.#watchers]) watcher.push(batch);
  }
}

function createdBy(actions: readonly StoreAction[]): string {
  const created = actions.find((action) => action.kind === 'create');
  return created === undefined ? '' : (created.object as { ID: string }).ID;
}

function replay(tx: OverlayTx, action: StoreAction): void {
  switch (action.kind) {
    case 'create':
      return tx.create<TableName>(action.table, action.object as NewObject<TableName>);
    case 'update':
      return tx.replace<TableName>(
        action.table,
        action.object as Omit<Tables[TableName], 'Version' | 'UpdatedAt'>,
        action.base,
      );
    case 'remove':
      return tx.removeAt(action.table, action.id, action.base);
    case 'expect':
      return tx.expect<TableName>(action.table, action.index, action.key, action.ids);
    default:
      return assertNever(action);
  }
}

function differences<T extends TableName>(table: T, before: TableSet, after: TableSet): StoreEvent[] {
  const events: object[] = [];
  for (const row of before[table].values()) {
    if (after[table].get(row.ID) === undefined) events.push({ table, before: row });
  }
  for (const row of after[table].values()) {
    const old = before[table].get(row.ID);
    if (old === undefined) events.push({ table, after: row });
    else if (old.Version.Index !== row.Version.Index) events.push({ table, before: old, after: row });
  }
  return events as StoreEvent[];
}
