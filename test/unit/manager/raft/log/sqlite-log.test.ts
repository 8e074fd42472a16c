import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogEntry } from '../../../../../manager/raft/core/entry.ts';
import type { DataKey, DataKeys } from '../../../../../manager/raft/log/data-cipher.ts';
import { CorruptLogError, LogKeyError, type StoredState } from '../../../../../manager/raft/log/log-store.ts';
import type { DiskThread } from '../../../../../manager/raft/log/disk-thread.ts';
import { type DiskRequest, SqliteHost } from '../../../../../manager/raft/log/sqlite-host.ts';
import { SqliteLog } from '../../../../../manager/raft/log/sqlite-log.ts';
import { settle } from '../../../../fixtures/virtual-clock.ts';
import { entry } from '../core/core-fixture.ts';
import { chunksOf, logStoreConformance, metaAt, stagedIn, textsOf } from './log-store-conformance.ts';

const newFolder = (): string => mkdtempSync(path.join(tmpdir(), 'waggle-log-'));
const removeFolder = (each: string): void => rmSync(each, { recursive: true, force: true });
const keyOf = (id: string, byte: number): DataKey => ({ id, key: new Uint8Array(32).fill(byte) });
const FIRST = keyOf('first', 1);
const SECOND = keyOf('second', 2);
const SECRET = 'precious-content';

logStoreConformance('SqliteLog', () => {
  const made = newFolder();
  return { make: () => inlineLog(made, { current: FIRST, older: [] }), remove: () => removeFolder(made) };
});

/** Without a thread, which takes its time to start. */
class InlineThread implements DiskThread {
  readonly #host: SqliteHost;
  #isEnded = false;

  constructor(folder: string, keys: DataKeys | undefined) {
    this.#host = new SqliteHost(folder, keys);
  }

  async ask(request: DiskRequest): Promise<unknown> {
    await settle();
    if (this.#isEnded) throw new Error('ended');
    return this.#host.handle(request);
  }

  async end(): Promise<void> {
    if (!this.#isEnded) await this.ask({ kind: 'close' });
    this.#isEnded = true;
  }
}

function inlineLog(at: string, keys?: DataKeys): SqliteLog {
  return new SqliteLog(
    at,
    () => keys,
    (...where) => new InlineThread(...where),
  );
}

let folder: string;
beforeEach(() => {
  folder = newFolder();
});
afterEach(() => removeFolder(folder));

const textOf = (entries: readonly LogEntry[]): string[] => entries.map(({ data }) => Buffer.from(data).toString());

async function withLog<T>(
  work: (log: SqliteLog, state: StoredState) => Promise<T>,
  keys?: DataKeys,
  at = folder,
): Promise<T> {
  const log = inlineLog(at, keys);
  const state = await log.open();
  try {
    return await work(log, state);
  } finally {
    await log.close();
  }
}
const reopen = (keys?: DataKeys, at = folder): Promise<StoredState> =>
  withLog((_log, state) => Promise.resolve(state), keys, at);

describe('SqliteLog', () => {
  it('is for its owner only, one that was not so before too', async () => {
    const modes = (): number[] => readdirSync(folder).map((name) => statSync(path.join(folder, name)).mode & 0o777);
    await withLog(async (log) => {
      await log.save({ entries: [entry(1, 1)] });
      expect(modes().length).toBeGreaterThan(1);
      expect(new Set(modes())).toEqual(new Set([0o600]));
    });
    chmodSync(path.join(folder, 'log.db'), 0o644);
    await reopen();
    expect(new Set(modes())).toEqual(new Set([0o600]));
  });

  it('keeps one snapshot file, or as many more as it is told to', async () => {
    const files = (): number => readdirSync(folder).filter((name) => name.startsWith('snapshot-')).length;
    await withLog(async (log) => {
      for (const index of [2, 3, 4]) await log.saveSnapshot(metaAt(index), chunksOf('s'), 0, 1);
      expect(files()).toBe(2);
      await log.saveSnapshot(metaAt(5), chunksOf('s'), 0, 0);
      expect(files()).toBe(1);
    });
  });

  it('fails every write after one that failed', async () => {
    await withLog(async (log) => {
      const unstorable = { ...entry(1, 1), index: Number.NaN };
      await expect(log.save({ entries: [unstorable] })).rejects.toThrow('cannot be written');
      await expect(log.save({ entries: [entry(1, 1)] })).rejects.toThrow('cannot be written');
    });
  });

  it('gives up what it began when it cannot be opened', async () => {
    writeFileSync(path.join(folder, 'log.db'), 'not a database at all'.repeat(100));
    const log = inlineLog(folder);
    await expect(log.open()).rejects.toThrow(CorruptLogError);
    await expect(log.save({ entries: [entry(1, 1)] })).rejects.toThrow('cannot be written');
  });
});

describe('SqliteLog in its thread', () => {
  it('gives back what was saved', async () => {
    const log = new SqliteLog(folder, () => ({ current: FIRST, older: [] }));
    await log.open();
    const writes = Promise.all([
      log.save({ entries: [entry(1, 1, 'a'.repeat(1_000_000))] }),
      log.save({ entries: [entry(2, 1, 'b')] }),
      log.saveSnapshot(metaAt(1), chunksOf('s'), 0, 0),
    ]);
    await writes;
    await log.close();
    const again = new SqliteLog(folder, () => ({ current: FIRST, older: [] }));
    expect((await again.open()).entries.map(({ data }) => data.length)).toEqual([1_000_000, 1]);
    await again.close();
  });

  it('names errors as they were thrown there, and leaves no thread behind', async () => {
    writeFileSync(path.join(folder, 'log.db'), 'not a database at all'.repeat(100));
    const log = new SqliteLog(folder);
    await expect(log.open()).rejects.toThrow(CorruptLogError);
    await expect(log.save({ entries: [entry(1, 1)] })).rejects.toThrow('cannot be written');
    await log.close();
  });
});

describe('damage', () => {
  it('a flipped byte of an entry is noticed, and named', async () => {
    await withLog((log) => log.save({ entries: [entry(1, 1, SECRET.repeat(20))] }));
    flip('log.db', SECRET);
    await expect(reopen()).rejects.toThrow(CorruptLogError);
    await expect(reopen()).rejects.toThrow('entry 1');
  });

  it('a flipped byte of a snapshot', async () => {
    await withLog((log) => log.saveSnapshot(metaAt(5), chunksOf(SECRET), 5, 0));
    flip(snapshotName(), SECRET);
    await expect(reopen()).rejects.toThrow('damaged');
  });

  it('a snapshot that is cut short', async () => {
    await withLog((log) => log.saveSnapshot(metaAt(5), chunksOf(SECRET), 5, 0));
    const file = path.join(folder, snapshotName());
    truncateSync(file, statSync(file).size - 20);
    await expect(reopen()).rejects.toThrow(CorruptLogError);
  });

  it('committed entries that are missing', async () => {
    await withLog((log) => log.save({ entries: [entry(1, 1)], hardState: { term: 1, vote: 0, commit: 5 } }));
    await expect(reopen()).rejects.toThrow('entry 5 was committed and is missing');
  });

  it('a gap behind the snapshot', async () => {
    await withLog((log) => log.save({ entries: [entry(7, 1)] }));
    await expect(reopen()).rejects.toThrow('entries 1 to 6 are missing');
  });

  it('another format', async () => {
    await reopen();
    execSql('PRAGMA user_version = 77');
    await expect(reopen()).rejects.toThrow('format 77');
  });
});

/** What a crash leaves: the files as they are while the log is open. */
describe('after a crash', () => {
  /** Copies of the folder after each of three acknowledged writes. */
  async function crashed(): Promise<string> {
    const copy = newFolder();
    await withLog(async (log) => {
      for (let index = 1; index <= 3; index++) await log.save({ entries: [entry(index, 1, `${SECRET}-${index}`)] });
      cpSync(folder, copy, { recursive: true });
    });
    return copy;
  }
  const logFile = (at: string): string => path.join(at, 'log.db-wal');

  it('everything acknowledged is there', async () => {
    const copy = await crashed();
    expect(textOf((await reopen(undefined, copy)).entries).length).toBe(3);
    removeFolder(copy);
  });

  it.each([{ bytes: 1 }, { bytes: 100 }, { bytes: 4096 }])(
    'a torn tail of $bytes bytes costs the last write only',
    async ({ bytes }) => {
      const copy = await crashed();
      truncateSync(logFile(copy), statSync(logFile(copy)).size - bytes);
      expect(textOf((await reopen(undefined, copy)).entries).length).toBe(2);
      removeFolder(copy);
    },
  );

  it('damage before acknowledged writes is no torn tail', async () => {
    const copy = await crashed();
    const file = logFile(copy);
    const bytes = readFileSync(file);
    // Into the first write: SQLite by itself would drop all three and say nothing.
    const at = bytes.indexOf(`${SECRET}-1`);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    await expect(reopen(undefined, copy)).rejects.toThrow(CorruptLogError);
    await expect(reopen(undefined, copy)).rejects.toThrow('lost');
    removeFolder(copy);
  });

  it("an interrupted install is finished: the leader's snapshot without the log's having given way", async () => {
    const old = newFolder();
    await withLog(
      (log) => log.save({ entries: [entry(1, 1), entry(2, 1)], hardState: { term: 1, vote: 0, commit: 1 } }),
      undefined,
      old,
    );
    await withLog(async (log) => log.save({ install: await stagedIn(log, metaAt(9, 4), 'leader') }));
    cpSync(path.join(folder, snapshotName()), path.join(old, snapshotName()));
    const state = await reopen(undefined, old);
    expect([state.snapshot?.meta.index, state.entries]).toEqual([9, []]);
    await withLog((log) => log.save({ entries: [entry(10, 4)] }), undefined, old);
    expect((await reopen(undefined, old)).entries.map(({ index }) => index)).toEqual([10]);
    removeFolder(old);
  });

  it('a newer snapshot of a leader takes the place of one that is still coming in; the log goes on', async () => {
    await withLog(async (log) => {
      const first = await log.stage(metaAt(9, 4));
      await first.write(Buffer.from('half'));
      const second = await log.stage(metaAt(9, 4));
      await expect(first.write(Buffer.from('more'))).rejects.toMatchObject({ code: 'aborted' });
      await expect(first.finish()).rejects.toMatchObject({ code: 'aborted' });
      await first.discard();
      for (const chunk of chunksOf('the', 'state')) await second.write(chunk);
      await second.finish();
      // One that is whole waits for its install whatever comes after it.
      const third = await log.stage(metaAt(12, 4));
      await log.save({ install: second, entries: [entry(10, 4)] });
      await third.discard();
    });
    const { snapshot, entries } = await reopen();
    expect([textsOf(snapshot?.chunks), entries.map(({ index }) => index)]).toEqual([['the', 'state'], [10]]);
    expect(readdirSync(folder).filter((name) => name.endsWith('.incoming'))).toEqual([]);
  });

  it('one that is coming in while the key changes is given up', async () => {
    const keys = { current: FIRST, older: [] };
    await withLog(async (log) => {
      const staged = await log.stage(metaAt(9, 4));
      await log.rotate({ current: SECOND, older: [FIRST] });
      await expect(staged.write(Buffer.from('more'))).rejects.toMatchObject({ code: 'aborted' });
      await log.save({ entries: [entry(1, 1)] });
    }, keys);
    expect(readdirSync(folder).filter((name) => name.includes('snapshot'))).toEqual([]);
  });

  it('what a crash leaves of one is removed', async () => {
    writeFileSync(path.join(folder, 'snapshot-0000000000000009-0000000000000009.3.incoming'), 'half');
    await reopen();
    expect(readdirSync(folder).filter((name) => name.endsWith('.incoming'))).toEqual([]);
  });

  it('one of a newer format is not read: the file and both formats are named', async () => {
    await withLog((log) => log.saveSnapshot(metaAt(5), chunksOf('good'), 0, 0));
    const file = path.join(folder, snapshotName());
    const bytes = readFileSync(file);
    const head = Buffer.from(
      bytes
        .subarray(8, 8 + bytes.readUInt32LE(0))
        .toString()
        .replace('"format":2', '"format":3'),
    );
    bytes.writeUInt32LE(crc32(head), 4);
    head.copy(bytes, 8);
    writeFileSync(file, bytes);
    await expect(reopen()).rejects.toThrow(`${file}: format 3 is not known, this version writes 2`);
  });

  it('a snapshot that was not finished is forgotten', async () => {
    await withLog((log) => log.saveSnapshot(metaAt(5), chunksOf('good'), 0, 0));
    writeFileSync(path.join(folder, 'snapshot-0000000000000009-0000000000000009.partial'), 'half');
    expect(textsOf((await reopen()).snapshot?.chunks)).toEqual(['good']);
    expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
  });
});

describe('encryption at rest', () => {
  const keys: DataKeys = { current: FIRST, older: [] };
  const allBytes = (): Buffer =>
    Buffer.concat(readdirSync(folder).map((name) => readFileSync(path.join(folder, name))));
  const fill = (log: SqliteLog): Promise<unknown> =>
    Promise.all([
      log.save({ entries: [entry(1, 1, SECRET), entry(2, 1, SECRET)] }),
      log.saveSnapshot(metaAt(1), chunksOf(SECRET), 0, 0),
    ]);

  it('hides entries and snapshots, also from who looks at the open files', async () => {
    await withLog(async (log) => {
      await fill(log);
      expect(allBytes().includes(SECRET)).toBe(false);
    }, keys);
    expect(allBytes().includes(SECRET)).toBe(false);
    const state = await reopen(keys);
    expect([textOf(state.entries), textsOf(state.snapshot?.chunks)]).toEqual([[SECRET, SECRET], [SECRET]]);
  });

  const wrong: { id: string; given: DataKeys | undefined; text: string }[] = [
    { id: 'no key', given: undefined, text: 'which was not given' },
    { id: 'a key of another name', given: { current: SECOND, older: [] }, text: '"first", which was not given' },
    { id: 'another key of the same name', given: { current: keyOf('first', 9), older: [] }, text: 'is not the one' },
    { id: 'half a key', given: { current: { id: 'first', key: new Uint8Array(16) }, older: [] }, text: '32 bytes' },
  ];
  it.each(wrong)('says so when it is given $id', async ({ given, text }) => {
    await withLog(fill, keys);
    await expect(reopen(given)).rejects.toThrow(LogKeyError);
    await expect(reopen(given)).rejects.toThrow(text);
  });

  it('calls damage damage', async () => {
    await withLog(fill, keys);
    const file = path.join(folder, snapshotName());
    const bytes = readFileSync(file);
    bytes[bytes.length - 40] = (bytes[bytes.length - 40] ?? 0) ^ 1;
    writeFileSync(file, bytes);
    await expect(reopen(keys)).rejects.toThrow(CorruptLogError);
  });

  it('an entry cannot stand in for another one', async () => {
    await withLog(fill, keys);
    // With a checksum that fits: only what is sealed can tell.
    execSql('UPDATE entries SET data = (SELECT data FROM entries WHERE at = 2), crc = NULL WHERE at = 1');
    await expect(reopen(keys)).rejects.toThrow(CorruptLogError);
  });

  it('goes over to a new key: new writes use it, old ones stay readable, the next snapshot frees the old key', async () => {
    const rotated: DataKeys = { current: SECOND, older: [FIRST] };
    await withLog(async (log) => {
      await fill(log);
      await log.rotate(rotated);
      await log.save({ entries: [entry(3, 1, 'new')] });
      expect([...(await log.keysInUse())].toSorted()).toEqual(['first', 'second']);
    }, keys);
    await expect(reopen({ current: SECOND, older: [] })).rejects.toThrow(LogKeyError);
    expect(textOf((await reopen(rotated)).entries)).toEqual([SECRET, SECRET, 'new']);
    await withLog(async (log) => {
      await log.saveSnapshot(metaAt(2), chunksOf(SECRET), 2, 0);
      expect(await log.keysInUse()).toEqual(['second']);
    }, rotated);
    const state = await reopen({ current: SECOND, older: [] });
    expect([textOf(state.entries), textsOf(state.snapshot?.chunks)]).toEqual([['new'], [SECRET]]);
  });

  it('takes over a log that was not encrypted', async () => {
    await withLog(fill);
    await withLog((log) => log.save({ entries: [entry(3, 1, 'sealed')] }), keys);
    expect(textOf((await reopen(keys)).entries)).toEqual([SECRET, SECRET, 'sealed']);
  });
});

/** @returns false where that is not allowed. */
function snapshotName(): string {
  return readdirSync(folder).find((each) => each.startsWith('snapshot-')) ?? '';
}

function execSql(sql: string): void {
  const script = `new (require('node:sqlite').DatabaseSync)(process.argv[1]).exec(process.argv[2])`;
  execFileSync(process.execPath, ['-e', script, path.join(folder, 'log.db'), sql], { stdio: 'pipe' });
}

function flip(name: string, marker: string): void {
  const file = path.join(folder, name);
  const bytes = readFileSync(file);
  const at = bytes.indexOf(marker);
  expect(at).toBeGreaterThan(0);
  bytes[at + 3] = (bytes[at + 3] ?? 0) ^ 0x20;
  writeFileSync(file, bytes);
}
