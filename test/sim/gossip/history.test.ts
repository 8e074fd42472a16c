import { afterAll, describe, expect, it } from 'vitest';
import { GossipCore } from '../../../worker/gossip/core/gossip-core.ts';
import { SwimCore } from '../../../worker/gossip/core/swim-core.ts';
import { runHistory } from './history.ts';

/**
 * Random lives of whole swarms; what must hold is said in history.ts. `GOSSIP_SIM_SEEDS=20000 npm run sim` looks longer, and
 * `GOSSIP_SIM_FROM` elsewhere; a failure tells how to see it again.
 */
const SEEDS = Number(process.env['GOSSIP_SIM_SEEDS'] ?? 1_000);
const FROM = Number(process.env['GOSSIP_SIM_FROM'] ?? 1);
const PARTS = 5;
const cores = { SwimCore, GossipCore };
let changes = 0;

describe('after any history all who live see the same, and the truth', () => {
  for (let part = 0; part < PARTS; part++) {
    const first = FROM + part * Math.ceil(SEEDS / PARTS);
    const end = Math.min(FROM + SEEDS, first + Math.ceil(SEEDS / PARTS));
    it(`seeds ${first} to ${end - 1}`, { timeout: 60_000 + SEEDS * 500 }, () => {
      for (let seed = first; seed < end; seed++) changes += replayable(seed);
    });
  }

  it('runs the same again for the same seed', () => {
    expect(runHistory(7, cores)).toEqual(runHistory(7, cores));
  });

  afterAll(() => {
    process.stdout.write(`gossip: ${SEEDS} histories, ${changes} versions of endpoints\n`);
  });
});

function replayable(seed: number): number {
  try {
    return runHistory(seed, cores).changes;
  } catch (error) {
    throw new Error(`again with: node test/sim/gossip/replay.ts ${seed}`, { cause: error });
  }
}
