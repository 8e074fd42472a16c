import { beforeEach, describe, expect, it } from 'vitest';
import { RaftRejoin } from '../../../../cli/daemon/raft-rejoin.ts';
import type { Leadership } from '../../../../manager/raft/raft-node.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';

const NOBODY: Leadership = { leader: 0, isLeader: false, term: 3 };
const OTHER: Leadership = { leader: 7, isLeader: false, term: 4 };

let clock: VirtualClock;
let leadership: Leadership;
let listeners: Set<(leadership: Leadership) => void>;
let asked: number[];
let answer: () => Promise<void>;
let rejoin: RaftRejoin;

beforeEach(() => {
  clock = new VirtualClock(0);
  leadership = OTHER;
  listeners = new Set();
  asked = [];
  answer = async () => Promise.resolve();
  const raft = {
    get leadership() {
      return leadership;
    },
    onLeadership(listener: (leadership: Leadership) => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
  const join = (): Promise<void> => {
    asked.push(clock.now());
    return answer();
  };
  rejoin = new RaftRejoin({ raft, join, clock, random: () => 1, log: silentLog });
});

async function become(next: Leadership): Promise<void> {
  leadership = next;
  for (const listener of listeners) listener(next);
  await settle();
}

describe('a manager', () => {
  it('that has a leader asks for nothing', async () => {
    await rejoin.start();
    await clock.advance(60_000);
    expect(asked).toEqual([]);
    expect(clock.next()).toBeUndefined();
  });

  it('waits out an election before it asks', async () => {
    await rejoin.start();
    await become(NOBODY);
    await clock.advance(2_900);
    await become(OTHER);
    await clock.advance(60_000);
    expect(asked).toEqual([]);
  });

  it('asks more and more seldom while it stays without a leader, whatever it is answered', async () => {
    answer = () => Promise.reject(new Error('nobody leads'));
    leadership = NOBODY;
    await rejoin.start();
    await clock.advance(60_000);
    const delays = asked.map((at, index) => at - (asked[index - 1] ?? 0));
    expect(delays).toEqual([3_000, 4_500, 6_750, 10_125, 15_000, 15_000]);
  });

  it('asks again after the next loss, and not at all once it has stopped', async () => {
    leadership = NOBODY;
    await rejoin.start();
    await clock.advance(3_000);
    await become(OTHER);
    await clock.advance(20_000);
    expect(asked).toEqual([3_000]);
    await become(NOBODY);
    await clock.advance(3_000);
    expect(asked).toEqual([3_000, 26_000]);
    await rejoin.stop();
    await clock.advance(60_000);
    expect(asked).toHaveLength(2);
    expect(listeners.size).toBe(0);
  });
});
