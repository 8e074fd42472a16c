import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../proto/runtime/clock.ts';
import { createSoakSwarm, type SoakSwarm } from '../soak/soak-swarm.ts';
import { Soak } from '../soak/soak.ts';

/** A short one of what `npm run soak` does for as long as one likes. */
const OPTIONS = { cycles: 16, seed: 4, checkEvery: 8, faultChance: 0.25 };

let swarm: SoakSwarm;

beforeAll(async () => {
  swarm = await createSoakSwarm(3);
});

afterAll(async () => {
  await swarm?.lab.destroy();
});

describe('networks, containers and services that come and go while hosts fail', () => {
  it('are as they should be afterwards, and leave nothing', async () => {
    const say = (line: string): void => void process.stdout.write(`${line}\n`);
    const soak = new Soak(OPTIONS, { swarm, clock: systemClock, say });
    expect(await soak.run()).toEqual([]);
    process.stdout.write(`${JSON.stringify(soak.counts)}\n`);
  });
});
