import { sleep, systemClock } from '../../proto/runtime/clock.ts';
import type { Host } from '../lab/host.ts';
import type { Bench, BenchContext } from './bench.ts';
import type { Metric } from './ledger.ts';
import { createService, removeService } from './services.ts';
import type { Side, SideName } from './side.ts';
import { filter } from './socket-api.ts';
import { eachSide } from './stage.ts';

const MANAGERS = 3;
/** All on the host that is lost: its neighbours are drained while they are placed. */
const TASKS = 6;
const SERVICE = 'bench-loss';
const POLL_MS = 50;
const TIMEOUT_MS = 180_000;

interface Way {
  id: string;
  lose: (host: Host) => Promise<void>;
  back: (side: Side, host: Host) => Promise<void>;
}

const WAYS: readonly Way[] = [
  { id: 'killed', lose: (host) => host.crash(), back: restart },
  { id: 'cut off', lose: (host) => host.cut(), back: (_side, host) => host.mend() },
  { id: 'frozen', lose: async (host) => host.freeze(), back: async (_side, host) => host.thaw() },
];

interface NodeInfo {
  ID: string;
  Version: { Index: number };
  Spec: object;
  Status: { State: string };
  Description: { Hostname: string };
}

interface TaskInfo {
  NodeID: string;
  DesiredState: string;
  Status: { State: string };
}

/** A host that is lost: until its node is down, and until its tasks run elsewhere, as seen by the API of the leader. */
export const losses: Bench = {
  name: 'losses',
  summary: `a manager that does not lead is lost with ${TASKS} tasks; GET /nodes and /tasks every ${POLL_MS} ms at the leader`,
  weight: 60,
  async run(context) {
    const sides = eachSide(await context.stage.dissolve());
    await context.interleave(
      WAYS.flatMap((way) =>
        sides.map(([name, side]) => ({ id: `node ${way.id} ${name}`, measure: () => measure(context, side, way) })),
      ),
    );
  },
};

async function measure(context: BenchContext, side: Side, way: Way): Promise<void> {
  const host = side.lab.host(MANAGERS - 1);
  try {
    await side.form(MANAGERS, 0);
    await placeTasks(side, host);
    const began = systemClock.monotonic();
    await way.lose(host);
    try {
      const node = await nodeOf(side, host);
      await until(async () => (await nodeOf(side, host)).Status.State === 'down');
      record(context, side.name, `node ${way.id}: down`, systemClock.monotonic() - began);
      await until(async () => (await runningElsewhere(side, node.ID)) >= TASKS);
      record(context, side.name, `node ${way.id}: ${TASKS} tasks elsewhere`, systemClock.monotonic() - began);
    } finally {
      await way.back(side, host);
    }
    await until(async () => (await nodeOf(side, host)).Status.State === 'ready');
    await removeService(side, SERVICE);
  } finally {
    await side.dissolve();
  }
}

async function placeTasks(side: Side, host: Host): Promise<void> {
  const others = side.lab.hosts.filter((each) => each !== host);
  for (const each of others) await setAvailability(side, each, 'drain');
  await createService(side, { name: SERVICE, replicas: TASKS });
  for (const each of others) await setAvailability(side, each, 'active');
}

async function setAvailability(side: Side, host: Host, Availability: string): Promise<void> {
  const { ID, Version, Spec } = await nodeOf(side, host);
  await side.api.post(`/nodes/${ID}/update?version=${Version.Index}`, { ...Spec, Availability });
}

async function nodeOf(side: Side, host: Host): Promise<NodeInfo> {
  const nodes = await side.api.get<NodeInfo[]>('/nodes');
  const found = nodes.find(({ Description }) => Description.Hostname === host.name);
  if (found === undefined) throw new Error(`${host.name} is no node of ${side.name}`);
  return found;
}

async function runningElsewhere(side: Side, nodeId: string): Promise<number> {
  const tasks = await side.api.get<TaskInfo[]>(`/tasks?${filter('service', SERVICE)}`);
  return tasks.filter(
    ({ NodeID, DesiredState, Status }) => NodeID !== nodeId && DesiredState === 'running' && Status.State === 'running',
  ).length;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const deadline = systemClock.monotonic() + TIMEOUT_MS;
  while (!(await condition())) {
    if (systemClock.monotonic() > deadline) throw new Error(`nothing after ${TIMEOUT_MS} ms`);
    await sleep(systemClock, POLL_MS);
  }
}

async function restart(side: Side, host: Host): Promise<void> {
  await host.mend();
  await host.startEngine();
  if (side.name === 'waggle') await host.startDaemon(['--log-level', 'info']);
}

function record({ ledger, say }: BenchContext, name: SideName, what: string, tookMs: number): void {
  const metric: Metric = { name: what, unit: 's', better: 'less' };
  ledger.add(metric, name, tookMs / 1000);
  say(`${name}: ${what} ${(tookMs / 1000).toFixed(2)} s`);
}
