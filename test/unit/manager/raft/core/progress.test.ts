import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import {
  acknowledge,
  afterSend,
  becomeProbe,
  becomeReplicate,
  becomeSnapshot,
  isPaused,
  newProgress,
  type Progress,
  refuse,
} from '../../../../../manager/raft/core/progress.ts';

const LIMITS = { maxInflightAppends: 2, maxInflightBytes: 100 };
const replicating = (match: number): Progress => becomeReplicate({ ...newProgress(match + 1), match });

describe('Progress (thesis 10.2.1)', () => {
  it('probes one append at a time', () => {
    const sent = afterSend(newProgress(5), 6, 10);
    expect(isPaused(newProgress(5), LIMITS)).toBe(false);
    expect(isPaused(sent, LIMITS)).toBe(true);
    expect(sent.next).toBe(5);
  });

  it('replicates ahead of the answers, as far as the window goes', () => {
    const one = afterSend(replicating(4), 6, 10);
    expect([one.next, isPaused(one, LIMITS)]).toEqual([7, false]);
    expect(isPaused(afterSend(one, 7, 10), LIMITS)).toBe(true);
    expect(isPaused(afterSend(replicating(4), 5, 100), LIMITS)).toBe(true);
  });

  it('opens the window with each answer', () => {
    const full = afterSend(afterSend(replicating(4), 6, 10), 8, 10);
    const answered = acknowledge(full, 6);
    expect(answered).toMatchObject({ state: 'replicate', match: 6, next: 9, inflight: [{ lastIndex: 8, bytes: 10 }] });
  });

  it('goes over to replicating when a probe is accepted, also one without news', () => {
    expect(acknowledge(newProgress(5), 5)).toMatchObject({ state: 'replicate', match: 5, next: 6 });
    const probing = becomeProbe(replicating(5));
    expect(acknowledge(probing, 5)).toMatchObject({ state: 'replicate', match: 5 });
    expect(acknowledge(replicating(5), 5)).toBeUndefined();
  });

  const refusals: { id: string; progress: Progress; previous: number; hint: number; next: number | undefined }[] = [
    { id: 'a probe goes to the hint', progress: newProgress(10), previous: 9, hint: 4, next: 5 },
    { id: 'but back by one at least', progress: newProgress(10), previous: 9, hint: 9, next: 9 },
    { id: 'and never below what is known', progress: { ...newProgress(10), match: 7 }, previous: 9, hint: 2, next: 8 },
    { id: 'an old answer to a probe', progress: newProgress(10), previous: 6, hint: 2, next: undefined },
    { id: 'replicating begins anew after what is known', progress: replicating(5), previous: 9, hint: 2, next: 6 },
    { id: 'an old answer while replicating', progress: replicating(5), previous: 5, hint: 2, next: undefined },
    {
      id: 'while a snapshot is under way',
      progress: becomeSnapshot(newProgress(3), 9),
      previous: 2,
      hint: 1,
      next: undefined,
    },
  ];
  it.each(refusals)('refused: $id', ({ progress, previous, hint, next }) => {
    expect(refuse(progress, previous, hint)?.next).toBe(next);
  });

  it('sends nothing while a snapshot is under way, and goes on behind it', () => {
    const sending = becomeSnapshot(newProgress(3), 9);
    expect(isPaused(sending, LIMITS)).toBe(true);
    expect(acknowledge(sending, 5)).toMatchObject({ state: 'snapshot', match: 5 });
    expect(acknowledge(sending, 9)).toMatchObject({ state: 'replicate', match: 9, next: 10 });
    expect(becomeProbe(sending, true).next).toBe(10);
    expect(becomeProbe(sending, false).next).toBe(1);
  });

  type Step = { kind: 'send' | 'ok' | 'no' | 'lost' | 'snapshot'; at: number };
  const steps = fc.array(
    fc.record({ kind: fc.constantFrom('send', 'ok', 'no', 'lost', 'snapshot'), at: fc.nat({ max: 30 }) }),
    { maxLength: 40 },
  );
  test.prop([steps])('match stays below next and never falls, the window stays bounded', (list) => {
    let progress: Progress = newProgress(5);
    for (const step of list as Step[]) {
      const { match } = progress;
      progress = apply(progress, step);
      expect(progress.match).toBeLessThan(progress.next);
      expect(progress.match).toBeGreaterThanOrEqual(match);
      if (progress.state === 'replicate')
        expect(progress.inflight.length).toBeLessThanOrEqual(LIMITS.maxInflightAppends);
    }
  });

  function apply(progress: Progress, { kind, at }: Step): Progress {
    switch (kind) {
      case 'send':
        return isPaused(progress, LIMITS) ? progress : afterSend(progress, progress.next + (at % 3), 10);
      case 'ok':
        // Nobody acknowledges what was not sent.
        return acknowledge(progress, Math.min(at, progress.next - 1)) ?? progress;
      case 'no':
        return refuse(progress, at, at % 7) ?? progress;
      case 'lost':
        return becomeProbe(progress);
      case 'snapshot':
        return becomeSnapshot(progress, progress.match + at + 1);
    }
  }
});
