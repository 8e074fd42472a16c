import { describe, expect, it } from 'vitest';
import type { LogEntry, SnapshotMeta } from '../../../../../manager/raft/core/entry.ts';
import type { LogStore, StagedSnapshot, StoredState } from '../../../../../manager/raft/log/log-store.ts';
import { configurationOf, entry } from '../core/core-fixture.ts';

export interface LogStoreFixture {
  /** A store on the same disk, as after a restart. */
  make(): LogStore;
  remove(): void;
}

export const metaAt = (index: number, term = 1): SnapshotMeta => ({
  index,
  term,
  configuration: configurationOf([1, 2]),
});
export const chunksOf = (...texts: string[]): Uint8Array[] => texts.map((text) => Buffer.from(text));
export const textsOf = (chunks: readonly Uint8Array[] | undefined): string[] | undefined =>
  chunks?.map((chunk) => Buffer.from(chunk).toString());

/** A leader's snapshot that has come in whole. */
export async function stagedIn(log: LogStore, meta: SnapshotMeta, ...texts: string[]): Promise<StagedSnapshot> {
  const staged = await log.stage(meta);
  for (const chunk of chunksOf(...texts)) await staged.write(chunk);
  await staged.finish();
  return staged;
}

/** What every LogStore must do. */
export function logStoreConformance(name: string, prepare: () => LogStoreFixture): void {
  /** Runs `write` on a store and gives what the next one finds. */
  const after = async (...writes: ((log: LogStore) => Promise<unknown>)[]): Promise<StoredState> => {
    const fixture = prepare();
    try {
      for (const write of writes) {
        const log = fixture.make();
        await log.open();
        await write(log);
        await log.close();
      }
      const log = fixture.make();
      try {
        return await log.open();
      } finally {
        await log.close();
      }
    } finally {
      fixture.remove();
    }
  };
  const brief = (entries: readonly LogEntry[]): string[] =>
    entries.map(({ index, term, data }) => `${index}/${term}=${Buffer.from(data).toString()}`);
  const entries = (from: number, to: number, term = 1): LogEntry[] =>
    Array.from({ length: to - from + 1 }, (_, at) => entry(from + at, term, 'x'));

  describe(`${name}: LogStore conformance`, () => {
    it('is empty at first', async () => {
      expect(await after()).toEqual({
        hardState: { term: 0, vote: 0, commit: 0 },
        entries: [],
        snapshot: undefined,
      });
    });

    it('gives back what was saved, in order', async () => {
      const state = await after((log) =>
        Promise.all([
          log.save({ entries: [entry(1, 1, 'a'), entry(2, 1, 'b')], hardState: { term: 1, vote: 7, commit: 0 } }),
          log.save({ entries: [entry(3, 1, 'c')] }),
          log.save({ hardState: { term: 2, vote: 0, commit: 2 } }),
        ]),
      );
      expect(brief(state.entries)).toEqual(['1/1=a', '2/1=b', '3/1=c']);
      expect(state.hardState).toEqual({ term: 2, vote: 0, commit: 2 });
    });

    it('keeps types and bytes as they are', async () => {
      const bytes = Uint8Array.from({ length: 1000 }, (_, at) => at % 256);
      const given: LogEntry[] = [
        { index: 1, term: 1, type: 'conf-change', data: bytes },
        { index: 2, term: 2 ** 40, type: 'normal', data: new Uint8Array() },
      ];
      const state = await after((log) => log.save({ entries: given }));
      expect(state.entries.map(({ data, ...rest }) => ({ ...rest, data: [...data] }))).toEqual(
        given.map(({ data, ...rest }) => ({ ...rest, data: [...data] })),
      );
    });

    it('replaces the suffix from the first given entry on', async () => {
      const state = await after(
        (log) => log.save({ entries: entries(1, 3) }),
        (log) => log.save({ entries: [entry(2, 2, 'B')] }),
      );
      expect(brief(state.entries)).toEqual(['1/1=x', '2/2=B']);
    });

    it('an own snapshot lets the entries before it go, as far as is asked', async () => {
      const state = await after((log) =>
        Promise.all([
          log.save({ entries: entries(1, 6) }),
          log.saveSnapshot(metaAt(4), chunksOf('s', '4'), 2, 0),
          log.save({ entries: entries(7, 8) }),
        ]),
      );
      expect(state.snapshot?.meta).toEqual(metaAt(4));
      expect(textsOf(state.snapshot?.chunks)).toEqual(['s', '4']);
      expect(state.entries.map(({ index }) => index)).toEqual([3, 4, 5, 6, 7, 8]);
    });

    it('of several snapshots the newest is found', async () => {
      const state = await after(
        (log) => log.saveSnapshot(metaAt(9, 2), chunksOf('old'), 0, 1),
        (log) => log.saveSnapshot(metaAt(12, 3), chunksOf('new'), 0, 1),
      );
      expect(textsOf(state.snapshot?.chunks)).toEqual(['new']);
    });

    it('a snapshot may be empty', async () => {
      const state = await after((log) => log.saveSnapshot(metaAt(9), [], 0, 0));
      expect(state.snapshot).toEqual({ meta: metaAt(9), chunks: [] });
    });

    it("a leader's snapshot takes the place of the whole log; what is written behind it stays", async () => {
      const state = await after(
        (log) => log.save({ entries: entries(1, 9), hardState: { term: 1, vote: 1, commit: 3 } }),
        async (log) => {
          const install = await stagedIn(log, metaAt(20, 5), 'leader');
          await Promise.all([
            log.save({
              install,
              hardState: { term: 5, vote: 0, commit: 20 },
              entries: [entry(21, 5, 'x')],
            }),
            log.save({ entries: [entry(22, 5, 'y')] }),
          ]);
        },
      );
      expect(state.hardState).toEqual({ term: 5, vote: 0, commit: 20 });
      expect(textsOf(state.snapshot?.chunks)).toEqual(['leader']);
      expect(brief(state.entries)).toEqual(['21/5=x', '22/5=y']);
    });

    it('an own snapshot under way does not undo an install', async () => {
      const state = await after(async (log) => {
        const install = await stagedIn(log, metaAt(20, 5), 'leader');
        await Promise.all([
          log.save({ entries: entries(1, 9) }),
          log.saveSnapshot(metaAt(8), chunksOf('own'), 8, 0),
          log.save({ install, entries: [entry(21, 5, 'x')] }),
        ]);
      });
      expect(textsOf(state.snapshot?.chunks)).toEqual(['leader']);
      expect(brief(state.entries)).toEqual(['21/5=x']);
    });

    it("a leader's snapshot that is not installed leaves nothing", async () => {
      const state = await after(
        (log) => log.save({ entries: entries(1, 2) }),
        (log) => stagedIn(log, metaAt(20, 5), 'leader'),
        async (log) => (await stagedIn(log, metaAt(20, 5), 'leader')).discard(),
        async (log) => (await log.stage(metaAt(20, 5))).write(Buffer.from('half')),
      );
      expect(state.snapshot).toBeUndefined();
      expect(brief(state.entries)).toEqual(['1/1=x', '2/1=x']);
    });

    it('ends what was begun when it is closed, and refuses the rest', async () => {
      const fixture = prepare();
      const log = fixture.make();
      await log.open();
      const saved = log.save({ entries: entries(1, 2) });
      await log.close();
      await expect(saved).resolves.toBeUndefined();
      await expect(log.save({ entries: entries(3, 3) })).rejects.toThrow();
      await log.close();
      fixture.remove();
    });
  });
}
