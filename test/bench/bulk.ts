import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import type { Bench, BenchContext } from './bench.ts';
import type { Metric } from './ledger.ts';
import type { Side } from './side.ts';
import { SocketApi } from './socket-api.ts';

const OBJECTS = 10_000;
/** Written by one client while the snapshot that the objects call for is taken. */
const LAST = 300;
const CLIENTS = 32;
const DATA = Buffer.alloc(100, 'x').toString('base64');
const PING_EVERY_MS = 2;

/** A swarm with much state, on Waggle's side alone: Docker Swarm takes a minute to be given as much. */
export const bulk: Bench = {
  name: 'bulk',
  summary: `${OBJECTS} configs on 2 managers: longest wait for an answer while a snapshot is taken, a third manager joins, a restart, memory`,
  weight: 10,
  async run(context) {
    const { waggle } = await context.stage.dissolve();
    await context.interleave([{ id: 'bulk waggle', measure: () => measure(context, waggle) }]);
  },
};

async function measure({ ledger, say }: BenchContext, side: Side): Promise<void> {
  const record = (name: string, unit: string, value: number): void => {
    const metric: Metric = { name: `${OBJECTS} configs: ${name}`, unit, better: 'less' };
    ledger.add(metric, 'waggle', value);
    say(`waggle: ${metric.name}: ${value.toFixed(1)} ${unit}`);
  };
  try {
    await side.form(2, 0);
    const leader = await side.leader();
    const [other, newcomer] = [side.lab.hosts.find((host) => host !== leader) ?? leader, side.lab.host(2)];
    const api = new SocketApi(side.socketPath(leader), CLIENTS);
    const next = counter();
    const create = (): Promise<unknown> =>
      api.post('/configs/create', { Name: `bulk-${next()}`, Labels: {}, Data: DATA });
    await inParallel(CLIENTS, OBJECTS - LAST, create);
    record(
      'longest wait for an answer around the snapshot',
      'ms',
      await longestPing(api, () => inParallel(1, LAST, create)),
    );
    record('memory of the leader', 'MiB', residentMiB(leader));
    record('another manager joins', 's', await timed(() => join(side, newcomer)));
    record('restart of a manager until it lists them', 's', await timed(() => restart(side, other)));
    api.close();
  } finally {
    await side.dissolve();
  }
}

async function restart(side: Side, host: Host): Promise<void> {
  await host.stopService('daemon', 'SIGKILL');
  await host.startDaemon(['--log-level', 'info']);
  const api = new SocketApi(side.socketPath(host));
  try {
    await eventually(
      'the restarted manager to answer',
      async () => (await api.get<unknown[]>('/configs')).length === OBJECTS,
      {
        everyMs: 20,
      },
    );
  } finally {
    api.close();
  }
}

async function join(side: Side, host: Host): Promise<void> {
  const { JoinTokens } = await side.api.get<{ JoinTokens: { Manager: string } }>('/swarm');
  const api = side.apiOf(side.lab.hosts.indexOf(host));
  await api.post('/swarm/join', {
    ListenAddr: '0.0.0.0:2377',
    AdvertiseAddr: host.address,
    RemoteAddrs: [`${side.lab.host(0).address}:2377`],
    JoinToken: JoinTokens.Manager,
  });
}

/** Asks all the time while `work` goes on; an answer takes as long as the event loop is held up. */
async function longestPing(api: SocketApi, work: () => Promise<void>): Promise<number> {
  let longest = 0;
  let done = false;
  const pinging = (async () => {
    while (!done) {
      const began = systemClock.monotonic();
      // Nothing is behind it: the daemon itself says so.
      await api.get('/swarm/none').catch(() => undefined);
      longest = Math.max(longest, systemClock.monotonic() - began);
      await wait(PING_EVERY_MS);
    }
  })();
  await work();
  done = true;
  await pinging;
  return longest;
}

async function inParallel(clients: number, count: number, work: () => Promise<unknown>): Promise<void> {
  let left = count;
  const client = async (): Promise<void> => {
    while (left-- > 0) await work();
  };
  await Promise.all(Array.from({ length: clients }, client));
}

async function timed(work: () => Promise<void>): Promise<number> {
  const began = systemClock.monotonic();
  await work();
  return (systemClock.monotonic() - began) / 1000;
}

function counter(): () => number {
  let count = 0;
  return () => count++;
}

/** Of the daemon. */
function residentMiB(host: Host): number {
  const status = readFileSync(`/proc/${host.servicePid('daemon')}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024;
}
