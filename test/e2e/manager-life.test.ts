import { readdirSync, rmSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NodeObject } from '../../proto/objects/node.ts';
import { systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { api, apiJson } from '../lab/swarm.ts';

/** What happens to managers in the course of time: they fall behind, die, are removed, come back, move, lose their disk. */

const SLOW = { timeoutMs: 90_000 };
const NO_QUORUM = "can't remove member from the raft: this would result in a loss of quorum";

let lab: Lab;
let token: string;
beforeAll(async () => {
  lab = await createLab({ hosts: 3 });
  const first = lab.host(0);
  await first.waggle(['swarm', 'init', '--advertise-addr', first.address]);
  token = (await first.waggle(['swarm', 'join-token', '-q', 'manager'])).stdout.trim();
  for (const host of [lab.host(1), lab.host(2)]) await join(host, first);
  await untilAllReachable(first);
});
afterAll(async () => {
  await lab?.destroy();
});

interface SwarmInfo {
  NodeID: string;
  NodeAddr: string;
  LocalNodeState: string;
  ControlAvailable: boolean;
  Error: string;
  RemoteManagers: { NodeID: string; Addr: string }[] | null;
}

const raftFolder = (host: Host): string => path.join(host.options.folder, 'lib-waggle/raft');
const snapshotsOf = (host: Host): string[] =>
  readdirSync(raftFolder(host)).filter((name) => /^snapshot-\d+-\d+$/.test(name));
const newestIndex = (host: Host): number => Number(snapshotsOf(host).toSorted().at(-1)?.split('-')[2] ?? 0);

function join(host: Host, manager: Host): Promise<unknown> {
  return host.waggle(['swarm', 'join', '--token', token, `${manager.address}:2377`]);
}

function others(than: Host): [Host, Host] {
  const [one, two] = lab.hosts.filter((host) => host !== than);
  if (one === undefined || two === undefined) throw new Error('there are three hosts');
  return [one, two];
}

async function infoOf(host: Host): Promise<SwarmInfo> {
  return (await apiJson<{ Swarm: SwarmInfo }>(host, 'GET', '/info')).Swarm;
}

async function nodeOf(asked: Host, host: Host): Promise<NodeObject> {
  const { NodeID } = await infoOf(host);
  return apiJson<NodeObject>(asked, 'GET', `/nodes/${NodeID}`);
}

async function managersOf(asked: Host): Promise<NodeObject[]> {
  const nodes = await apiJson<NodeObject[]>(asked, 'GET', '/nodes');
  return nodes.filter((node) => node.ManagerStatus !== undefined && node.ManagerStatus !== null);
}

async function leader(asked: Host): Promise<Host> {
  const leading = (await managersOf(asked)).find((node) => node.ManagerStatus?.Leader === true);
  const host = lab.hosts.find(({ name }) => name === leading?.Description?.Hostname);
  if (host === undefined) throw new Error('nobody is listed as the leader');
  return host;
}

function untilAllReachable(asked: Host): Promise<true> {
  return eventually(
    'three reachable managers, one of them leading',
    async () => {
      const managers = await managersOf(asked);
      const states = managers.map(({ ManagerStatus }) => ManagerStatus?.Reachability);
      const leaders = managers.filter(({ ManagerStatus }) => ManagerStatus?.Leader === true).length;
      if (leaders === 1 && states.join() === 'reachable,reachable,reachable') return true;
      throw new Error(JSON.stringify(managers.map((node) => node.ManagerStatus)));
    },
    SLOW,
  );
}

let written = 0;
async function write(through: Host, count: number): Promise<void> {
  for (let at = 0; at < count; at++) {
    const answer = await api(through, 'POST', '/configs/create', { Name: `c${written++}`, Data: 'eA==' });
    if (answer.status !== 201) throw new Error(answer.text);
  }
}

async function untilWorker(host: Host): Promise<boolean> {
  const { LocalNodeState, ControlAvailable, Error } = await infoOf(host);
  return LocalNodeState === 'active' && !ControlAvailable && Error === '';
}

function untilKnownAt(asked: Host, host: Host, address: string): Promise<true> {
  return eventually(
    `${address} to be known`,
    async () => {
      // It may be on its way back itself.
      const nodes = await apiJson<NodeObject[]>(asked, 'GET', '/nodes');
      const node = nodes.find(
        ({ Description, Status }) => Description?.Hostname === host.name && Status.State === 'ready',
      );
      if (node?.ManagerStatus?.Addr === `${address}:2377` && node.Status.Addr === address) return true;
      throw new Error(JSON.stringify(nodes.map(({ ManagerStatus, Status }) => [ManagerStatus, Status])));
    },
    SLOW,
  );
}

/** The daemon of a host that was stopped, up again. */
async function restart(host: Host): Promise<void> {
  await host.stopService('daemon');
  await host.startDaemon();
}

describe('settings of the cluster', () => {
  it('say how often snapshots are taken, and how many are kept, on every manager', async () => {
    const [a] = [lab.host(0)];
    await a.waggle(['swarm', 'update', '--snapshot-interval', '10', '--max-snapshots', '2']);
    await write(a, 50);
    for (const host of lab.hosts) await eventually('three snapshots', () => snapshotsOf(host).length === 3);
    await a.waggle(['swarm', 'update', '--max-snapshots', '0']);
    await write(a, 15);
    for (const host of lab.hosts) await eventually('one snapshot', () => snapshotsOf(host).length === 1);
  });

  it('let a manager with an old log catch up by a snapshot', async () => {
    const [a, late] = [lab.host(0), lab.host(2)];
    const { Version, Spec } = await apiJson<{ Version: { Index: number }; Spec: { Raft: object } }>(a, 'GET', '/swarm');
    const spec = { ...Spec, Raft: { ...Spec.Raft, LogEntriesForSlowFollowers: 1 } };
    await apiJson(a, 'POST', `/swarm/update?version=${Version.Index}`, spec);
    await late.stopService('daemon');
    const before = newestIndex(late);
    await write(a, 40);
    await late.startDaemon();
    await untilAllReachable(a);
    await eventually('the snapshot to be there', () => newestIndex(late) > before + 20);
    expect(readdirSync(raftFolder(late)).filter((name) => name.endsWith('.incoming'))).toEqual([]);
    expect((await apiJson<unknown[]>(late, 'GET', '/configs')).length).toBe(written);
  });
});

describe('an address that was given', () => {
  it('that is taken away: the node says what to do, and goes on when it is back', async () => {
    const host = lab.host(0);
    const before = host.log('daemon').length;
    await host.renumber(host.address, '192.168.77.94');
    const said = (text: string): Promise<unknown> =>
      eventually(text, () => host.log('daemon').slice(before).includes(text), SLOW);
    await said(`${host.address}, given with --advertise-addr, is no longer an address of this host`);
    await host.renumber('192.168.77.94', host.address);
    await said('this host has the addresses of its node again');
    await untilAllReachable(lab.host(2));
    expect((await infoOf(host)).NodeAddr).toBe(host.address);
  });
});

describe('the leader dies', () => {
  let dead: Host;
  let alive: [Host, Host];

  it('and within moments another one is shown as leader, and it as unreachable', async () => {
    dead = await leader(lab.host(0));
    alive = others(dead);
    const { NodeID } = await infoOf(dead);
    await dead.stopService('daemon', 'SIGKILL');
    const began = systemClock.monotonic();
    await eventually('the new state of the managers', async () => {
      const managers = await managersOf(alive[0]);
      const former = managers.find((node) => node.ID === NodeID)?.ManagerStatus;
      return former?.Reachability === 'unreachable' && managers.some((node) => node.ManagerStatus?.Leader === true);
    });
    process.stdout.write(`leader killed to node ls: ${Math.round(systemClock.monotonic() - began)} ms\n`);
  });

  it('and nobody else may go: demotion is refused, with nothing done', async () => {
    const [asked, other] = alive;
    const before = await nodeOf(asked, other);
    await expect(asked.waggle(['node', 'demote', other.name])).rejects.toThrow(NO_QUORUM);
    const refused = await api(asked, 'POST', `/nodes/${before.ID}/update?version=${before.Version.Index}`, {
      ...before.Spec,
      Role: 'worker',
    });
    expect(refused).toMatchObject({ status: 400, json: { message: expect.stringContaining(NO_QUORUM) } });
    expect((await nodeOf(asked, other)).Spec).toEqual(before.Spec);
    const leave = await api(other, 'POST', '/swarm/leave');
    expect(leave).toMatchObject({ status: 503 });
    expect(leave.text).toContain('Removing this node leaves 1 managers out of 3. Without a Raft quorum');
    expect((await managersOf(asked)).length).toBe(3);
  });

  it('and can itself be demoted and removed', async () => {
    const [asked] = alive;
    await asked.waggle(['node', 'demote', dead.name]);
    await eventually('two managers', async () => (await managersOf(asked)).length === 2);
    const info = await apiJson<{ Warnings: string[] }>(asked, 'GET', '/info');
    expect(info.Warnings).toContainEqual(expect.stringContaining('Running Swarm in a two-manager configuration'));
    await eventually('its removal', () => asked.waggle(['node', 'rm', '--force', dead.name]), SLOW);
  });

  it('and, back with its old data, learns that it is removed, disturbs nobody, and joins anew', async () => {
    const [asked] = alive;
    const before = await leader(asked);
    await dead.startDaemon();
    const info = await eventually(
      'it to be told',
      async () => {
        const told = await infoOf(dead);
        if (told.LocalNodeState !== 'error') throw new Error(JSON.stringify(told));
        return told;
      },
      SLOW,
    );
    expect(info).toMatchObject({ ControlAvailable: false });
    expect(info.Error).toContain('This node was removed from the swarm. Use "docker swarm leave --force"');
    expect(await api(dead, 'GET', '/nodes')).toMatchObject({ status: 503, text: expect.stringContaining('removed') });
    expect((await leader(asked)).name).toBe(before.name);
    await dead.waggle(['swarm', 'leave', '--force']);
    await join(dead, asked);
    await untilAllReachable(dead);
    expect((await apiJson<unknown[]>(dead, 'GET', '/configs')).length).toBe(written);
  });
});

describe('a manager', () => {
  it('that was demoted while it was away comes back as a worker, and may be promoted again', async () => {
    const [asked, host] = [lab.host(0), lab.host(1)];
    const { NodeID } = await infoOf(host);
    await host.stopService('daemon', 'SIGKILL');
    await eventually('it to be missed', async () => {
      const states = (await managersOf(asked)).map(({ ManagerStatus }) => ManagerStatus?.Reachability);
      return states.includes('unreachable');
    });
    await asked.waggle(['node', 'demote', NodeID]);
    await eventually('two managers', async () => (await managersOf(asked)).length === 2);
    await host.startDaemon();
    await eventually('a worker', () => untilWorker(host), SLOW);
    await asked.waggle(['node', 'promote', NodeID]);
    await untilAllReachable(host);
  });

  it('whose Raft log is lost joins anew by itself, under another Raft ID', async () => {
    const host = lab.host(1);
    await host.stopService('daemon');
    rmSync(raftFolder(host), { recursive: true });
    await host.startDaemon();
    await untilAllReachable(host);
    await write(host, 1);
    expect(host.log('daemon')).toContain('joining the managers under another Raft ID');
    expect((await apiJson<unknown[]>(lab.host(0), 'GET', '/nodes')).length).toBe(3);
  });

  it('whose Raft log is lost and that was demoted meanwhile comes back as a worker', async () => {
    const [asked, host] = [lab.host(0), lab.host(1)];
    const { NodeID } = await infoOf(host);
    await host.stopService('daemon');
    rmSync(raftFolder(host), { recursive: true });
    await eventually('its demotion', () => asked.waggle(['node', 'demote', NodeID]));
    await eventually('two managers', async () => (await managersOf(asked)).length === 2);
    await host.startDaemon();
    await eventually('a worker', () => untilWorker(host), SLOW);
    await asked.waggle(['node', 'promote', NodeID]);
    await untilAllReachable(host);
  });

  it('whose data is lost altogether begins another swarm, disturbs nobody, and joins anew beside its former self', async () => {
    const [asked, host] = [lab.host(0), lab.host(2)];
    const former = await infoOf(host);
    const before = await leader(asked);
    const stays = before === host ? undefined : before.name;
    await host.stopService('daemon', 'SIGKILL');
    // The folder itself is a mount point.
    const folder = path.join(host.options.folder, 'lib-waggle');
    for (const name of readdirSync(folder)) rmSync(path.join(folder, name), { recursive: true });
    await host.startDaemon();
    expect((await infoOf(host)).LocalNodeState).toBe('inactive');
    await host.waggle(['swarm', 'init', '--advertise-addr', host.address]);
    await eventually('the others to see whom they have there', () =>
      [...others(host)].some((each) => each.log('daemon').includes('a manager of another swarm has this address')),
    );
    expect((await apiJson<unknown[]>(host, 'GET', '/nodes')).length).toBe(1);
    await write(asked, 1);
    if (stays !== undefined) expect((await leader(asked)).name).toBe(stays);
    await host.waggle(['swarm', 'leave', '--force']);
    await join(host, asked);
    await asked.waggle(['node', 'demote', former.NodeID]);
    await eventually('its former self to be removed', () => asked.waggle(['node', 'rm', '-f', former.NodeID]), SLOW);
    await untilAllReachable(host);
  });

  it('whose log is damaged does not start, says where, and starts when it is mended', async () => {
    const host = lab.host(2);
    await host.stopService('daemon');
    const flip = (): number => {
      const database = new DatabaseSync(path.join(raftFolder(host), 'log.db'));
      const row = database.prepare('SELECT at, data FROM entries WHERE length(data) > 9 ORDER BY at LIMIT 1').get();
      const data = Buffer.from(row?.['data'] as Uint8Array);
      data.writeUInt8(data.readUInt8(5) ^ 1, 5);
      database.prepare('UPDATE entries SET data = ? WHERE at = ?').run(data, Number(row?.['at']));
      database.close();
      return Number(row?.['at']);
    };
    const entry = flip();
    await host.startDaemon();
    const text = await eventually('the damage to be told', async () => (await infoOf(host)).Error || false);
    expect(text).toContain(`raft/log.db: entry ${entry} is damaged`);
    expect((await infoOf(host)).ControlAvailable).toBe(false);
    await host.stopService('daemon');
    flip();
    await host.startDaemon();
    await untilAllReachable(host);
  });

  it('whose host was renumbered is found by the others, and all of them show its new address', async () => {
    const asked = lab.host(0);
    const host = lab.host(1);
    const moved = '192.168.77.92';
    await asked.waggle(['network', 'create', '-d', 'overlay', '--attachable', 'net1']);
    for (const each of [asked, host]) {
      await eventually('the network', () => each.docker(['network', 'inspect', 'net1']), SLOW);
      await each.docker(['run', '-d', '--name', `on-${each.name}`, '--network', 'net1', TEST_IMAGE, 'sleep', '1000']);
    }
    await host.stopService('daemon');
    await host.renumber(host.address, moved);
    await host.startDaemon();
    await untilKnownAt(asked, host, moved);
    await untilAllReachable(host);
    const info = await infoOf(host);
    expect(info.NodeAddr).toBe(moved);
    for (const each of [asked, host]) {
      await eventually('managers as the sessions tell them', async () => {
        const { RemoteManagers } = await infoOf(each);
        return RemoteManagers?.some(({ NodeID, Addr }) => NodeID === info.NodeID && Addr === `${moved}:2377`) === true;
      });
    }
    expect((await host.waggle(['swarm', 'join-token', 'worker'])).stdout).toContain(`${moved}:2377`);
    await write(host, 1);
    // Its containers have moved with it.
    const ping = ['exec', `on-${asked.name}`, 'ping', '-c', '1', '-W', '1', `on-${host.name}`];
    await eventually('the containers to reach each other', () => asked.docker(ping), SLOW);
    // The others find it as a leader too, also after a restart of their own.
    await restart(asked);
    await untilAllReachable(asked);
  });

  it('whose host is renumbered while it runs is found by the others, and so are its containers', async () => {
    const [asked, host] = [lab.host(0), lab.host(1)];
    const [former, moved] = [(await infoOf(host)).NodeAddr, '192.168.77.93'];
    await host.renumber(former, moved);
    const began = systemClock.monotonic();
    await untilKnownAt(asked, host, moved);
    process.stdout.write(`renumbered to node inspect: ${Math.round(systemClock.monotonic() - began)} ms\n`);
    await untilAllReachable(host);
    await write(host, 1);
    const ping = (to: Host): string[] => ['ping', '-c', '1', '-W', '1', `on-${to.name}`];
    await eventually(
      'its containers to be reached',
      () => asked.docker(['exec', `on-${asked.name}`, ...ping(host)]),
      SLOW,
    );
    await eventually('others to be reached', () => host.docker(['exec', `on-${host.name}`, ...ping(asked)]), SLOW);
  });
});
