import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { DataKeys } from '../../../../../manager/raft/log/data-cipher.ts';
import type { DiskThread } from '../../../../../manager/raft/log/disk-thread.ts';
import { type DataKeyFile, KeyRotation } from '../../../../../manager/raft/log/key-rotation.ts';
import type { StoredState } from '../../../../../manager/raft/log/log-store.ts';
import { type DiskRequest, SqliteHost } from '../../../../../manager/raft/log/sqlite-host.ts';
import { SqliteLog } from '../../../../../manager/raft/log/sqlite-log.ts';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { VirtualClock } from '../../../../fixtures/virtual-clock.ts';
import { entry } from '../core/core-fixture.ts';
import { chunksOf, metaAt, textsOf } from './log-store-conformance.ts';

const SECRET = 'precious-content';
/** More than one step of sealing anew. */
const ENTRIES = 1_200;

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'waggle-keys-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Counts what reaches the disk; after the last one it takes nothing more, as a host that has crashed. */
class Fuse {
  used = 0;
  readonly #limit: number;

  constructor(limit = Number.POSITIVE_INFINITY) {
    this.#limit = limit;
  }

  burn(): void {
    if (this.used >= this.#limit) throw new Error('crashed');
    this.used++;
  }
}

class FusedThread implements DiskThread {
  readonly #host: SqliteHost;
  readonly #fuse: Fuse;

  constructor(where: string, keys: DataKeys | undefined, fuse: Fuse) {
    this.#host = new SqliteHost(where, keys);
    this.#fuse = fuse;
  }

  async ask(request: DiskRequest): Promise<unknown> {
    if (request.kind === 'rotate' || request.kind === 'reseal') this.#fuse.burn();
    return this.#host.handle(request);
  }

  async end(): Promise<void> {
    this.#host.handle({ kind: 'close' });
  }
}

/** Keys as they are on the disk. */
class MemoryKeyFile implements DataKeyFile {
  raftKeys: DataKeyFile['raftKeys'] = [];
  rotationDue = false;
  fuse: Pick<Fuse, 'burn'> = new Fuse();
  readonly #listeners = new Set<() => void>();

  async saveRaftKeys(keys: DataKeyFile['raftKeys'], { replaces }: { replaces: boolean }): Promise<void> {
    this.fuse.burn();
    this.raftKeys = keys;
    if (replaces) this.rotationDue = false;
    for (const listener of this.#listeners) listener();
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  demandRotation(): void {
    this.rotationDue = true;
    for (const listener of this.#listeners) listener();
  }
}

interface Life {
  log: SqliteLog;
  rotation: KeyRotation;
  state: StoredState;
  clock: VirtualClock;
}

/** From opening the log to closing it, with a rotation at work in between. */
async function live<T>(file: MemoryKeyFile, fuse: Fuse, work: (life: Life) => Promise<T>): Promise<T> {
  const clock = new VirtualClock();
  file.fuse = fuse;
  const log = new SqliteLog(
    folder,
    () => rotation.keys(),
    (...where) => new FusedThread(...where, fuse),
  );
  const rotation = new KeyRotation({ file, log, clock, random: () => 0, logger: silentLog });
  await rotation.prepare();
  const state = await log.open();
  try {
    return await work({ log, rotation, state, clock });
  } finally {
    await rotation.stop();
    await log.close();
  }
}

async function fill(log: SqliteLog, from = 1, count = ENTRIES): Promise<void> {
  await log.save({ entries: Array.from({ length: count }, (_, at) => entry(from + at, 1, `${SECRET} ${from + at}`)) });
}

/** Until everything that can be done has been. */
async function idle({ rotation, clock }: Life): Promise<void> {
  await rotation.start();
  for (let round = 0; round < 50; round++) await clock.advance(1);
}

const lastOf = (state: StoredState): string => Buffer.from(state.entries.at(-1)?.data ?? []).toString();

function bytesOnDisk(): Buffer {
  return Buffer.concat(readdirSync(folder).map((name) => readFileSync(path.join(folder, name))));
}

describe('KeyRotation', () => {
  it('makes a key before the log is opened, once', async () => {
    const file = new MemoryKeyFile();
    await live(file, new Fuse(), async ({ log }) => {
      await fill(log);
      expect(bytesOnDisk().includes(SECRET)).toBe(false);
    });
    const [first] = file.raftKeys;
    expect(Buffer.from(first?.key ?? '', 'base64')).toHaveLength(32);
    await live(file, new Fuse(), async ({ state }) => expect(lastOf(state)).toBe(`${SECRET} ${ENTRIES}`));
    expect(file.raftKeys).toEqual([first]);
  });

  it('puts log and snapshot under a new key while writes go on, and forgets the old one', async () => {
    const file = new MemoryKeyFile();
    await live(file, new Fuse(), async (life) => {
      await fill(life.log);
      await life.log.saveSnapshot(metaAt(5), chunksOf(SECRET, 'more'), 2, 0);
      const [old] = file.raftKeys;
      await life.rotation.start();
      file.demandRotation();
      await fill(life.log, ENTRIES + 1, 1);
      await idle(life);
      expect(file.raftKeys).toHaveLength(1);
      expect(file.raftKeys[0]?.id).not.toBe(old?.id);
      expect(file.rotationDue).toBe(false);
      expect(await life.log.keysInUse()).toEqual([file.raftKeys[0]?.id]);
    });
    await live(file, new Fuse(), async ({ state }) => {
      expect(state.entries).toHaveLength(ENTRIES - 1);
      expect(lastOf(state)).toBe(`${SECRET} ${ENTRIES + 1}`);
      expect([state.snapshot?.meta.index, textsOf(state.snapshot?.chunks)]).toEqual([5, [SECRET, 'more']]);
    });
  });

  it('after a crash at any point opens everything, and finishes', async () => {
    let points = 0;
    for (let limit = 0; ; limit++) {
      rmSync(folder, { recursive: true, force: true });
      const file = new MemoryKeyFile();
      await live(file, new Fuse(), async ({ log }) => {
        await fill(log);
        await log.saveSnapshot(metaAt(5), chunksOf(SECRET), 0, 0);
      });
      const [old] = file.raftKeys;
      const fuse = new Fuse(limit);
      await live(file, fuse, async (life) => {
        file.rotationDue = true;
        await idle(life);
      });
      expect(file.raftKeys.length).toBeLessThanOrEqual(2);
      await live(file, new Fuse(), async (life) => {
        expect(life.state.entries).toHaveLength(ENTRIES);
        expect(textsOf(life.state.snapshot?.chunks)).toEqual([SECRET]);
        await idle(life);
        expect(await life.log.keysInUse()).toEqual(file.raftKeys.map(({ id }) => id));
      });
      expect(file.raftKeys).toHaveLength(1);
      expect(file.raftKeys[0]?.id).not.toBe(old?.id);
      await live(file, new Fuse(), async ({ state }) => expect(lastOf(state)).toBe(`${SECRET} ${ENTRIES}`));
      points = limit;
      if (fuse.used < limit) break;
    }
    // The key file twice, the log's change of keys, and at least four steps of sealing anew.
    expect(points).toBeGreaterThan(7);
  }, 90_000);

  it('a rotation that is asked for while one is under way comes after it', async () => {
    const file = new MemoryKeyFile();
    await live(file, new Fuse(), async (life) => {
      await fill(life.log);
      const seen = new Set<string>();
      file.onChange(() => {
        for (const { id } of file.raftKeys) seen.add(id);
        expect(file.raftKeys.length).toBeLessThanOrEqual(2);
        if (seen.size === 2) file.rotationDue = true;
      });
      file.rotationDue = true;
      await idle(life);
      expect(seen.size).toBe(3);
      expect(file.raftKeys).toHaveLength(1);
    });
  });

  it('tries again with backoff while the file of keys cannot be written', async () => {
    const file = new MemoryKeyFile();
    await live(file, new Fuse(), async ({ log, rotation, clock }) => {
      await fill(log, 1, 1);
      const [old] = file.raftKeys;
      let tries = 0;
      file.fuse = {
        burn: () => {
          if (++tries < 3) throw new Error('ENOSPC');
        },
      };
      await rotation.start();
      file.demandRotation();
      await clock.advance(0);
      const [before] = file.raftKeys;
      expect([tries, before?.id]).toEqual([1, old?.id]);
      await clock.advance(399);
      expect(tries).toBe(1);
      await clock.advance(1);
      expect(tries).toBe(2);
      await clock.advance(799);
      expect(tries).toBe(2);
      for (let round = 0; round < 50; round++) await clock.advance(1);
      expect(file.raftKeys).toHaveLength(1);
      expect(file.raftKeys[0]?.id).not.toBe(old?.id);
    });
  });

  it('takes over a log that was not encrypted, and leaves no trace of what was in it', async () => {
    const plain = new SqliteLog(folder, undefined, (...where) => new FusedThread(...where, new Fuse()));
    await plain.open();
    await plain.save({ hardState: { term: 1, vote: 1, commit: 1 } });
    await fill(plain);
    await plain.saveSnapshot(metaAt(700), chunksOf(SECRET), 600, 0);
    await plain.close();
    expect(bytesOnDisk().includes(SECRET)).toBe(true);
    for (const limit of [1, 2, 3, 4, Number.POSITIVE_INFINITY]) {
      const file = new MemoryKeyFile();
      file.raftKeys = [{ id: 'kept', key: Buffer.alloc(32, 7).toString('base64') }];
      await live(file, new Fuse(limit), async (life) => {
        expect([life.state.entries.length, lastOf(life.state)]).toEqual([600, `${SECRET} ${ENTRIES}`]);
        await idle(life);
      });
    }
    expect(bytesOnDisk().includes(SECRET)).toBe(false);
  });
});
