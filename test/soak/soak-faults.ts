import type { Host } from '../lab/host.ts';
import { type Fault, FAULTS, hold, type Surroundings } from '../chaos/faults.ts';
import type { SeededRandom } from '../sim/raft/seeded-random.ts';
import type { SoakSwarm } from './soak-swarm.ts';

const AWAY_MS = { min: 0, max: 3_000 };
const DOWN_MS = { min: 500, max: 10_000 };
const DRAINED_MS = { min: 1_000, max: 5_000 };

/** What somebody does to an overlay by hand, with SPACE for its namespace. */
const MEDDLING = [
  'ip netns del SPACE',
  'for port in $(ip -n SPACE -br link | grep -o "^veth[0-9a-f]*"); do ip -n SPACE link del $port; done',
  'ip -n SPACE link del br0',
  'ip -n SPACE link del vxlan1',
  'ip -n SPACE link set br0 down',
  'ip -n SPACE neigh flush dev vxlan1 nud permanent',
  // Of all routed networks of the host.
  'for lower in $(ip -br link | grep -o "^wgl[0-9a-f]*"); do ip link set $lower down; done',
  'for lower in $(ip -br link | grep -o "^wgl[0-9a-f]*"); do ip link del $lower; done',
  'tc qdisc del dev eth0 clsact',
];

/** Those of the managers' chaos, which are as good for any host; and what happens to engines, containers and whole machines. */
export const SOAK_FAULTS: Readonly<Record<string, Fault<SoakSwarm>>> = {
  ...onAny(FAULTS),
  async 'kill-engine'(swarm, victim, random) {
    await endEngine(swarm, victim, random, 'SIGKILL');
  },
  async 'stop-engine'(swarm, victim, random) {
    await endEngine(swarm, victim, random, 'SIGTERM');
  },
  async 'kill-daemon-and-engine'(swarm, victim, random) {
    await Promise.all([victim.stopService('daemon', 'SIGKILL'), victim.stopService('engine', 'SIGKILL')]);
    chooseMode(swarm, victim, random);
    await hold(random, AWAY_MS);
    await startBoth(swarm, victim, random);
  },
  /** Everything in it is killed; what it had in its kernel is still there. */
  async crash(swarm, victim, random) {
    await victim.crash();
    await hold(random, DOWN_MS);
    await victim.mend();
    await startBoth(swarm, victim, random);
  },
  async reboot(swarm, victim, random) {
    await victim.crash();
    await victim.wipe();
    await hold(random, DOWN_MS);
    await victim.mend();
    await startBoth(swarm, victim, random);
  },
  /** Those of tasks and others alike. */
  async 'kill-containers'(_swarm, victim) {
    await victim.exec(['sh', '-c', 'ids=$(docker ps -q); [ -z "$ids" ] || docker kill $ids'], { check: false });
  },
  async meddle(_swarm, victim, random) {
    const { stdout } = await victim.exec(['ip', 'netns', 'list'], { check: false });
    const space = random.pick(stdout.match(/^1-\w{10}/gm) ?? []);
    const command = random.pick(MEDDLING);
    if (space === undefined || command === undefined) return;
    await victim.exec(['sh', '-c', command.replaceAll('SPACE', space)], { check: false });
  },
  async drain(swarm, victim, random) {
    await setAvailability(swarm, victim, random, 'drain');
    await hold(random, DRAINED_MS);
    await setAvailability(swarm, victim, random, 'active');
  },
};

/** What concerns several hosts, and allows of no other fault meanwhile. */
export const LONE_SOAK_FAULTS: Readonly<Record<string, Fault<SoakSwarm>>> = {
  async 'kill-managers'(swarm, _victim, random) {
    await Promise.all(swarm.managers.map((host) => host.stopService('daemon', 'SIGKILL')));
    await hold(random, AWAY_MS);
    await Promise.all(random.shuffle(swarm.managers).map((host) => host.startDaemon()));
  },
};

function onAny(faults: Readonly<Record<string, Fault<Surroundings>>>): Record<string, Fault<SoakSwarm>> {
  return { ...faults };
}

async function endEngine(swarm: SoakSwarm, victim: Host, random: SeededRandom, how: NodeJS.Signals): Promise<void> {
  await victim.stopService('engine', how);
  chooseMode(swarm, victim, random);
  await hold(random, AWAY_MS);
  await swarm.startEngine(victim);
}

/** The next engine of the host keeps its containers when it ends, or not. */
function chooseMode(swarm: SoakSwarm, victim: Host, random: SeededRandom): void {
  if (random.chance(0.5)) swarm.liveRestore.add(victim);
  else swarm.liveRestore.delete(victim);
}

async function startBoth(swarm: SoakSwarm, victim: Host, random: SeededRandom): Promise<void> {
  const starts = [(): Promise<void> => swarm.startEngine(victim), (): Promise<void> => victim.startDaemon()];
  await Promise.all(random.shuffle(starts).map((start) => start()));
}

/** Until it is taken: availability is the swarm's, and it must be as it was in the end. */
async function setAvailability(
  swarm: SoakSwarm,
  victim: Host,
  random: SeededRandom,
  availability: 'drain' | 'active',
): Promise<void> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const manager = swarm.someManager(random);
    const command = ['node', 'update', '--availability', availability, victim.name];
    if ((await manager.swarmDocker(command, { check: false, timeoutMs: 60_000 })).exitCode === 0) return;
    await hold(random, { min: 200, max: 600 });
  }
  throw new Error(`no manager made ${victim.name} ${availability}`);
}
