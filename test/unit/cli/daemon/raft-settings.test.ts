import { expect, it } from 'vitest';
import { RaftSettingsLoop, raftSettings } from '../../../../cli/daemon/raft-settings.ts';
import type { RaftSettings } from '../../../../manager/raft/raft-settings.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';
import { controlFixture } from '../../manager/controlapi/control-fixture.ts';

const DEFAULTS: RaftSettings = {
  snapshotInterval: 10_000,
  keepOldSnapshots: 0,
  entriesForSlowFollowers: 500,
  heartbeatTicks: 2,
  electionTicks: 15,
};

const CASES = [
  { id: 'no spec', spec: undefined, is: {} },
  { id: 'zeros', spec: { SnapshotInterval: 0, ElectionTick: 0 }, is: {} },
  { id: "Docker's defaults", spec: { SnapshotInterval: 10_000, ElectionTick: 10, HeartbeatTick: 1 }, is: {} },
  {
    id: 'snapshots',
    spec: { SnapshotInterval: 7, KeepOldSnapshots: 3 },
    is: { snapshotInterval: 7, keepOldSnapshots: 3 },
  },
  { id: 'slow followers', spec: { LogEntriesForSlowFollowers: 9 }, is: { entriesForSlowFollowers: 9 } },
  { id: 'timers', spec: { ElectionTick: 20, HeartbeatTick: 3 }, is: { electionTicks: 30, heartbeatTicks: 6 } },
  // Docker takes them; a leader must still be heard of before it is missed.
  {
    id: 'timers the wrong way round',
    spec: { ElectionTick: 1, HeartbeatTick: 5 },
    is: { electionTicks: 11, heartbeatTicks: 10 },
  },
];
it.each(CASES)('$id', ({ spec, is }) => {
  expect(raftSettings(spec)).toEqual({ ...DEFAULTS, ...is });
});

it('are taken from the store, and again with each change of the cluster', async () => {
  const { store, control, clock } = await controlFixture();
  const configured: RaftSettings[] = [];
  const raft = { configure: (settings: RaftSettings) => void configured.push(settings) };
  const loop = new RaftSettingsLoop({ store, raft, clock, log: silentLog });
  await loop.start();
  await settle();
  expect(configured).toEqual([DEFAULTS]);
  const version = (await control.getCluster())['Version'] as { Index: number };
  await control.updateCluster({
    version: version.Index,
    spec: { Name: 'default', Raft: { SnapshotInterval: 5 } },
    rotateWorkerToken: false,
    rotateManagerToken: false,
    rotateManagerUnlockKey: false,
  });
  await clock.advance(1);
  expect(configured.at(-1)).toEqual({ ...DEFAULTS, snapshotInterval: 5 });
  await loop.stop();
  expect(clock.next()).toBeUndefined();
});
