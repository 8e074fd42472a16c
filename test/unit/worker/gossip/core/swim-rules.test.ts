import { fc, it as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { BroadcastQueue } from '../../../../../worker/gossip/core/broadcast-queue.ts';
import { supersedes } from '../../../../../worker/gossip/core/member-list.ts';
import { ProbeOrder } from '../../../../../worker/gossip/core/probe-order.ts';
import { Suspicion, suspicionMs } from '../../../../../worker/gossip/core/suspicion.ts';
import { type MemberNews, newsSizeBytes } from '../../../../../worker/gossip/core/swim-message.ts';
import {
  LAN,
  LOCAL,
  probePaceMs,
  pushPullMs,
  retransmitLimit,
  suspicionMinMs,
  WAN,
} from '../../../../../worker/gossip/core/swim-preset.ts';
import type { MemberState } from '../../../../../worker/gossip/members.ts';
import { SeededRandom } from '../../../../sim/raft/seeded-random.ts';

const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left'];
const news = (nodeId: string, state: MemberState = 'alive', incarnation = 1, accuser = ''): MemberNews => ({
  nodeId,
  state,
  incarnation,
  accuser,
});
const at = (state: MemberState, incarnation: number) => ({ state, incarnation, changedAtMs: 0 });

describe('which of two statements counts (SWIM 4.2)', () => {
  it.each([
    { id: 'a greater incarnation clears a suspicion', said: at('alive', 2), known: at('suspect', 1), counts: true },
    { id: 'the same incarnation does not clear it', said: at('alive', 1), known: at('suspect', 1), counts: false },
    { id: 'a suspicion counts at the same incarnation', said: at('suspect', 1), known: at('alive', 1), counts: true },
    { id: 'an old suspicion does not count', said: at('suspect', 1), known: at('alive', 2), counts: false },
    { id: 'death counts over suspicion', said: at('dead', 1), known: at('suspect', 1), counts: true },
    { id: 'suspicion does not count over death', said: at('suspect', 1), known: at('dead', 1), counts: false },
    { id: 'the dead comes back with a greater incarnation', said: at('alive', 2), known: at('dead', 1), counts: true },
    { id: 'who left is not dead', said: at('dead', 1), known: at('left', 1), counts: false },
  ])('$id', ({ said, known, counts }) => {
    expect(supersedes(said, known)).toBe(counts);
  });

  const standing = fc.record({
    state: fc.constantFrom(...STATES),
    incarnation: fc.nat({ max: 3 }),
    changedAtMs: fc.constant(0),
  });
  property.prop([standing, standing, standing])(
    'is a strict order, so all nodes end with the same, whatever comes first',
    (a, b, c) => {
      const same = a.state === b.state && a.incarnation === b.incarnation;
      expect(Number(supersedes(a, b)) + Number(supersedes(b, a))).toBe(same ? 0 : 1);
      if (supersedes(a, b) && supersedes(b, c)) expect(supersedes(a, c)).toBe(true);
    },
  );
});

describe('suspicion (Lifeguard 4.2)', () => {
  const bounds = { minMs: 1_000, maxMs: 4_000, wanted: 3 };

  it.each([
    { id: 'nobody confirms', confirmations: 0, expected: 4_000 },
    { id: 'one of three', confirmations: 1, expected: 2_500 },
    { id: 'all', confirmations: 3, expected: 1_000 },
    { id: 'more than all', confirmations: 9, expected: 1_000 },
  ])('$id', ({ confirmations, expected }) => {
    expect(suspicionMs(bounds, confirmations)).toBeCloseTo(expected);
  });

  it('lasts the least time when there is nobody to confirm', () => {
    expect(suspicionMs({ ...bounds, wanted: 0 }, 0)).toBe(1_000);
  });

  it('counts each accuser once, and no more than are wanted', () => {
    const suspicion = new Suspicion(bounds, 'a', 0);
    expect(['a', 'b', 'b', 'c', 'd', 'e'].map((accuser) => suspicion.confirm(accuser))).toEqual([
      false,
      true,
      false,
      true,
      true,
      false,
    ]);
    expect(suspicion.deadlineMs).toBeCloseTo(1_000);
    suspicion.postpone(500);
    expect(suspicion.deadlineMs).toBeCloseTo(1_500);
  });
});

describe('BroadcastQueue', () => {
  it('sends each piece as often as the limit says, the least sent first', () => {
    const queue = new BroadcastQueue();
    queue.put(news('a'));
    expect(queue.take(1_000, 2, 4).map((each) => each.nodeId)).toEqual(['a']);
    queue.put(news('b'));
    expect(queue.take(newsSizeBytes(news('b')), 1, 4).map((each) => each.nodeId)).toEqual(['b']);
    expect(queue.take(1_000, 2, 4).map((each) => each.nodeId)).toEqual(['b', 'a']);
    expect(queue.take(1_000, 1, 4).map((each) => each.nodeId)).toEqual(['b']);
    expect(queue.empty).toBe(true);
  });

  property.prop([
    fc.array(fc.tuple(fc.nat({ max: 5 }), fc.constantFrom(...STATES)), { maxLength: 40 }),
    fc.integer({ min: 60, max: 400 }),
  ])('never exceeds the room, never says two things of one member, and empties', (puts, room) => {
    const queue = new BroadcastQueue();
    const last = new Map<string, MemberState>();
    for (const [n, state] of puts) {
      queue.put(news(`node-${n}`, state));
      last.set(`node-${n}`, state);
    }
    const counts = new Map<string, number>();
    for (let round = 0; round < 200 && !queue.empty; round++) {
      const taken = queue.take(room, 1, 5);
      expect(taken.reduce((sum, each) => sum + newsSizeBytes(each), 0)).toBeLessThanOrEqual(room);
      for (const { nodeId, state } of taken) {
        expect(state).toBe(last.get(nodeId));
        counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
      }
    }
    expect([...counts.values()].every((count) => count === 5) && counts.size === last.size).toBe(true);
  });
});

describe('ProbeOrder (SWIM 4.3)', () => {
  property.prop([fc.integer({ min: 2, max: 60 }), fc.nat()])(
    'probes each once a round, and nobody waits longer than 1.5 rounds',
    (count, seed) => {
      const order = new ProbeOrder(new SeededRandom(seed).next);
      order.reset(count);
      const lastSeen = new Map<number, number>();
      for (let turn = 0; turn < 6 * count; turn++) {
        const index = order.next(() => true) ?? -1;
        const before = lastSeen.get(index);
        if (before !== undefined) expect(turn - before).toBeLessThanOrEqual(Math.ceil(1.5 * count));
        lastSeen.set(index, turn);
      }
      expect(lastSeen.size).toBe(count);
    },
  );

  it('finds nothing when nothing is wanted', () => {
    const order = new ProbeOrder(() => 0);
    order.reset(5);
    expect(order.next(() => false)).toBeUndefined();
  });
});

describe('presets', () => {
  it.each([
    { id: 'LAN', preset: LAN },
    { id: 'WAN', preset: WAN },
    { id: 'LOCAL', preset: LOCAL },
  ])('$id: an indirect round and its nacks fit before the deadline, verdicts come after it', ({ preset }) => {
    expect(preset.probeTimeoutMs * (1 + preset.nackAfter)).toBeLessThan(preset.probeDeadlineMs);
    expect(preset.suspicionMinMs).toBeGreaterThan(preset.probeDeadlineMs);
    expect(preset.suspicionMaxMult).toBeGreaterThan(1);
  });

  it.each([
    { members: 3, sends: 4, suspicion: 1_200, pace: 500, pushPull: 5_000 },
    { members: 9, sends: 4, suspicion: 1_200, pace: 125, pushPull: 5_000 },
    { members: 100, sends: 12, suspicion: 2_400, pace: 125, pushPull: 15_000 },
    { members: 5_000, sends: 16, suspicion: 4_438.8, pace: 125, pushPull: 45_000 },
  ])('LAN with $members members', ({ members, sends, suspicion, pace, pushPull }) => {
    expect(retransmitLimit(LAN, members)).toBe(sends);
    expect(suspicionMinMs(LAN, members)).toBeCloseTo(suspicion, 0);
    expect(probePaceMs(LAN, members)).toBe(pace);
    expect(pushPullMs(LAN, members)).toBe(pushPull);
  });
});
