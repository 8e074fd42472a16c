import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../proto/runtime/clock.ts';
import { Campaign } from '../chaos/campaign.ts';
import { createManagerGroup, type ManagerGroup } from '../chaos/manager-group.ts';

/**
 * What the simulation of Raft promises, on three real daemons: no acknowledged write is lost, none is made twice, whatever happens to
 * the managers. `npm run chaos` goes on for as long as one likes.
 */

const SEED = 20_141;
/** A swarm of two that answer has a leader within a second or two; the machine may be busy with other tests. */
const WITHOUT_LEADER_MS = 20_000;

let group: ManagerGroup;
let campaign: Campaign;
beforeAll(async () => {
  group = await createManagerGroup();
  await group.begin();
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  campaign = new Campaign({ seed: SEED }, { group, clock: systemClock, say });
});
afterAll(async () => {
  await group?.lab.destroy();
});

describe('three managers under load', () => {
  it.each([
    [['kill']],
    [['freeze-host']],
    [['freeze-daemon', 'kill']],
    [['deaf']],
    [['mute', 'cut']],
    [['chain']],
    [['restart', 'flicker']],
    [['demote-promote']],
  ])('lose nothing and do nothing twice: %s', async (faults) => {
    const { done, settledMs, failures, victims } = await campaign.round(faults);
    expect(await campaign.check()).toEqual([]);
    // Requests wait out an election: while two of three are there, nobody is refused but at the one that is not.
    if (faults.length === 1) expect(failures.filter(({ host }) => !victims.includes(host))).toEqual([]);
    expect(done).toBeGreaterThan(0);
    expect(settledMs).toBeLessThan(WITHOUT_LEADER_MS);
  });

  it('end on a full disk before they acknowledge what is not on it, say why, and catch up afterwards', async () => {
    await campaign.round(['full-disk']);
    expect(await campaign.check()).toEqual([]);
  });

  it('have the same on their disks when all are killed at once, and go on with it', async () => {
    expect(await campaign.checkDisks()).toEqual([]);
  });
});
