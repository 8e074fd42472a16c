import type { LogEntry, SnapshotMeta } from '../../../../../manager/raft/core/entry.ts';
import type {
  LogStore,
  LogWrite,
  StagedSnapshot,
  StoredSnapshot,
  StoredState,
} from '../../../../../manager/raft/log/log-store.ts';

/** The disk under a MemoryLog: what a member finds again after a crash. */
export class MemoryDisk {
  state: StoredState = { hardState: { term: 0, vote: 0, commit: 0 }, entries: [], snapshot: undefined };
  /** From now on every write fails. */
  error: Error | undefined;
  /** Every snapshot of the own state fails. */
  snapshotError: Error | undefined;
  /** Writes wait until it is set to false. */
  #held: (() => void)[] | undefined;
  writes = 0;

  /** Writes wait from now on. @returns lets them go on. */
  hold(): () => void {
    this.#held = [];
    return () => {
      const waiting = this.#held ?? [];
      this.#held = undefined;
      for (const resume of waiting) resume();
    };
  }

  async turn(): Promise<void> {
    if (this.#held !== undefined) await new Promise<void>((resolve) => this.#held?.push(resolve));
    if (this.error !== undefined) throw this.error;
    this.writes++;
  }
}

/** LogStore without a disk, for tests. */
export class MemoryLog implements LogStore {
  readonly #disk: MemoryDisk;
  #tail: Promise<void> = Promise.resolve();
  #failure: Error | undefined;
  readonly #staged = new Map<StagedSnapshot, Uint8Array[]>();

  constructor(disk: MemoryDisk = new MemoryDisk()) {
    this.#disk = disk;
  }

  open(): Promise<StoredState> {
    const { hardState, entries, snapshot } = this.#disk.state;
    return Promise.resolve({ hardState, entries: [...entries], snapshot });
  }

  stage(meta: SnapshotMeta): Promise<StagedSnapshot> {
    const chunks: Uint8Array[] = [];
    const none = (): Promise<void> => Promise.resolve();
    const write = async (chunk: Uint8Array): Promise<void> => {
      await this.#disk.turn();
      chunks.push(chunk);
    };
    const staged: StagedSnapshot = { meta, write, finish: none, discard: none };
    this.#staged.set(staged, chunks);
    return Promise.resolve(staged);
  }

  save({ install, hardState, entries }: LogWrite): Promise<void> {
    const snapshot =
      install === undefined ? undefined : { meta: install.meta, chunks: this.#staged.get(install) ?? [] };
    return this.#write((state) => ({
      hardState: hardState ?? state.hardState,
      snapshot: snapshot ?? state.snapshot,
      entries: replaced(snapshot === undefined ? state.entries : [], entries ?? []),
    }));
  }

  saveSnapshot(meta: SnapshotMeta, chunks: Iterable<Uint8Array>, compactIndex: number): Promise<void> {
    const snapshot: StoredSnapshot = { meta, chunks: [...chunks] };
    return this.#write((state) => {
      if (this.#disk.snapshotError !== undefined) throw this.#disk.snapshotError;
      return {
        ...state,
        snapshot: (state.snapshot?.meta.index ?? 0) > meta.index ? state.snapshot : snapshot,
        entries: state.entries.filter((entry) => entry.index > compactIndex),
      };
    });
  }

  async close(): Promise<void> {
    await this.#tail;
    this.#failure ??= new Error('the log is closed');
  }

  #write(change: (state: StoredState) => StoredState): Promise<void> {
    const done = this.#tail.then(async () => {
      if (this.#failure !== undefined) throw this.#failure;
      try {
        await this.#disk.turn();
      } catch (error) {
        this.#failure = error as Error;
        throw error;
      }
      this.#disk.state = change(this.#disk.state);
    });
    this.#tail = done.catch(() => undefined);
    return done;
  }
}

function replaced(before: readonly LogEntry[], entries: readonly LogEntry[]): LogEntry[] {
  const [first] = entries;
  return first === undefined ? [...before] : [...before.filter((each) => each.index < first.index), ...entries];
}
