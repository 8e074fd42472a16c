import { describe, expect, it } from 'vitest';
import { LAN } from '../../../worker/gossip/core/swim-preset.ts';
import { rosterOf, SwimNode } from './swim-node.ts';
import { detection, falseDeaths, memberlistSwarm, waggleSwarm } from './measures.ts';
import type { ModelSwarm } from './model-swarm.ts';

const seeds = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);
const median = (values: number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/** Who sees whom otherwise than it is. */
function wrongViews(swarm: ModelSwarm<SwimNode>): string[] {
  const wrong: string[] = [];
  for (let viewer = 0; viewer < swarm.size; viewer++) {
    for (let index = 0; index < swarm.size && swarm.isUp(viewer); index++) {
      const state = viewer === index ? undefined : swarm.node(viewer).sees(index);
      if (state !== undefined && state !== (swarm.isUp(index) ? 'alive' : 'dead'))
        wrong.push(`${viewer} sees ${index} ${state}`);
    }
  }
  return wrong;
}

describe('a killed node', () => {
  it.each([
    { members: 3, loss: 0, worstMs: 2_800 },
    { members: 5, loss: 0, worstMs: 2_800 },
    { members: 10, loss: 0, worstMs: 2_800 },
    { members: 3, loss: 0.1, worstMs: 3_500 },
    { members: 10, loss: 0.1, worstMs: 3_500 },
  ])('is dead for all of $members in time, loss $loss', ({ members, loss, worstMs }) => {
    const times = seeds(60).map(
      (seed) => detection(waggleSwarm(members, seed, { loss }), 3_000).all ?? Number.POSITIVE_INFINITY,
    );
    expect(median(times)).toBeLessThanOrEqual(2_200);
    expect(Math.max(...times)).toBeLessThan(worstMs);
  });

  it('is found sooner than by memberlist with its own figures', () => {
    for (const seed of seeds(5)) {
      const ours = detection(waggleSwarm(30, seed), 3_000).all ?? Number.POSITIVE_INFINITY;
      const theirs = detection(memberlistSwarm(30, seed), 3_000).all ?? Number.POSITIVE_INFINITY;
      expect(ours, `seed ${seed}`).toBeLessThan(theirs);
    }
  });
});

describe('a node that lives', () => {
  it.each([2, 3, 5, 10, 30])('is never declared dead for standing still for 1 s, among %i', (members) => {
    for (const seed of seeds(30)) {
      const swarm = waggleSwarm(members, seed);
      swarm.run(2_000 + swarm.random.next() * 2_000);
      let times = 0;
      const { victims } = falseDeaths(swarm, 6_000, () => {
        if (times++ === 0) swarm.freeze(0);
        else swarm.thaw(0);
      });
      expect(victims, `seed ${seed}`).toBe(0);
    }
  });

  it.each([
    { id: '10 % loss', members: 30, network: { loss: 0.1 }, slow: 0 },
    { id: 'delays of 30 ms', members: 30, network: { meanJitterMs: 30 }, slow: 0 },
    { id: 'three starved nodes', members: 30, network: {}, slow: 3 },
  ])('is not declared dead for $id', ({ members, network, slow }) => {
    for (const seed of seeds(3)) {
      const swarm = waggleSwarm(members, seed, network);
      for (let index = 0; index < slow; index++) swarm.slow(index, 400);
      expect(falseDeaths(swarm, 30_000).victims, `seed ${seed}`).toBe(0);
    }
  });

  it('accuses nobody for what fell due while it stood still itself', () => {
    for (const seed of seeds(40)) {
      const swarm = waggleSwarm(5, seed, { meanJitterMs: 20 });
      swarm.run(2_000 + swarm.random.next() * 2_000);
      swarm.freeze(0);
      swarm.run(1_200);
      const accused = new Set<string>();
      swarm.node(0).onChange = (nodeIds) => nodeIds.forEach((nodeId) => accused.add(nodeId));
      swarm.thaw(0);
      swarm.run(100);
      expect([...accused], `seed ${seed}`).toEqual([]);
    }
  });

  it('objects when it was declared dead wrongly, and is alive for all again', () => {
    const swarm = waggleSwarm(5, 1);
    swarm.run(2_000);
    swarm.freeze(0);
    swarm.run(6_000);
    expect(swarm.nodes.slice(1).map((node) => node.sees(0))).toEqual(['dead', 'dead', 'dead', 'dead']);
    swarm.thaw(0);
    expect(swarm.runUntil(() => wrongViews(swarm).length === 0, 5_000)).toBeLessThan(2_500);
    // Having stood still it accuses nobody.
    expect(swarm.node(0).core.awareness).toBeGreaterThan(0);
  });
});

describe('leaving and being forgotten', () => {
  it('is known at once, and nobody calls it death', () => {
    const swarm = waggleSwarm(8, 1);
    swarm.run(2_000);
    swarm.act(3, (node, nowMs) => node.leave(nowMs));
    swarm.run(20);
    swarm.kill(3);
    swarm.run(5_000);
    expect(swarm.nodes.filter((_, index) => index !== 3).map((node) => node.sees(3))).toEqual(Array(7).fill('left'));
  });

  it('whom the manager does not name is no member, whatever others say', () => {
    const swarm = waggleSwarm(4, 1);
    swarm.run(1_000);
    swarm.act(0, (node, nowMs) => node.setRoster(rosterOf(3), nowMs));
    swarm.run(5_000);
    expect([swarm.node(0).sees(3), swarm.node(1).sees(3)]).toEqual([undefined, 'alive']);
  });
});

describe('after any history', () => {
  it.each(seeds(25))('all who live see the same, seed %i', (seed) => {
    const members = 4 + (seed % 9);
    const swarm = waggleSwarm(members, seed, { loss: 0.05, duplicate: 0.05 });
    let life = 1;
    for (let step = 0; step < 25; step++) {
      disturb(swarm, () => life++);
      swarm.run(200 + swarm.random.next() * 3_000);
    }
    for (let index = 0; index < members; index++) {
      swarm.setSide(index, 0);
      swarm.thaw(index);
      swarm.slow(index, 0);
    }
    swarm.run(60_000);
    expect(wrongViews(swarm)).toEqual([]);
  });

  function disturb(swarm: ModelSwarm<SwimNode>, life: () => number): void {
    const { random } = swarm;
    const index = random.int(0, swarm.size - 1);
    const what = random.int(0, 6);
    if (what === 0) swarm.freeze(index);
    if (what === 1) swarm.thaw(index);
    if (what === 2) swarm.kill(index);
    if (what === 3) for (let each = 0; each < swarm.size; each++) swarm.setSide(each, random.int(0, 1));
    if (what === 4) for (let each = 0; each < swarm.size; each++) swarm.setSide(each, 0);
    if (what === 5) swarm.slow(index, random.int(0, 1) * 500);
    if (what !== 6) return;
    // A new life, sometimes with a clock that went back.
    swarm.replace(index, new SwimNode(index, swarm, LAN, random.chance(0.3) ? 0 : life()));
    swarm.act(index, (node, nowMs) => node.setRoster(rosterOf(swarm.size), nowMs));
  }
});
