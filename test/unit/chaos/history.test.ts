import { describe, expect, it } from 'vitest';
import { systemClock } from '../../../proto/runtime/clock.ts';
import type { Command, Result } from '../../chaos/config-register.ts';
import { History, type Outcome } from '../../chaos/history.ts';

/** The chaos test finds what it is there for: histories that three managers must not give, and some that they may. */

const create = (value: string): Command => ({ kind: 'create', value });
const update = (expected: string, value: string): Command => ({ kind: 'update', expected, value });
const remove: Command = { kind: 'remove' };
const read: Command = { kind: 'read' };
const unknown: Outcome = { kind: 'unknown' };
const failed: Outcome = { kind: 'failed' };
const done = (result: Result): Outcome => ({ kind: 'done', result });

type Steps = readonly (readonly [Command, Outcome])[];

const registers: { id: string; steps: Steps; sound: boolean }[] = [
  {
    id: 'create, read, update, read',
    steps: [
      [create('a'), done('ok')],
      [update('a', 'b'), done('ok')],
      [read, done('=b')],
    ],
    sound: true,
  },
  {
    id: 'an acknowledged create is lost',
    steps: [
      [create('a'), done('ok')],
      [read, done('missing')],
    ],
    sound: false,
  },
  {
    id: 'an acknowledged update is lost',
    steps: [
      [create('a'), done('ok')],
      [update('a', 'b'), done('ok')],
      [read, done('=a')],
    ],
    sound: false,
  },
  {
    id: 'an acknowledged removal is lost',
    steps: [
      [create('a'), done('ok')],
      [remove, done('ok')],
      [read, done('=a')],
    ],
    sound: false,
  },
  {
    id: 'a failed create is there',
    steps: [
      [create('a'), failed],
      [read, done('=a')],
    ],
    sound: false,
  },
  {
    id: 'an unknown create is there',
    steps: [
      [create('a'), unknown],
      [read, done('=a')],
    ],
    sound: true,
  },
  {
    id: 'an unknown create is not there',
    steps: [
      [create('a'), unknown],
      [read, done('missing')],
    ],
    sound: true,
  },
  {
    id: 'a create is made, and refused for what it made itself',
    steps: [
      [create('a'), done('exists')],
      [read, done('=a')],
    ],
    sound: false,
  },
  {
    id: 'an update is made, and refused for what it made itself',
    steps: [
      [create('a'), done('ok')],
      [update('a', 'b'), done('stale')],
      [read, done('=b')],
    ],
    sound: false,
  },
  {
    id: 'a removal is made, and answered as of what is gone',
    steps: [
      [create('a'), done('ok')],
      [remove, done('missing')],
    ],
    sound: false,
  },
  {
    id: 'two updates of one version',
    steps: [
      [create('a'), done('ok')],
      [update('a', 'b'), done('ok')],
      [update('a', 'c'), done('ok')],
    ],
    sound: false,
  },
  {
    id: 'an unknown create comes back after its removal',
    steps: [
      [create('a'), unknown],
      [read, done('=a')],
      [remove, done('ok')],
      [read, done('=a')],
    ],
    sound: false,
  },
];

describe('History', () => {
  it.each(registers)('$id', ({ steps, sound }) => {
    const history = new History();
    for (const [command, outcome] of steps) history.begin('key', command)(outcome);
    expect(history.violations([])).toHaveLength(sound ? 0 : 1);
  });

  const members: { id: string; outcome: Outcome; present: string[]; says?: string }[] = [
    { id: 'acknowledged and there', outcome: done('ok'), present: ['m'] },
    { id: 'acknowledged and lost', outcome: done('ok'), present: [], says: 'is lost' },
    { id: 'acknowledged and there twice', outcome: done('ok'), present: ['m', 'm'], says: 'more than once' },
    { id: 'failed and there', outcome: failed, present: ['m'], says: 'was said to have failed' },
    { id: 'failed and not there', outcome: failed, present: [] },
    { id: 'unknown and there', outcome: unknown, present: ['m'] },
    { id: 'unknown and not there', outcome: unknown, present: [] },
    {
      id: 'refused for a name that nobody else uses',
      outcome: done('exists'),
      present: ['m'],
      says: 'answered "exists"',
    },
  ];
  it.each(members)('a member that is $id', ({ outcome, present, says }) => {
    const history = new History();
    history.beginMember('m')(outcome);
    const expected = says === undefined ? [] : [expect.stringContaining(says)];
    expect(history.violations(present)).toEqual(expected);
  });

  it('gives out what says something, in one count of moments', () => {
    const history = new History();
    const first = history.begin('key', create('a'));
    const second = history.begin('key', read);
    second(done('missing'));
    first(done('ok'));
    history.begin('key', update('a', 'b'))(unknown);
    history.begin('key', read)(unknown);
    history.begin('key', remove)(failed);
    history.beginMember('m')(done('ok'));
    history.beginMember('n')(unknown);
    history.beginMember('o')(failed);
    const end = (key: string, call: number, result: Result): object => ({
      key,
      call,
      command: read,
      outcome: { at: call + 1, result },
    });
    expect([...history.operations(['m'])]).toEqual([
      { key: 'key', call: 1, command: create('a'), outcome: { at: 4, result: 'ok' } },
      { key: 'key', call: 2, command: read, outcome: { at: 3, result: 'missing' } },
      { key: 'key', call: 5, command: update('a', 'b') },
      { key: 'm', call: 8, command: create('m'), outcome: { at: 9, result: 'ok' } },
      end('m', 14, '=m'),
      { key: 'n', call: 10, command: create('n') },
      end('n', 16, 'missing'),
      end('o', 18, 'missing'),
    ]);
  });

  it('a value that is seen in two versions was written twice', () => {
    const history = new History();
    history.saw('key', { id: 'x', version: 5, value: 'a' });
    history.saw('key', { id: 'x', version: 5, value: 'a' });
    expect(history.violations([])).toEqual([]);
    history.saw('key', { id: 'x', version: 9, value: 'a' });
    expect(history.violations([])).toEqual([expect.stringContaining('became')]);
  });

  it('judges a register with many unknown writes in no time', () => {
    const history = new History();
    history.begin('key', create('0'))(done('ok'));
    for (let at = 0; at < 30; at++) history.begin('key', update('never', `lost-${at}`))(unknown);
    for (let at = 0; at < 30; at++) {
      history.begin('key', update(String(at), String(at + 1)))(at % 3 === 0 ? unknown : done('ok'));
      history.begin('key', read)(done(`=${at + 1}`));
    }
    const began = systemClock.monotonic();
    history.begin('key', read)(done('=0'));
    expect(history.violations([])).toHaveLength(1);
    expect(systemClock.monotonic() - began).toBeLessThan(5_000);
  });
});
