import { describe, expect, it } from 'vitest';
import { SeededRandom } from '../raft/seeded-random.ts';
import { ADDRESSES, MovedAddressWorld } from './moved-address-world.ts';

const HOSTS = 5;
const MOVES = 25;

interface Run {
  world: MovedAddressWorld;
  random: SeededRandom;
  holder: number;
  /** Hosts that are cut off, or still have a container of before. */
  busy: Set<number>;
}

/** Somebody else has the addresses from now on: the manager gives them away when the former holder is gone, or is taken for dead. */
function move(run: Run): void {
  const { world, random, busy } = run;
  const free = [...world.hosts.keys()].filter((index) => index !== run.holder && !busy.has(index));
  const next = random.pick(free);
  if (next === undefined) return;
  const former = run.holder;
  run.holder = next;
  if (random.chance(0.4)) {
    loseHost(run, former);
    world.run(random.int(2_500, 6_000));
  } else world.release(former);
  world.claim(next);
}

/** It comes back with its old container, is told after a while that it is not the holder any more, and may have restarted. */
function loseHost({ world, random, busy }: Run, index: number): void {
  busy.add(index);
  world.cut(index, true);
  world.after(random.int(4_000, 15_000), () => {
    if (random.chance(0.5)) world.restart(index);
    world.cut(index, false);
    world.after(random.int(500, 6_000), () => {
      world.release(index);
      busy.delete(index);
    });
  });
}

function wander(seed: number): MovedAddressWorld {
  const random = new SeededRandom(seed);
  const world = new MovedAddressWorld(HOSTS, random);
  const run: Run = { world, random, holder: 0, busy: new Set() };
  world.run(1_500);
  world.claim(0);
  for (let turn = 0; turn < MOVES; turn++) {
    world.run(random.int(50, 4_000));
    if (random.chance(0.7)) move(run);
    else {
      const index = random.int(0, HOSTS - 1);
      if (!run.busy.has(index)) world.restart(index);
    }
  }
  world.lossy = false;
  // Whoever is away comes back, is told, and all have compared.
  world.run(40_000);
  const { vtep = '', own } = world.hosts[run.holder] ?? {};
  const name = [...(own?.values() ?? [])][0]?.names[0] ?? '';
  for (const address of ADDRESSES)
    expect(world.answers(address), address).toEqual(world.hosts.map(() => ({ vtep, name })));
  return world;
}

describe('an address that wanders from host to host', () => {
  it.each(Array.from({ length: 20 }, (_, index) => index + 1))(
    'has one answer at any time on any host, and in the end the newest on all: seed %i',
    (seed) => {
      expect(wander(seed).faults).toEqual([]);
    },
  );

  it('is the newest’s on a host that learns of both at once', () => {
    const random = new SeededRandom(7);
    const world = new MovedAddressWorld(HOSTS, random);
    world.lossy = false;
    world.run(3_000);
    world.claim(0);
    world.run(1_000);
    world.cut(0, true);
    world.run(5_000);
    world.claim(1);
    world.run(1_000);
    for (const index of [2, 3, 4]) world.restart(index);
    world.cut(0, false);
    world.run(8_000);
    expect(world.faults).toEqual([]);
    for (const { vtep, name } of world.answers('10.0.0.5').slice(1))
      expect([vtep, name]).toEqual(['192.168.0.2', 'c2']);
  });
});
