import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Configuration } from '../../../../../manager/raft/core/entry.ts';
import {
  committedIndex,
  isVoter,
  majorityIndex,
  majorityVote,
  membersOf,
  type VoteResult,
  voteResult,
} from '../../../../../manager/raft/core/quorum.ts';

const joint = (voters: number[], outgoing: number[]): Configuration => ({
  voters,
  outgoing,
  learners: [],
  learnersNext: [],
});
const votesOf = (votes: Record<number, boolean>): Map<number, boolean> =>
  new Map(Object.entries(votes).map(([id, vote]) => [Number(id), vote]));

describe('majorityIndex', () => {
  const cases: { id: string; acknowledged: number[]; expected: number }[] = [
    { id: 'nobody never binds', acknowledged: [], expected: Number.POSITIVE_INFINITY },
    { id: 'one', acknowledged: [7], expected: 7 },
    { id: 'both of two', acknowledged: [7, 3], expected: 3 },
    { id: 'two of three', acknowledged: [1, 9, 5], expected: 5 },
    { id: 'three of four', acknowledged: [9, 9, 2, 1], expected: 2 },
    { id: 'three of five', acknowledged: [9, 1, 8, 2, 7], expected: 7 },
  ];
  it.each(cases)('$id', ({ acknowledged, expected }) => {
    const ids = acknowledged.map((_, at) => at + 1);
    expect(majorityIndex(ids, (id) => acknowledged[id - 1] ?? 0)).toBe(expected);
  });

  const matches = fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 9 });
  test.prop([matches])('is the highest index that more than half have', (acknowledged) => {
    const ids = acknowledged.map((_, at) => at + 1);
    const has = (index: number): boolean => acknowledged.filter((each) => each >= index).length > ids.length / 2;
    const found = majorityIndex(ids, (id) => acknowledged[id - 1] ?? 0);
    expect(has(found)).toBe(true);
    expect(has(found + 1)).toBe(false);
  });
});

describe('majorityVote', () => {
  const cases: { id: string; voters: number[]; votes: Record<number, boolean>; expected: VoteResult }[] = [
    { id: 'no voters never bind', voters: [], votes: {}, expected: 'won' },
    { id: 'one, asked', voters: [1], votes: {}, expected: 'pending' },
    { id: 'half of four is not enough', voters: [1, 2, 3, 4], votes: { 1: true, 2: true }, expected: 'pending' },
    { id: 'half of four against is', voters: [1, 2, 3, 4], votes: { 1: false, 2: false }, expected: 'lost' },
    { id: 'three of four', voters: [1, 2, 3, 4], votes: { 1: true, 2: true, 3: true }, expected: 'won' },
    { id: 'strangers do not count', voters: [1, 2, 3], votes: { 1: true, 8: true, 9: true }, expected: 'pending' },
    { id: 'two refusals of three', voters: [1, 2, 3], votes: { 1: true, 2: false, 3: false }, expected: 'lost' },
  ];
  it.each(cases)('$id', ({ voters, votes, expected }) => {
    expect(majorityVote(voters, votesOf(votes))).toBe(expected);
  });

  const ballots = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
  const answers = fc.dictionary(fc.integer({ min: 1, max: 9 }).map(String), fc.boolean());
  test.prop([ballots, answers])('is won exactly when the missing votes cannot change it', (voters, given) => {
    const votes = votesOf(given);
    const open = voters.filter((id) => !votes.has(id));
    const completed = (vote: boolean): VoteResult =>
      majorityVote(voters, new Map([...votes, ...open.map((id) => [id, vote] as const)]));
    const result = majorityVote(voters, votes);
    expect(result === 'won').toBe(completed(false) === 'won');
    expect(result === 'lost').toBe(completed(true) === 'lost');
  });
});

describe('joint configurations (thesis 4.3)', () => {
  it('commit what both halves have', () => {
    const has: Record<number, number> = { 1: 9, 2: 9, 3: 1, 4: 4, 5: 4 };
    expect(committedIndex(joint([3, 4, 5], [1, 2, 3]), (id) => has[id] ?? 0)).toBe(4);
  });

  const cases: { id: string; votes: Record<number, boolean>; expected: VoteResult }[] = [
    { id: 'the new half alone', votes: { 4: true, 5: true }, expected: 'pending' },
    { id: 'the old half alone', votes: { 1: true, 2: true }, expected: 'pending' },
    { id: 'both', votes: { 1: true, 2: true, 4: true, 5: true }, expected: 'won' },
    { id: 'one that is in both counts twice', votes: { 3: true, 1: true, 4: true }, expected: 'won' },
    { id: 'one half lost is all lost', votes: { 1: false, 2: false, 4: true, 5: true }, expected: 'lost' },
  ];
  it.each(cases)('$id', ({ votes, expected }) => {
    expect(voteResult(joint([3, 4, 5], [1, 2, 3]), votesOf(votes))).toBe(expected);
  });

  it('know voters of either half, and everybody who gets the log', () => {
    const configuration = { voters: [3], outgoing: [1], learners: [5], learnersNext: [1] };
    expect([1, 3, 5].map((id) => isVoter(configuration, id))).toEqual([true, true, false]);
    expect(membersOf(configuration)).toEqual([1, 3, 5]);
  });
});
