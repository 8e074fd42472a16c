import type { NodeObject } from '../../proto/objects/node.ts';
import { sleep, systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { signal } from '../lab/processes.ts';
import { apiJson } from '../lab/swarm.ts';
import type { SeededRandom } from '../sim/raft/seeded-random.ts';
import type { ManagerGroup } from './manager-group.ts';

/** Something that happens to one of several hosts, and is over when its promise resolves. */
export type Fault<Place = ManagerGroup> = (place: Place, victim: Host, random: SeededRandom) => Promise<void>;

/** What a fault needs of the hosts around its victim. */
export type Surroundings = Pick<ManagerGroup, 'startDaemon' | 'others' | 'drop' | 'hearAll'>;

const FREEZE_MS = { min: 500, max: 8_000 };
const CUT_MS = { min: 300, max: 6_000 };
const DOWN_MS = { min: 0, max: 2_500 };
const HASTE_MS = { min: 0, max: 600 };
const SLOW = { timeoutMs: 120_000 };

type Range = Readonly<{ min: number; max: number }>;

export function hold(random: SeededRandom, { min, max }: Range): Promise<void> {
  return sleep(systemClock, random.int(min, max));
}

/** What may happen to several managers at once. */
export const FAULTS: Readonly<Record<string, Fault<Surroundings>>> = {
  async kill(group, victim, random) {
    await victim.stopService('daemon', 'SIGKILL');
    await hold(random, DOWN_MS);
    await group.startDaemon(victim);
  },
  /** In good order: a leader hands over. */
  async restart(group, victim, random) {
    await victim.stopService('daemon');
    await hold(random, DOWN_MS);
    await group.startDaemon(victim);
  },
  async 'freeze-daemon'(_group, victim, random) {
    const pid = victim.servicePid('daemon');
    if (pid === undefined) return;
    signal([pid], 'SIGSTOP');
    await hold(random, FREEZE_MS);
    signal([pid], 'SIGCONT');
  },
  async 'freeze-host'(_group, victim, random) {
    victim.freeze();
    await hold(random, FREEZE_MS);
    victim.thaw();
  },
  async cut(_group, victim, random) {
    await victim.cut();
    await hold(random, CUT_MS);
    await victim.mend();
  },
  /** It is heard and hears nothing. */
  async deaf(group, victim, random) {
    await group.drop(victim, 'in', group.others(victim));
    await hold(random, CUT_MS);
    await group.hearAll(victim);
  },
  /** It hears and is not heard. */
  async mute(group, victim, random) {
    await group.drop(victim, 'out', group.others(victim));
    await hold(random, CUT_MS);
    await group.hearAll(victim);
  },
  /** Each has a majority that it can talk to, and no two the same. */
  async chain(group, victim, random) {
    const peers = random.shuffle(group.others(victim)).slice(0, 1);
    await group.drop(victim, 'in', peers);
    await group.drop(victim, 'out', peers);
    await hold(random, CUT_MS);
    await group.hearAll(victim);
  },
  async flicker(_group, victim, random) {
    for (let turn = 0; turn < 5; turn++) {
      await victim.cut();
      await hold(random, { min: 50, max: 700 });
      await victim.mend();
      await hold(random, { min: 50, max: 700 });
    }
  },
};

/** What needs the others to be there. */
export const LONE_FAULTS: Readonly<Record<string, Fault>> = {
  /** The daemon ends, says why, and is as it was once there is room again. */
  async 'full-disk'(group, victim) {
    const before = victim.log('daemon').length;
    await group.fillDisk(victim);
    await eventually('the daemon to end on a full disk', () => !victim.isRunning('daemon'), SLOW);
    const said = victim.log('daemon').slice(before);
    if (!/raft cannot go on, this manager must stop/.test(said) || !/disk is full|ENOSPC/.test(said)) {
      throw new Error(`${victim.name} ended on a full disk without saying so: ${said.slice(-1_000)}`);
    }
    await group.freeDisk(victim);
    await group.startDaemon(victim);
  },
  async 'kill-all'(group, _victim, random) {
    await Promise.all(group.hosts.map((host) => host.stopService('daemon', 'SIGKILL')));
    for (const host of random.shuffle(group.hosts)) await group.startDaemon(host);
  },
  /** Also while it has not noticed yet that it was demoted. */
  async 'demote-promote'(group, victim, random) {
    const [asked] = group.others(victim);
    if (asked === undefined) return;
    const { ID } = await nodeOf(group, asked, victim);
    const isHasty = random.chance(0.6);
    await eventually('its demotion', () => asked.waggle(['node', 'demote', ID]), SLOW);
    if (isHasty) await hold(random, HASTE_MS);
    else await group.untilManagers(asked, group.hosts.length - 1);
    await eventually('its promotion', () => asked.waggle(['node', 'promote', ID]), SLOW);
    await group.untilManagers(victim, group.hosts.length);
  },
  async 'leave-join'(group, victim) {
    const [asked] = group.others(victim);
    if (asked === undefined) return;
    const { ID } = await nodeOf(group, asked, victim);
    await eventually('its demotion', () => asked.waggle(['node', 'demote', ID]), SLOW);
    await group.untilManagers(asked, group.hosts.length - 1);
    await eventually('its leave', () => victim.waggle(['swarm', 'leave', '--force']), SLOW);
    await group.join(victim);
    await eventually('its former self to be removed', () => asked.waggle(['node', 'rm', '--force', ID]), SLOW);
  },
};

async function nodeOf(group: ManagerGroup, asked: Host, host: Host): Promise<NodeObject> {
  const managers = await eventually('the managers', () => group.managers(asked), SLOW);
  const { Swarm } = await apiJson<{ Swarm: { NodeID: string } }>(host, 'GET', '/info');
  const found = managers.find(({ ID }) => ID === Swarm.NodeID);
  if (found === undefined) throw new Error(`${host.name} is not among the managers`);
  return found;
}
