import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { BatchErrors } from '../../../../../worker/network/system/batch-errors.ts';

/** As iproute2 6.1 wrote it for three lines, the first and third failing, and the acknowledgement. */
const RECORDED = [
  'Cannot find device "nope"',
  'Command failed -:1',
  'Error: ipv4: Address already assigned.',
  'Command failed -:3',
  'Object "waggle-done" is unknown, try "ip help".',
  'Command failed -:4',
  '',
].join('\n');

const FAILURES = [
  { index: 0, message: 'Cannot find device "nope"' },
  { index: 2, message: 'Error: ipv4: Address already assigned.' },
];

describe('BatchErrors', () => {
  it('attributes words to lines, over several chunks of one process', () => {
    const errors = new BatchErrors();
    errors.expect(3);
    expect(errors.push(RECORDED)).toEqual(FAILURES);
    errors.expect(2);
    expect(errors.push('RTNETLINK answers: File exists\nCommand failed -:6\nCommand failed -:7\n')).toEqual([
      { index: 1, message: 'RTNETLINK answers: File exists' },
    ]);
    errors.expect(1);
    expect(errors.push('Object "waggle-done" is unknown, try "ip help".\nCommand failed -:9\n')).toEqual([]);
  });

  test.prop([fc.array(fc.nat(RECORDED.length), { maxLength: 6 })])(
    'does not depend on how the text arrives',
    (cuts) => {
      const errors = new BatchErrors();
      errors.expect(3);
      const places = [0, ...cuts.toSorted((a, b) => a - b), RECORDED.length];
      const answers = places.slice(1).map((end, index) => errors.push(RECORDED.slice(places[index], end)));
      expect(answers.find((answer) => answer !== undefined)).toEqual(FAILURES);
    },
  );

  it('takes every line of an unfinished chunk as failed, with its own words where it has any', () => {
    const errors = new BatchErrors();
    errors.expect(3);
    errors.push('Cannot find device "nope"\nCommand failed -:1\nCannot open');
    expect(errors.rest()).toBe('Cannot open');
    expect(errors.unfinished('killed')).toEqual([
      { index: 0, message: 'Cannot find device "nope"' },
      { index: 1, message: 'killed' },
      { index: 2, message: 'killed' },
    ]);
  });
});
