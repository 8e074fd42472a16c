import { describe, expect, it } from 'vitest';
import { Awareness } from '../../../../../worker/gossip/core/awareness.ts';
import type { Peer } from '../../../../../worker/gossip/core/message.ts';
import { Objections } from '../../../../../worker/gossip/core/objections.ts';
import { Prober } from '../../../../../worker/gossip/core/prober.ts';
import { RoundTrips } from '../../../../../worker/gossip/core/round-trips.ts';
import { LAN } from '../../../../../worker/gossip/core/swim-preset.ts';

describe('RoundTrips', () => {
  /** One after the other, each ping answered after so many ms. */
  function measured(...answersMs: number[]): RoundTrips {
    const trips = new RoundTrips();
    for (const [sequence, ms] of answersMs.entries()) {
      trips.sent(sequence, 1_000 * sequence);
      trips.answered(sequence, 1_000 * sequence + ms);
    }
    return trips;
  }
  const many = (count: number, ms: number): number[] => Array.from({ length: count }, () => ms);

  it.each([
    { id: 'says nothing of seven', answers: many(7, 40), expected: 0 },
    { id: 'says what eight took', answers: many(8, 40), expected: 40 },
    { id: 'is not moved by a quarter that is slow', answers: [...many(24, 2), ...many(8, 3_000)], expected: 2 },
    { id: 'is moved by a third that is slow', answers: [...many(21, 2), ...many(11, 300)], expected: 300 },
    { id: 'forgets what is 32 answers old', answers: [...many(32, 300), ...many(32, 2)], expected: 2 },
  ])('$id', ({ answers, expected }) => {
    expect(measured(...answers).usualMs).toBe(expected);
  });

  it('counts the first answer to a ping alone, and a late one as what it is', () => {
    const trips = measured(...many(8, 10));
    trips.sent(100, 0);
    trips.answered(100, 5_000);
    for (let time = 0; time < 32; time++) trips.answered(100, 9_000);
    trips.answered(777, 9_000);
    expect(trips.usualMs).toBe(10);
  });

  it('takes an answer for that of a ping of long ago, and not for that of a later one', () => {
    const trips = measured(...many(8, 10));
    for (let sequence = 8; sequence < 2_000; sequence++) trips.sent(sequence, 0);
    for (let sequence = 8; sequence < 1_700; sequence++) trips.answered(sequence, 60_000);
    expect(trips.usualMs).toBe(10);
  });
});

describe('Objections', () => {
  it('fade one by one, the last of them counting from its time', () => {
    const objections = new Objections(1_000);
    for (const atMs of [0, 100, 200]) objections.add('a', atMs);
    expect([200, 1_199, 1_200, 2_199, 2_200, 3_200, 9_000].map((atMs) => objections.of('a', atMs))).toEqual([
      3, 3, 2, 2, 1, 0, 0,
    ]);
    expect(objections.of('b', 200)).toBe(0);
  });

  it('are bounded, and forgotten with the member', () => {
    const objections = new Objections(1_000);
    for (let time = 0; time < 50; time++) objections.add('a', 0);
    expect(objections.of('a', 0)).toBe(8);
    objections.forget('a');
    expect(objections.of('a', 0)).toBe(0);
  });
});

describe('Prober', () => {
  const target: Peer = { nodeId: 'target', host: '10.0.0.1', port: 7946 };
  const helper: Peer = { nodeId: 'helper', host: '10.0.0.2', port: 7946 };

  /** Runs a prober alone; every `send` is noted with its time. */
  class Bench {
    readonly awareness = new Awareness(LAN.awarenessMax);
    readonly sent: { atMs: number; kind: string; sequence: number; stream: boolean }[] = [];
    readonly unreached: number[] = [];
    nowMs = 0;
    objections = 0;
    readonly prober = new Prober(LAN, this.awareness, {
      send: (_, kind, { sequence, stream = false }) => this.sent.push({ atMs: this.nowMs, kind, sequence, stream }),
      repeat: (_, sequence) => this.sent.push({ atMs: this.nowMs, kind: 'ping', sequence, stream: false }),
      helpers: () => [helper],
      objections: () => this.objections,
      unreached: () => this.unreached.push(this.nowMs),
    });

    runTo(endMs: number): void {
      while (this.prober.nextAtMs() <= endMs) {
        this.nowMs = this.prober.nextAtMs();
        this.prober.tick(this.nowMs);
      }
      this.nowMs = endMs;
    }

    /** So many probes, each answered after so long. */
    warmUp(count: number, roundTripMs: number): void {
      for (let probe = 0; probe < count; probe++) {
        this.prober.begin(target, this.nowMs);
        const { sequence } = this.sent.at(-1) ?? { sequence: -1 };
        this.runTo(this.nowMs + roundTripMs);
        this.prober.acked(target.nodeId, sequence, this.nowMs);
      }
      this.sent.length = 0;
    }

    /** A probe that nobody answers: what was sent when, from its beginning, and when it failed. */
    inVain(): { pings: number[]; askedMs: number | undefined; failedMs: number | undefined } {
      const startMs = this.nowMs;
      this.prober.begin(target, startMs);
      this.runTo(startMs + 10_000);
      const at = (kind: string): number[] =>
        this.sent.filter((it) => it.kind === kind && !it.stream).map((it) => it.atMs - startMs);
      const [failedMs] = this.unreached;
      return {
        pings: at('ping'),
        askedMs: at('ping-request')[0],
        failedMs: failedMs === undefined ? undefined : failedMs - startMs,
      };
    }
  }

  it('repeats its ping, asks others, and gives up, by the preset', () => {
    expect(new Bench().inVain()).toEqual({
      pings: [0, 50, 100, 150, 200, 250, 300, 350, 400],
      askedMs: 200,
      failedMs: 450,
    });
  });

  it.each([
    { id: 'short round trips change nothing', roundTripMs: 20, againMs: 50, askedMs: 200, failedMs: 450 },
    { id: 'long ones change everything', roundTripMs: 160, againMs: 200, askedMs: 320, failedMs: 720 },
    { id: 'up to a limit', roundTripMs: 5_000, againMs: 562.5, askedMs: 1_800, failedMs: 4_050 },
  ])('waits as the round trips demand: $id', ({ roundTripMs, againMs, askedMs, failedMs }) => {
    const bench = new Bench();
    bench.warmUp(32, roundTripMs);
    // Answers that came too late have made it fail before, which is not looked at.
    bench.unreached.length = 0;
    while (bench.awareness.score > 0) bench.awareness.add(-1);
    const probe = bench.inVain();
    expect({ againMs: probe.pings[1], askedMs: probe.askedMs, failedMs: probe.failedMs }).toEqual({
      againMs,
      askedMs,
      failedMs,
    });
  });

  it.each([
    { id: 'a member that objected', objections: 1, doubt: 0, failedMs: 900 },
    { id: 'a node that doubts itself', objections: 0, doubt: 2, failedMs: 1_350 },
    { id: 'both', objections: 1, doubt: 2, failedMs: 2_700 },
    { id: 'both, within the limit', objections: 8, doubt: 8, failedMs: 4_050 },
  ])('waits longer for $id', ({ objections, doubt, failedMs }) => {
    const bench = new Bench();
    bench.objections = objections;
    bench.awareness.add(doubt);
    const probe = bench.inVain();
    expect(probe.failedMs).toBe(failedMs);
    // Not with more packets.
    expect(probe.pings).toHaveLength(9);
  });

  it.each([
    { id: 'to its first ping', kind: 'ping', nth: 0, from: 'target' },
    { id: 'to a repeated ping', kind: 'ping', nth: 3, from: 'target' },
    { id: 'by a helper', kind: 'ping-request', nth: 0, from: 'helper' },
  ])('is content with an answer $id', ({ kind, nth, from }) => {
    const bench = new Bench();
    bench.prober.begin(target, 0);
    bench.runTo(260);
    const { sequence } = bench.sent.filter((it) => it.kind === kind)[nth] ?? { sequence: -1 };
    bench.prober.acked('stranger', sequence, 270);
    expect(bench.prober.isProbing('target')).toBe(true);
    bench.prober.acked(from, sequence, 270);
    expect(bench.prober.isProbing('target')).toBe(false);
    bench.runTo(5_000);
    expect(bench.unreached).toEqual([]);
  });
});
