import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../proto/runtime/clock.ts';
import { silentLog } from '../../proto/runtime/log.ts';
import type { EndpointRecord, LocalEndpoint } from '../../worker/gossip/endpoint-table.ts';
import type { AssignedNetwork } from '../../worker/network/assigned-network.ts';
import { Batch } from '../../worker/network/system/batch.ts';
import type { PluginNodeInput, PluginNodeOutput } from '../fixtures/plugin-node.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { run } from '../lab/run.ts';

const NODE = path.resolve(import.meta.dirname, '../../node_modules/.bin/node');
const PROGRAM = path.resolve(import.meta.dirname, '../fixtures/plugin-node.ts');
const NET1 = 'net1aaaaaaaaaaaaaaaaaaaaa';
const NET2 = 'net2bbbbbbbbbbbbbbbbbbbbb';

function assignedNetwork(id: string, name: string, vni: number, third: number): AssignedNetwork {
  const subnet = { Subnet: `10.91.${third}.0/24`, Gateway: `10.91.${third}.1`, IPRange: `10.91.${third}.0/24` };
  return {
    ID: id,
    Version: { Index: 1 },
    CreatedAt: '',
    UpdatedAt: '',
    Spec: { Name: name, Attachable: true },
    Allocated: { Driver: 'overlay', VNIs: [vni], Subnets: [subnet], Options: {} },
  };
}

const NETWORKS = [assignedNetwork(NET1, 'net1', 4097, 1), assignedNetwork(NET2, 'net2', 4098, 2)];

/** A host with its plugin process; the test itself carries records between hosts, as gossip would. */
class PluginNode {
  readonly host: Host;
  extra: EndpointRecord[] = [];
  output: PluginNodeOutput = { kind: 'published', published: [], released: [], troubled: [] };
  #child: ChildProcess | undefined;
  #remote: EndpointRecord[] = [];

  constructor(host: Host) {
    this.host = host;
  }

  get vtep(): string {
    return this.host.address;
  }

  async start(): Promise<void> {
    const folder = path.join(this.host.options.folder, 'lib-waggle');
    mkdirSync(folder, { recursive: true });
    writeFileSync(path.join(folder, 'input.json'), JSON.stringify(this.#input()));
    const [file, args] = this.host.inside([NODE, PROGRAM, this.vtep, '/var/lib/waggle']);
    const log = openSync(path.join(this.host.options.folder, 'plugin.log'), 'a');
    const child = spawn(file, args, { stdio: ['ignore', log, log, 'ipc'] });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      child.on('message', (message) => {
        this.output = message as PluginNodeOutput;
        if (this.output.kind === 'ready') resolve();
        if (this.output.kind === 'published' || this.output.kind === 'ready') share();
      });
      child.once('exit', () => reject(new Error(`the plugin of ${this.host.name} has ended`)));
    });
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  learn(records: EndpointRecord[]): void {
    this.#remote = records;
    this.send({});
  }

  send(change: Partial<PluginNodeInput>): void {
    if (this.#child?.connected === true) this.#child.send({ ...this.#input(), ...change });
  }

  async purge(): Promise<void> {
    this.send({ purge: true });
    await eventually('everything to be taken down', () => this.output.kind === 'purged');
  }

  #input(): PluginNodeInput {
    return { networks: NETWORKS, tasks: [], records: [...this.#remote, ...this.extra] };
  }
}

let lab: Lab;
let nodes: PluginNode[] = [];

function share(): void {
  const all = nodes.flatMap((node) => node.output.published.map((each) => recordOf(node, each)));
  for (const node of nodes) node.learn(all);
}

function recordOf(node: PluginNode, endpoint: LocalEndpoint): EndpointRecord {
  return { ...endpoint, owner: node.host.name };
}

function node(index: number): PluginNode {
  const found = nodes[index];
  if (found === undefined) throw new Error(`no node ${index}`);
  return found;
}

async function createTwin(host: Host, network: AssignedNetwork): Promise<void> {
  const { Subnet = '', Gateway = '' } = network.Allocated.Subnets[0] ?? {};
  const option = `waggle.network=${network.ID}`;
  const addresses = ['--subnet', Subnet, '--gateway', Gateway];
  const drivers = ['-d', 'waggle', '-o', option, '--ipam-driver', 'waggle', '--ipam-opt', option];
  await host.docker(['network', 'create', ...drivers, ...addresses, '--attachable', network.Spec.Name]);
}

async function runContainer(host: Host, name: string, network: string, ...more: string[]): Promise<void> {
  const place = ['--name', name, '--network', network];
  await host.docker(['run', '-d', '--stop-timeout', '1', ...place, ...more, TEST_IMAGE, 'sleep', '100000']);
}

async function addressOf(host: Host, name: string, network: string): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
  return (await host.docker(['inspect', '-f', format, name])).stdout.trim();
}

function ping(host: Host, from: string, to: string): Promise<{ exitCode: number }> {
  return host.docker(['exec', from, 'ping', '-c', '1', '-W', '1', to], { check: false });
}

async function untilPings(host: Host, from: string, to: string, timeoutMs = 5_000): Promise<void> {
  await eventually(`${from} to reach ${to}`, async () => (await ping(host, from, to)).exitCode === 0, { timeoutMs });
}

async function overlayShow(host: Host, networkId: string, tool: string, ...args: string[]): Promise<string> {
  return (await host.exec([tool, '-n', `1-${networkId.slice(0, 10)}`, ...args], { check: false })).stdout;
}

/** A containerd that died with its engine may stay a zombie here, which the next engine would take for alive. */
async function killEngine(host: Host): Promise<void> {
  await host.stopService('engine', 'SIGKILL');
  rmSync(path.join(host.options.folder, 'run/docker/containerd/containerd.pid'), { force: true });
}

beforeAll(async () => {
  lab = await createLab({ hosts: 2, daemons: false, engines: false });
  nodes = lab.hosts.map((host) => new PluginNode(host));
  await Promise.all(nodes.map((each) => each.start()));
  await Promise.all(
    lab.hosts.map(async (host) => {
      await host.startEngine();
      await host.loadImage();
      for (const network of NETWORKS) await createTwin(host, network);
    }),
  );
});

afterAll(async () => {
  for (const each of nodes) await each.kill();
  await lab?.destroy();
});

describe('two hosts with the engine that Debian ships', () => {
  it('connects containers of one network across hosts, and none across networks', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    await runContainer(a, 'net1c1', 'net1', '--cap-add', 'NET_ADMIN');
    await runContainer(b, 'net1c2', 'net1');
    await runContainer(a, 'net2c1', 'net2');
    await runContainer(b, 'net2c2', 'net2');
    const net1c2 = await addressOf(b, 'net1c2', 'net1');
    await untilPings(a, 'net1c1', net1c2);
    await untilPings(a, 'net2c1', await addressOf(b, 'net2c2', 'net2'));
    expect((await ping(a, 'net1c1', await addressOf(b, 'net2c2', 'net2'))).exitCode).not.toBe(0);
    expect((await ping(a, 'net1c1', await addressOf(a, 'net2c1', 'net2'))).exitCode).not.toBe(0);
    const links = (await a.docker(['exec', 'net1c1', 'ip', 'addr'])).stdout;
    expect(links).toMatch(/eth0.* mtu 1450/);
    expect(links).toContain('02:42:0a:5b:01');
    expect(links).toMatch(/eth1/);
  });

  it('shows the documented devices in the namespace of the network', async () => {
    const a = lab.host(0);
    const links = await overlayShow(a, NET1, 'ip', '-d', 'link');
    expect(links).toMatch(/vxlan1.*mtu 1450.*master br0/);
    expect(links).toMatch(/vxlan id 4097 local 192.168.77.11 .*dstport 4789 nolearning/);
    expect(links).toMatch(/veth[0-9a-f]{7}@.*master br0/);
    const mac = '02:42:0a:5b:01';
    expect(await overlayShow(a, NET1, 'bridge', 'fdb', 'show', 'dev', 'vxlan1')).toMatch(
      new RegExp(`${mac}:.. dst 192.168.77.12 .*self permanent`),
    );
    expect(await overlayShow(a, NET1, 'ip', 'neigh')).toMatch(/10\.91\.1\.\d+ dev vxlan1 lladdr .* PERMANENT/);
    expect(await overlayShow(a, NET1, 'ip', 'addr', 'show', 'br0')).toContain('10.91.1.1/24');
  });

  it('publishes ports and reaches the outside by the engine own bridge', async () => {
    const a = lab.host(0);
    await runContainer(a, 'web', 'net1', '-p', '8080:80');
    expect((await a.docker(['port', 'web'])).stdout).toContain('8080');
    await untilPings(a, 'web', lab.host(1).address);
    await a.docker(['rm', '-f', 'web']);
  });

  it('connects and disconnects a running container', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const there = await addressOf(b, 'net2c2', 'net2');
    await a.docker(['network', 'connect', 'net2', 'net1c1']);
    await untilPings(a, 'net1c1', there);
    await a.docker(['network', 'disconnect', 'net2', 'net1c1']);
    expect((await ping(a, 'net1c1', there)).exitCode).not.toBe(0);
    await untilPings(a, 'net1c1', await addressOf(b, 'net1c2', 'net1'));
  });

  it('takes the address a container asks for', async () => {
    const a = lab.host(0);
    await runContainer(a, 'fixed', 'net1', '--ip', '10.91.1.77');
    expect(await addressOf(a, 'fixed', 'net1')).toBe('10.91.1.77');
    await untilPings(lab.host(1), 'net1c2', '10.91.1.77');
    await a.docker(['rm', '-f', 'fixed']);
    expect(node(0).output.released).toContain('10.91.1.77');
  });

  it('refuses a network that the swarm does not have, in clear words', async () => {
    const drivers = ['-d', 'waggle', '--ipam-driver', 'waggle'];
    const missing = await lab.host(0).docker(['network', 'create', ...drivers, 'wild'], { check: false });
    expect(missing.stderr).toContain('waggle.network is missing');
    const unknown = ['--ipam-opt', 'waggle.network=nowhere', '--subnet', '10.99.0.0/24'];
    const result = await lab.host(0).docker(['network', 'create', ...drivers, ...unknown, 'wild'], { check: false });
    expect(result.stderr).toContain('nowhere is not known on this node');
  });
});

describe('repair', () => {
  const namespace = `1-${NET1.slice(0, 10)}`;

  const drifts: { id: string; commands: string[][] }[] = [
    {
      id: 'forwarding row deleted',
      commands: [['bridge', '-n', namespace, 'fdb', 'del', 'MAC', 'dev', 'vxlan1', 'dst', '192.168.77.12', 'self']],
    },
    { id: 'neighbour deleted', commands: [['ip', '-n', namespace, 'neigh', 'del', 'IP', 'dev', 'vxlan1']] },
    { id: 'vxlan device down', commands: [['ip', '-n', namespace, 'link', 'set', 'vxlan1', 'down']] },
    { id: 'bridge down', commands: [['ip', '-n', namespace, 'link', 'set', 'br0', 'down']] },
    { id: 'vxlan device deleted', commands: [['ip', '-n', namespace, 'link', 'del', 'vxlan1']] },
    { id: 'bridge deleted', commands: [['ip', '-n', namespace, 'link', 'del', 'br0']] },
  ];

  it.each(drifts)('finds within one audit: $id', async ({ commands }) => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const there = await addressOf(b, 'net1c2', 'net1');
    const mac = `02:42:${there
      .split('.')
      .map((part) => Number(part).toString(16).padStart(2, '0'))
      .join(':')}`;
    await untilPings(a, 'net1c1', there);
    for (const command of commands) {
      await a.exec(command.map((word) => word.replace('MAC', mac).replace('IP', there)));
    }
    // The container must ask again, and not remember.
    await a.docker(['exec', 'net1c1', 'arp', '-d', there], { check: false });
    expect((await ping(a, 'net1c1', there)).exitCode).not.toBe(0);
    await untilPings(a, 'net1c1', there, 10_000);
  });

  it('follows an address that moves to the other host at once', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    await runContainer(b, 'mover', 'net1', '--ip', '10.91.1.88');
    await untilPings(a, 'net1c1', '10.91.1.88');
    await b.docker(['rm', '-f', 'mover']);
    await runContainer(a, 'mover', 'net1', '--ip', '10.91.1.88');
    await untilPings(b, 'net1c2', '10.91.1.88');
    await untilPings(a, 'net1c1', '10.91.1.88');
    await a.docker(['rm', '-f', 'mover']);
  });
});

describe('restarts', () => {
  it('keeps traffic while the plugin is killed, and knows its endpoints when it is back', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const there = await addressOf(b, 'net1c2', 'net1');
    await node(0).kill();
    expect((await ping(a, 'net1c1', there)).exitCode).toBe(0);
    await node(0).start();
    await eventually('records to be there', () => node(0).output.published.length === 2);
    await untilPings(a, 'net1c1', there);
    await runContainer(a, 'later', 'net1');
    await untilPings(a, 'later', there);
    await a.docker(['rm', '-f', 'later']);
  });

  it('loses nothing and keeps nothing when the engine is killed and comes back', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    await killEngine(a);
    await a.startEngine();
    await eventually('stale endpoints to be gone', () => node(0).output.published.length === 0, { timeoutMs: 60_000 });
    await a.docker(['start', 'net1c1']);
    await a.docker(['start', 'net2c1']);
    await untilPings(a, 'net1c1', await addressOf(b, 'net1c2', 'net1'));
    const ports = (await overlayShow(a, NET1, 'ip', '-br', 'link'))
      .split('\n')
      .filter((line) => line.startsWith('veth'));
    expect(ports).toHaveLength(1);
  });

  it('takes down what the engine does not know, and takes up what only the engine knows', async () => {
    const [a, b] = [lab.host(0), lab.host(1)];
    const folder = path.join(a.options.folder, 'lib-waggle/network/endpoints');
    await node(0).kill();
    const known = readdirSync(folder);
    expect(known.length).toBe(2);
    for (const file of known) rmSync(path.join(folder, file));
    const ghost = 'dead'.repeat(16);
    const row = { endpointId: ghost, localNetworkId: 'x', networkId: NET1, address: '10.91.1.200/24' };
    const rest = { mac: '02:42:0a:5b:01:c8', sandboxKey: '', state: 'joined' };
    writeFileSync(path.join(folder, `${ghost}.json`), JSON.stringify({ ...row, ...rest }));
    await node(0).start();
    await eventually('both endpoints to be known again', () => node(0).output.published.length === 3);
    await untilPings(a, 'net1c1', await addressOf(b, 'net1c2', 'net1'));
    await untilPings(b, 'net1c2', await addressOf(a, 'net1c1', 'net1'));
    await eventually('the ghost to be gone', () => node(0).output.published.length === 2);
    expect(node(0).output.published.map((each) => each.endpointId)).not.toContain(ghost);
  });
});

describe('scale', () => {
  it('programs 10,000 peers', async () => {
    const a = lab.host(0);
    await a.docker(['start', 'net1c1']);
    const count = 10_000;
    node(0).extra = Array.from({ length: count }, (_, index) => peer(index));
    const began = performance.now();
    share();
    await eventually('all rows to be there', async () => (await rows(a)) >= count, { everyMs: 50 });
    process.stdout.write(
      `10,000 peers (30,000 rows) planned and applied in ${Math.round(performance.now() - began)} ms\n`,
    );
    expect((await overlayShow(a, NET1, 'ip', 'neigh')).split('\n').length).toBeGreaterThan(count);
    node(0).extra = [];
    share();
    await eventually('all rows to be gone', async () => (await rows(a)) < 100, { everyMs: 100 });
  });

  async function rows(host: Host): Promise<number> {
    const text = await overlayShow(host, NET1, 'ip', 'neigh', 'show', 'dev', 'vxlan1');
    return text.split('\n').length;
  }

  function peer(index: number): EndpointRecord {
    const [high, low] = [index >> 8, index & 255];
    const hex = (value: number): string => value.toString(16).padStart(2, '0');
    return {
      networkId: NET1,
      endpointId: `peer${index}`,
      owner: 'far',
      address: `10.92.${high}.${low}`,
      mac: `02:42:0a:5c:${hex(high)}:${hex(low)}`,
      vtep: `192.168.78.${1 + (index % 250)}`,
      vni: 4097,
      names: [],
      services: [],
    };
  }
});

describe('the batch process', () => {
  const modules = { clock: systemClock, log: silentLog };

  it('attributes each failure to its line, and goes on', async () => {
    const batch = new Batch({ tool: 'ip' }, modules);
    const lines = Array.from({ length: 2500 }, (_, index) => `link show dev ${index % 1000 === 7 ? 'nope' : 'lo'}`);
    const failures = await batch.run(lines);
    expect(failures.map(({ index }) => index)).toEqual([7, 1007, 2007]);
    expect(failures[0]?.message).toContain('"nope" does not exist');
    expect(await batch.run(['link show dev lo'])).toEqual([]);
    await batch.close();
  });

  it('keeps callers apart', async () => {
    const batch = new Batch({ tool: 'ip' }, modules);
    const runs = Array.from({ length: 20 }, (_, n) => batch.run(['link show dev lo', `link show dev none${n}`]));
    for (const [n, failures] of (await Promise.all(runs)).entries()) {
      expect(failures).toHaveLength(1);
      expect(failures[0]).toMatchObject({ index: 1, message: expect.stringContaining(`none${n}`) as string });
    }
    await batch.close();
  });

  it('fails what it cannot know, each time, when the namespace is not there', async () => {
    const batch = new Batch({ tool: 'bridge', namespace: 'wgnt-none' }, modules);
    for (let attempt = 0; attempt < 4; attempt++) {
      const failures = await batch.run(['fdb show', 'fdb show']);
      expect(failures.map(({ index }) => index)).toEqual([0, 1]);
      expect(failures[0]?.message).toContain('Cannot open network namespace');
    }
    await batch.close();
  });

  it('runs single processes after two deaths, and a long-lived one again when that works', async () => {
    const namespace = 'wgnt-batch';
    const batch = new Batch({ tool: 'ip', namespace }, modules);
    for (let attempt = 0; attempt < 3; attempt++) expect(await batch.run(['link show dev lo'])).toHaveLength(1);
    await run('ip', ['netns', 'add', namespace]);
    try {
      expect(await batch.run(['link show dev lo', 'link show dev nope'])).toHaveLength(1);
      expect(await batch.run(['link show dev lo'])).toEqual([]);
    } finally {
      await batch.close();
      await run('ip', ['netns', 'delete', namespace]);
    }
  });

  it.each(['link show\nlink del x', 'link show # x', 'link "show"', 'link show \\'])('refuses %j', async (line) => {
    const batch = new Batch({ tool: 'ip' }, modules);
    await expect(batch.run([line])).rejects.toThrow('not a batch line');
  });
});

describe('removal', () => {
  it('leaves nothing of a network after its last container', async () => {
    for (const host of lab.hosts) {
      const names = (await host.docker(['ps', '-aq'])).stdout.split('\n').filter((name) => name !== '');
      if (names.length > 0) await host.docker(['rm', '-f', ...names]);
      await eventually(
        'namespaces to be gone',
        async () => !(await host.exec(['ip', 'netns'])).stdout.includes('1-net'),
      );
      // The kernel takes a namespace apart after its name is gone.
      await eventually(
        'links to be gone',
        async () => !/wge|vxlan/.test((await host.exec(['ip', '-br', 'link'])).stdout),
      );
    }
  });

  it('ends the namespace, too, and not only its name', async () => {
    const a = lab.host(0);
    // Every namespace that a link of the host leads to.
    const nameless = async (): Promise<number> =>
      (await a.exec(['ip', 'netns', 'list-id'])).stdout.split('\n').filter((line) => /^nsid \d+ *$/.test(line)).length;
    const before = await nameless();
    await runContainer(a, 'short', 'net1');
    await a.docker(['rm', '-f', 'short']);
    // What holds on to it lets it go when it has had nothing to do for 30 s.
    await eventually('the namespace to be gone', async () => (await nameless()) <= before, { timeoutMs: 15_000 });
  });

  it('can be purged while containers run', async () => {
    const a = lab.host(0);
    await runContainer(a, 'last', 'net1');
    await node(0).purge();
    expect((await a.exec(['ip', 'netns'])).stdout).not.toContain('1-net');
    expect(node(0).output.published).toEqual([]);
    await a.docker(['rm', '-f', 'last']);
  });
});
