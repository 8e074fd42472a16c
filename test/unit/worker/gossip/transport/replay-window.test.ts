import { fc, it as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../../../../sim/raft/seeded-random.ts';
import { FrameReader, framed, MOST_FRAME_BYTES } from '../../../../../worker/gossip/transport/frame.ts';
import { ReplayWindow } from '../../../../../worker/gossip/transport/replay-window.ts';
import { SendCounters } from '../../../../../worker/gossip/transport/send-counters.ts';

describe('ReplayWindow', () => {
  property.prop([fc.array(fc.integer({ min: 1, max: 700 }), { maxLength: 200 })])(
    'takes each number once, in any order, and none that is 256 behind',
    (counters) => {
      const window = new ReplayWindow();
      const seen = new Set<number>();
      let highest = 0;
      for (const counter of counters) {
        const fresh = !seen.has(counter) && counter > highest - 256;
        expect(window.accept('s', counter)).toBe(fresh);
        if (fresh) seen.add(counter);
        highest = Math.max(highest, counter);
      }
    },
  );

  it('keeps sessions apart, and a bounded number of them', () => {
    const window = new ReplayWindow();
    for (let session = 0; session < 25_000; session++) expect(window.accept(`s${session}`, 5)).toBe(true);
    expect(window.accept('s24999', 5)).toBe(false);
    expect(window.accept('s24999', 4)).toBe(true);
    expect(window.size).toBe(20_000);
  });

  it('is never shown a number twice by SendCounters, even when they begin anew', () => {
    const counters = new SendCounters(new SeededRandom(1).next);
    const windows = new Map<string, ReplayWindow>();
    for (let n = 0; n < 60_000; n++) {
      const receiver = `r${n % 25_000}`;
      const { session, counter } = counters.next(receiver);
      const window = windows.get(receiver) ?? new ReplayWindow();
      windows.set(receiver, window);
      if (!window.accept(String(session), counter)) expect.fail(`number ${n} repeated`);
    }
  });
});

describe('FrameReader', () => {
  property.prop([fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 8 }), fc.integer({ min: 1, max: 20 })])(
    'gives the frames however the stream is cut',
    (contents, step) => {
      const stream = Buffer.concat(contents.flatMap((content) => framed(Buffer.from(content))));
      const reader = new FrameReader();
      const read: Buffer[] = [];
      for (let at = 0; at < stream.length; at += step)
        read.push(...(reader.push(stream.subarray(at, at + step)) ?? []));
      expect(read.map((frame) => frame.toString('hex'))).toEqual(
        contents.map((content) => Buffer.from(content).toString('hex')),
      );
      expect(reader.heldBytes).toBe(0);
    },
  );

  it('refuses a frame that is announced too large, before it comes', () => {
    const announced = Buffer.alloc(4);
    announced.writeUInt32BE(MOST_FRAME_BYTES + 1);
    expect(new FrameReader().push(announced)).toBeUndefined();
  });
});
