import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { RaftLog } from '../../../../../manager/raft/core/raft-log.ts';
import { configurationOf, entry } from './core-fixture.ts';

const CONFIGURATION = configurationOf([1]);
/** Entries 1.. with these terms, all on the disk. */
const logOf = (...terms: number[]): RaftLog =>
  new RaftLog(
    undefined,
    terms.map((term, at) => entry(at + 1, term)),
    0,
  );
const termsOf = (log: RaftLog): (number | undefined)[] =>
  Array.from({ length: log.lastIndex - log.firstIndex + 1 }, (_, at) => log.termAt(log.firstIndex + at));

describe('RaftLog.tryAppend (paper, figure 2, receiver 2-5)', () => {
  const cases: {
    id: string;
    log: number[];
    previous: [number, number];
    terms: number[];
    matched: number | undefined;
    then: number[];
  }[] = [
    { id: 'to an empty log', log: [], previous: [0, 0], terms: [1, 1], matched: 2, then: [1, 1] },
    { id: 'at the end', log: [1], previous: [1, 1], terms: [1], matched: 2, then: [1, 1] },
    { id: 'nothing, as a heartbeat', log: [1, 1], previous: [1, 1], terms: [], matched: 1, then: [1, 1] },
    { id: 'what is there already', log: [1, 1, 2], previous: [0, 0], terms: [1, 1], matched: 2, then: [1, 1, 2] },
    { id: 'a conflict', log: [1, 1, 1], previous: [1, 1], terms: [2], matched: 2, then: [1, 2] },
    {
      id: 'a conflict further on',
      log: [1, 1, 1],
      previous: [0, 0],
      terms: [1, 1, 3, 3],
      matched: 4,
      then: [1, 1, 3, 3],
    },
    { id: 'after a gap', log: [1], previous: [2, 1], terms: [1], matched: undefined, then: [1] },
    {
      id: 'after an entry of another term',
      log: [1, 1],
      previous: [2, 2],
      terms: [2],
      matched: undefined,
      then: [1, 1],
    },
  ];
  it.each(cases)('$id', ({ log: terms, previous: [index, term], terms: added, matched, then }) => {
    const log = logOf(...terms);
    const entries = added.map((each, at) => entry(index + 1 + at, each));
    expect(log.tryAppend(index, term, entries)).toBe(matched);
    expect(termsOf(log)).toEqual(then);
  });

  it('never replaces what is committed', () => {
    const log = logOf(1, 1);
    log.commitTo(2);
    expect(() => log.tryAppend(1, 1, [entry(2, 2)])).toThrow('committed');
  });

  const terms = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 8 }).map((steps) => {
    let term = 1;
    return steps.map((step) => (term += step));
  });
  test.prop([terms, terms, fc.nat({ max: 8 })])(
    'makes the logs equal up to what it says that matches',
    (mine, theirs, from) => {
      const log = logOf(...mine);
      const leader = logOf(...theirs);
      const start = Math.min(from, theirs.length);
      const entries = leader.slice(start + 1, Number.POSITIVE_INFINITY) ?? [];
      const before = termsOf(log);
      const matched = log.tryAppend(start, leader.termAt(start) ?? 0, entries);
      if (matched === undefined) {
        expect(termsOf(log)).toEqual(before);
        expect(log.termAt(start)).not.toBe(leader.termAt(start));
        return;
      }
      for (let index = start + 1; index <= matched; index++) expect(log.termAt(index)).toBe(leader.termAt(index));
      // Only a conflict may cost entries.
      const isConflict = entries.some((each) => each.index <= before.length && before[each.index - 1] !== each.term);
      if (!isConflict) expect(log.lastIndex).toBe(Math.max(before.length, matched));
    },
  );
});

describe('RaftLog.findConflict (paper 5.3, end: a term a round)', () => {
  const cases: { id: string; log: number[]; index: number; term: number; expected: [number, number] }[] = [
    { id: 'at once where the term is low enough', log: [1, 1, 2], index: 3, term: 2, expected: [3, 2] },
    { id: 'skips a whole term', log: [1, 1, 4, 4, 4], index: 5, term: 3, expected: [2, 1] },
    { id: 'beyond the end begins at the end', log: [1, 2], index: 9, term: 5, expected: [2, 2] },
    { id: 'down to nothing', log: [3, 3], index: 2, term: 2, expected: [0, 0] },
  ];
  it.each(cases)('$id', ({ log, index, term, expected }) => {
    expect(Object.values(logOf(...log).findConflict(index, term))).toEqual(expected);
  });
});

describe('RaftLog.isUpToDate (paper 5.4.1)', () => {
  it.each([
    { id: 'a later term, though shorter', last: [1, 3], expected: true },
    { id: 'the same', last: [3, 2], expected: true },
    { id: 'longer', last: [4, 2], expected: true },
    { id: 'shorter', last: [2, 2], expected: false },
    { id: 'longer, of an earlier term', last: [9, 1], expected: false },
  ])('$id', ({ last: [index = 0, term = 0], expected }) => {
    expect(logOf(1, 1, 2).isUpToDate(index, term)).toBe(expected);
  });
});

describe('RaftLog and the disk', () => {
  it('hands each entry out once, and what took its place again', () => {
    const log = logOf(1);
    log.append([entry(2, 1), entry(3, 1)]);
    expect(log.takeUnstable().map((each) => each.index)).toEqual([2, 3]);
    expect(log.takeUnstable()).toEqual([]);
    log.tryAppend(1, 1, [entry(2, 2)]);
    expect(log.takeUnstable()).toEqual([entry(2, 2)]);
  });

  it('does not take a late report for what took the place of the entries', () => {
    const log = logOf(1);
    log.append([entry(2, 1), entry(3, 1)]);
    log.takeUnstable();
    const { epoch } = log;
    log.tryAppend(1, 1, [entry(2, 2)]);
    // The same entries again: only their own write may count.
    log.tryAppend(1, 1, [entry(2, 1), entry(3, 1)]);
    log.stableTo(3, epoch);
    expect(log.stable).toBe(1);
    log.takeUnstable();
    log.stableTo(3, log.epoch);
    expect(log.stable).toBe(3);
  });

  it('applies what is committed and on the own disk, once', () => {
    const log = logOf(1);
    log.append([entry(2, 1), entry(3, 1)]);
    log.takeUnstable();
    log.commitTo(3);
    expect(log.takeCommitted().map((each) => each.index)).toEqual([1]);
    log.stableTo(2, log.epoch);
    expect(log.takeCommitted().map((each) => each.index)).toEqual([2]);
    expect(log.takeCommitted()).toEqual([]);
  });

  it('notices that committed entries are gone', () => {
    expect(() => logOf(1).commitTo(2)).toThrow('lost');
  });
});

describe('RaftLog and snapshots', () => {
  const snapshot = { index: 3, term: 2, configuration: CONFIGURATION };

  it('keeps entries before the snapshot for slow followers', () => {
    const log = new RaftLog(snapshot, [entry(2, 1), entry(3, 2), entry(4, 2)], 4);
    expect([log.firstIndex, log.lastIndex, log.committed, log.applied]).toEqual([3, 4, 4, 3]);
    expect([1, 2, 3, 4, 5].map((index) => log.termAt(index))).toEqual([undefined, 1, 2, 2, undefined]);
    expect(log.slice(2, 100)).toBeUndefined();
    expect(log.slice(3, 1)).toEqual([entry(3, 2)]);
  });

  it.each([
    { id: 'do not reach it', entries: [entry(1, 1), entry(2, 1)] },
    { id: 'are of another history', entries: [entry(2, 1), entry(3, 1), entry(4, 1)] },
    { id: 'leave a gap', entries: [entry(5, 2)] },
  ])('refuses entries that $id', ({ entries }) => {
    expect(() => new RaftLog(snapshot, entries, 3)).toThrow();
  });

  it('gives way to a snapshot', () => {
    const log = logOf(1, 1, 1, 1);
    log.restore(snapshot);
    expect([log.firstIndex, log.lastIndex, log.lastTerm, log.committed, log.applied, log.stable]).toEqual([
      4, 3, 2, 3, 3, 3,
    ]);
    expect(log.configuration).toEqual(CONFIGURATION);
  });

  it('forgets only what is applied', () => {
    const log = logOf(1, 1, 2);
    log.commitTo(2);
    expect(() => log.compact(2)).toThrow('applied');
    log.takeCommitted();
    log.compact(2);
    expect([log.firstIndex, log.termAt(2), log.termAt(1)]).toEqual([3, 1, undefined]);
  });

  it('counts small entries too where bytes are limited', () => {
    const log = logOf();
    log.append(Array.from({ length: 100 }, (_, at) => entry(at + 1, 1, '')));
    expect(log.slice(1, 1)?.length).toBe(1);
    expect(log.slice(1, 320)?.length).toBe(10);
  });
});
