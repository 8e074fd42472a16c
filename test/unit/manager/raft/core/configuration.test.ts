import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import {
  changeConfiguration,
  type ConfigurationChange,
  ConfigurationError,
  type MemberChange,
} from '../../../../../manager/raft/core/configuration.ts';
import { ConfigurationHistory } from '../../../../../manager/raft/core/configuration-history.ts';
import type { Configuration } from '../../../../../manager/raft/core/entry.ts';
import { isJoint } from '../../../../../manager/raft/core/quorum.ts';
import { changeEntry, configurationOf, entry } from './core-fixture.ts';

const of = (voters: number[], more: Partial<Configuration> = {}): Configuration => ({
  ...configurationOf(voters),
  ...more,
});
const add = (id: number): MemberChange => ({ kind: 'add-voter', id });
const learn = (id: number): MemberChange => ({ kind: 'add-learner', id });
const remove = (id: number): MemberChange => ({ kind: 'remove', id });

const cases: { id: string; from: Configuration; changes: MemberChange[]; to: Configuration }[] = [
  { id: 'one voter more', from: of([1, 3]), changes: [add(2)], to: of([1, 2, 3]) },
  { id: 'one less', from: of([1, 2, 3]), changes: [remove(2)], to: of([1, 3]) },
  { id: 'a learner', from: of([1]), changes: [learn(2)], to: of([1], { learners: [2] }) },
  {
    id: 'many learners need no joint one',
    from: of([1]),
    changes: [learn(3), learn(2)],
    to: of([1], { learners: [2, 3] }),
  },
  { id: 'a learner promoted', from: of([1], { learners: [2] }), changes: [add(2)], to: of([1, 2]) },
  { id: 'a voter demoted', from: of([1, 2]), changes: [learn(2)], to: of([1], { learners: [2] }) },
  { id: 'nobody knows the removed one', from: of([1]), changes: [remove(9)], to: of([1]) },
  { id: 'two voters more', from: of([1]), changes: [add(2), add(3)], to: of([1, 2, 3], { outgoing: [1] }) },
  { id: 'one for another', from: of([1, 2]), changes: [remove(2), add(3)], to: of([1, 3], { outgoing: [1, 2] }) },
  {
    id: 'a demotion within several',
    from: of([1, 2]),
    changes: [learn(2), add(3)],
    to: of([1, 3], { outgoing: [1, 2], learnersNext: [2] }),
  },
  {
    id: 'leaving',
    from: of([1, 3], { outgoing: [1, 2], learners: [4], learnersNext: [2] }),
    changes: [],
    to: of([1, 3], { learners: [2, 4] }),
  },
];

describe('changeConfiguration (thesis 4.1, 4.3)', () => {
  it.each(cases)('$id', ({ from, changes, to }) => {
    expect(changeConfiguration(from, { changes })).toEqual(to);
  });

  const refused: { id: string; from: Configuration; changes: MemberChange[]; text: string }[] = [
    { id: 'the last voter', from: of([1]), changes: [remove(1)], text: 'last voter' },
    { id: 'the last voter demoted', from: of([1], { learners: [2] }), changes: [learn(1)], text: 'last voter' },
    { id: 'while joint', from: of([1], { outgoing: [2] }), changes: [add(3)], text: 'joint already' },
    { id: 'leaving what is not joint', from: of([1]), changes: [], text: 'not joint' },
    { id: 'no ID', from: of([1]), changes: [add(0)], text: 'no Raft ID' },
    { id: 'half an ID', from: of([1]), changes: [add(1.5)], text: 'no Raft ID' },
  ];
  it.each(refused)('refuses $id', ({ from, changes, text }) => {
    expect(() => changeConfiguration(from, { changes })).toThrow(ConfigurationError);
    expect(() => changeConfiguration(from, { changes })).toThrow(text);
  });

  const ids = fc.integer({ min: 1, max: 6 });
  const changes = fc.array(fc.record({ kind: fc.constantFrom('add-voter', 'add-learner', 'remove'), id: ids }), {
    minLength: 1,
    maxLength: 4,
  });
  test.prop([fc.array(changes, { maxLength: 12 })], { numRuns: 500 })(
    'majorities before and after overlap, members are one thing only',
    (list) => {
      let now = of([1, 2, 3]);
      for (const each of list) {
        const next = tryChange(now, { changes: each as MemberChange[] });
        if (next === undefined) continue;
        if (!isJoint(next)) expect(difference(now.voters, next.voters)).toBeLessThanOrEqual(1);
        else expect(next.outgoing).toEqual(now.voters);
        now = isJoint(next) ? changeConfiguration(next, { changes: [] }) : next;
        expect(now.voters.filter((id) => now.learners.includes(id))).toEqual([]);
        expect(now.voters).toEqual([...new Set(now.voters)].toSorted((a, b) => a - b));
        expect(now.voters).not.toEqual([]);
      }
    },
  );
});

describe('ConfigurationHistory', () => {
  const history = (): ConfigurationHistory => {
    const made = new ConfigurationHistory(3, of([1]));
    made.append(entry(4, 1));
    made.append(changeEntry(5, 1, { changes: [learn(2)] }));
    made.append(changeEntry(7, 2, { changes: [add(2)] }));
    return made;
  };

  it('goes by the latest', () => {
    expect(history().latest).toEqual(of([1, 2]));
    expect(history().latestIndex).toBe(7);
  });

  it.each([
    { index: 4, expected: of([1]) },
    { index: 5, expected: of([1], { learners: [2] }) },
    { index: 6, expected: of([1], { learners: [2] }) },
    { index: 9, expected: of([1, 2]) },
  ])('knows what it was at $index', ({ index, expected }) => {
    expect(history().at(index)).toEqual(expected);
  });

  it('falls back when a change is replaced (thesis 4.1)', () => {
    const made = history();
    made.truncateFrom(6);
    expect(made.latest).toEqual(of([1], { learners: [2] }));
    made.truncateFrom(4);
    expect(made.latest).toEqual(of([1]));
  });

  it('keeps what still counts when the log is compacted', () => {
    const made = history();
    made.compact(6);
    expect(made.at(6)).toEqual(of([1], { learners: [2] }));
    expect(made.latest).toEqual(of([1, 2]));
    made.compact(50);
    expect(made.latest).toEqual(of([1, 2]));
  });
});

function tryChange(now: Configuration, change: ConfigurationChange): Configuration | undefined {
  try {
    return changeConfiguration(now, change);
  } catch (error) {
    if (error instanceof ConfigurationError) return undefined;
    throw error;
  }
}

function difference(a: readonly number[], b: readonly number[]): number {
  return new Set([...a.filter((id) => !b.includes(id)), ...b.filter((id) => !a.includes(id))]).size;
}
