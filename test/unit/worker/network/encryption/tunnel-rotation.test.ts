import { describe, expect, it } from 'vitest';
import { ROTATION_INTERVAL_MS } from '../../../../../manager/keymanager/key-manager.ts';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { TunnelRotation } from '../../../../../worker/network/encryption/tunnel-rotation.ts';
import { VirtualClock } from '../../../../fixtures/virtual-clock.ts';
import { SeededRandom } from '../../../../sim/raft/seeded-random.ts';

const HOUR_MS = 3_600_000;

function bench(rotate: () => Promise<void> = () => Promise.resolve()) {
  const clock = new VirtualClock();
  const began = clock.now();
  const at: number[] = [];
  const rotation = new TunnelRotation({
    rotate: () => {
      at.push(clock.now() - began);
      return rotate();
    },
    clock,
    random: new SeededRandom(1).next,
    log: silentLog,
  });
  return { clock, at, rotation };
}

describe('TunnelRotation', () => {
  it('replaces the key once within an hour after each new one of the swarm, whatever else is told', async () => {
    const { clock, at, rotation } = bench();
    rotation.learn(7);
    for (let hour = 1; hour < 5 * 12; hour++) {
      await clock.advance(HOUR_MS);
      // Sessions tell the same keys again and again: of other nodes that came, of another leader.
      for (let again = 0; again < 3; again++) rotation.learn(7 + Math.floor(hour / 12));
    }
    await clock.advance(2 * HOUR_MS);
    expect(at).toHaveLength(4);
    for (const [index, each] of at.entries()) {
      expect(each).toBeGreaterThanOrEqual((index + 1) * ROTATION_INTERVAL_MS);
      expect(each).toBeLessThanOrEqual((index + 1) * ROTATION_INTERVAL_MS + HOUR_MS);
    }
  });

  it('is not put off by news while it is waited for, and takes several that were missed for one', async () => {
    const { clock, at, rotation } = bench();
    rotation.learn(1);
    for (let tag = 2; tag < 30; tag++) {
      rotation.learn(tag);
      await clock.advance(HOUR_MS / 20);
    }
    expect(at.length).toBeGreaterThanOrEqual(1);
    expect(at[0]).toBeLessThanOrEqual(HOUR_MS);
  });

  it('does nothing for what it hears first, for older keys, and after its end', async () => {
    const { clock, at, rotation } = bench();
    for (const tag of [5, 4, 5, 0]) rotation.learn(tag);
    await clock.advance(2 * HOUR_MS);
    expect(at).toEqual([]);
    rotation.learn(6);
    rotation.stop();
    await clock.advance(2 * HOUR_MS);
    expect(at).toEqual([]);
  });

  it('tries again the next time when it failed', async () => {
    const { clock, at, rotation } = bench(() => Promise.reject(new Error('disk full')));
    for (const tag of [1, 2]) rotation.learn(tag);
    await clock.advance(HOUR_MS);
    rotation.learn(3);
    await clock.advance(HOUR_MS);
    expect(at).toHaveLength(2);
  });
});
