import { describe, expect, test } from 'vitest';
import { fc, test as property } from '@fast-check/vitest';
import {
  formatBytes,
  formatDuration,
  formatTime,
  humanDuration,
  parseBytes,
  parseDuration,
} from '../../../../cli/format/units.ts';

describe('durations', () => {
  test.each([
    { id: 'zero', text: '0', ns: 0 },
    { id: 'mixed', text: '1h15m30.5s', ns: 4530.5e9 },
    { id: 'milliseconds', text: '300ms', ns: 3e8 },
  ])('parses $id', ({ text, ns }) => expect(parseDuration(text)).toBe(ns));
  test.each(['', 'x', '5', '5 s', '1sx', 's'])('refuses %j', (text) => expect(() => parseDuration(text)).toThrow());
  property.prop([fc.integer({ min: 0, max: 1e6 })])('what is printed is read back', (seconds) => {
    expect(parseDuration(formatDuration(seconds * 1e9))).toBe(seconds * 1e9);
  });
  test.each([
    { id: '0.5 s', ms: 500, text: 'Less than a second' },
    { id: '1 s', ms: 1000, text: '1 second' },
    { id: '59 s', ms: 59_999, text: '59 seconds' },
    { id: '1 min', ms: 60_000, text: 'About a minute' },
    { id: '59 min', ms: 59 * 60_000, text: '59 minutes' },
    { id: '1 h', ms: 3600_000, text: 'About an hour' },
    { id: '2 days', ms: 48 * 3600_000, text: '2 days' },
    { id: '2 weeks', ms: 14 * 24 * 3600_000, text: '2 weeks' },
  ])('$id ago', ({ ms, text }) => expect(humanDuration(ms)).toBe(text));
});

test.each([
  { id: 'trailing zeros', time: '2026-11-20T17:27:26.400000000Z', text: '2026-11-20 17:27:26.4 +0000 UTC' },
  { id: 'whole second', time: '2026-11-20T17:27:20.000Z', text: '2026-11-20 17:27:20 +0000 UTC' },
  { id: 'no fraction', time: '2026-11-20T17:27:20Z', text: '2026-11-20 17:27:20 +0000 UTC' },
  { id: 'nanoseconds', time: '2026-11-20T17:27:20.226546416Z', text: '2026-11-20 17:27:20.226546416 +0000 UTC' },
])('time: $id', ({ time, text }) => expect(formatTime(time)).toBe(text));

describe('sizes', () => {
  test.each([
    { text: '64m', bytes: 64 * 2 ** 20 },
    { text: '1gb', bytes: 2 ** 30 },
    { text: '1.5GiB', bytes: 1.5 * 2 ** 30 },
    { text: '100', bytes: 100 },
  ])('$text', ({ text, bytes }) => expect(parseBytes(text)).toBe(bytes));
  test.each(['', 'x', '-1', '1x', '1 2'])('refuses %j', (text) => expect(() => parseBytes(text)).toThrow());
  test('printed with four digits', () => expect(formatBytes(3_972_124_672)).toBe('3.699GiB'));
});
