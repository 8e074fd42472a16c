import { describe, expect, it } from 'vitest';
import { spreadOfNetworkdb, spreadOfWaggle } from './measures.ts';
import { GossipWorld, type WorldOptions } from '../../fixtures/gossip-world.ts';

/**
 * The table alone, for longer and in larger swarms than history.test.ts, which looks at thousands. Every case is one world per seed; a
 * failure prints the seed that shows it again.
 */
const cases: (WorldOptions & { id: string; seeds: number })[] = [
  { id: 'three nodes, quiet network', nodes: 3, loss: 0, duplicate: 0, seeds: 2 },
  { id: 'three nodes, a fifth of all packets lost, some doubled', nodes: 3, loss: 0.2, duplicate: 0.1, seeds: 4 },
  { id: 'seven nodes, half of all packets lost', nodes: 7, loss: 0.5, duplicate: 0.2, seeds: 2 },
  { id: 'partitions', nodes: 6, loss: 0.1, duplicate: 0.1, partitions: true, seeds: 3 },
  { id: 'restarts that lost their memory', nodes: 5, loss: 0.1, duplicate: 0.1, restarts: true, seeds: 3 },
  {
    id: 'restarts with a clock that went back',
    nodes: 4,
    loss: 0.1,
    duplicate: 0.1,
    restarts: true,
    clockBack: true,
    seeds: 3,
  },
  { id: 'nodes leave the peer list and come back', nodes: 6, loss: 0.1, duplicate: 0.1, membership: true, seeds: 3 },
  {
    id: 'everything at once, passing on instead of direct',
    nodes: 9,
    loss: 0.2,
    duplicate: 0.2,
    partitions: true,
    restarts: true,
    clockBack: true,
    membership: true,
    directPeers: 3,
    seeds: 2,
  },
  { id: 'twenty nodes', nodes: 20, loss: 0.1, duplicate: 0.1, partitions: true, restarts: true, seeds: 1 },
  { id: 'forty nodes', nodes: 40, loss: 0.1, duplicate: 0.05, restarts: true, seeds: 1 },
];

describe('after quiet all views equal the truth of the owners', () => {
  for (const { id, seeds, ...options } of cases) {
    it(id, () => {
      for (let seed = 1; seed <= seeds; seed++) {
        const world = new GossipWorld({ ...options, seed });
        world.run(20_000);
        world.quiet();
        world.run(options.nodes > 10 ? 60_000 : 30_000);
        expect(world.differences(), `seed ${seed}`).toEqual([]);
        expect(world.unsynced(), `seed ${seed}`).toEqual([]);
      }
    });
  }
});

describe('speed', () => {
  it('tells a new endpoint to all of 50 nodes in one network delay', () => {
    const world = new GossipWorld({ nodes: 50, loss: 0, duplicate: 0, seed: 7, churn: false });
    world.run(5_000);
    world.publish(0);
    world.run(30);
    expect(world.differences()).toEqual([]);
  });

  it('heals a lost first packet within two retries', () => {
    const world = new GossipWorld({ nodes: 3, loss: 0, duplicate: 0, seed: 7, churn: false });
    world.run(5_000);
    world.options.loss = 1;
    world.publish(0);
    world.run(5);
    world.options.loss = 0;
    world.run(400);
    expect(world.differences()).toEqual([]);
  });
});

describe('a daemon that restarts', () => {
  it('does not make its endpoints vanish at the others while it publishes them again', () => {
    const world = new GossipWorld({ nodes: 3, loss: 0, duplicate: 0, seed: 3, churn: false });
    for (let count = 0; count < 20; count++) world.publish(0);
    world.run(5_000);
    world.restart(0);
    const fewest = world.watchCount(1, 0, () => world.run(10_000));
    expect(fewest).toBe(20);
    expect(world.differences()).toEqual([]);
  });
});

describe('many nodes that pass on', () => {
  it.each([100, 300])(
    'a new endpoint is known to all of %i within a second, to nearly all within 20 ms, and for less than networkdb',
    (count) => {
      const [ours, theirs] = [spreadOfWaggle(count, 1), spreadOfNetworkdb(count, 1)];
      expect(ours.most).toBeLessThan(20);
      expect(ours.all).toBeLessThan(1_500);
      expect(theirs.most).toBeGreaterThan(20);
      expect(ours.bytesPerNode).toBeLessThan(theirs.bytesPerNode);
    },
  );

  it('so it is when a tenth of all packets is lost', () => {
    const spread = spreadOfWaggle(100, 2, { loss: 0.1 });
    expect(spread.most).toBeLessThan(100);
    expect(spread.all).toBeLessThan(3_000);
  });
});
