import Docker from 'dockerode';
import { rmSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addressOf,
  createNetwork,
  createSwarm,
  joinSwarm,
  leftovers,
  lookUp,
  PATIENCE,
  PingStream,
  pings,
  removeAllContainers,
  start,
  untilNetwork,
  untilPings,
} from '../fixtures/network-swarm.ts';
import { checkNetworks, kindsOf } from '../fixtures/network-diagnosis.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import type { Lab } from '../lab/lab.ts';
import { run } from '../lab/run.ts';
import { sleep, systemClock } from '../../proto/runtime/clock.ts';

let lab: Lab;
let there = '';

/** h1 is the manager. */
function hosts(): [Host, Host, Host] {
  return [lab.host(0), lab.host(1), lab.host(2)];
}

async function stopEngine(host: Host, how: NodeJS.Signals): Promise<void> {
  await host.stopService('engine', how);
  // A containerd that died with its engine may stay a zombie here, which the next engine would take for alive.
  rmSync(path.join(host.options.folder, 'run/docker/containerd/containerd.pid'), { force: true });
}

/** Links of containers in overlays, and those that wait in the host; not those to the engine's own bridges. */
async function ports(host: Host): Promise<string[]> {
  const script = 'for n in $(ip netns | cut -d" " -f1); do ip -n $n -br link; done; ip -br link | grep ^wge';
  const { stdout } = await host.exec(['sh', '-c', script], { check: false });
  return stdout.match(/^(veth|wge)\S+/gm) ?? [];
}

/** Makes a container trust what it has in its neighbour table for an hour, where it would look again within a minute. */
async function patient(host: Host, container: string, family: 'ipv4' | 'ipv6'): Promise<void> {
  const pid = (await host.docker(['inspect', '-f', '{{.State.Pid}}', container])).stdout.trim();
  await run('nsenter', [
    '-t',
    pid,
    '-n',
    'sysctl',
    '-q',
    '-w',
    `net.${family}.neigh.eth0.base_reachable_time_ms=3600000`,
  ]);
}

/** By the engine's API: command lines that are newer than the engine do not ask it for a MAC. */
async function startWithMac(host: Host, name: string, network: string, address: string, mac: string): Promise<void> {
  const engine = new Docker({ socketPath: host.engineSocket });
  const container = await engine.createContainer({
    name,
    Image: TEST_IMAGE,
    Cmd: ['sleep', '100000'],
    MacAddress: mac,
    HostConfig: { NetworkMode: network },
    NetworkingConfig: { EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: address } } } },
  });
  await container.start();
}

/** `MAC VTEP` of every answer that the host's kernel has for the address. */
async function answersOf(host: Host, network: string, address: string): Promise<string[]> {
  const namespace = `1-${(await host.swarmDocker(['network', 'inspect', '-f', '{{.Id}}', network])).stdout.slice(0, 10)}`;
  const neighbours = (await host.exec(['ip', '-n', namespace, 'neigh', 'show', address, 'dev', 'vxlan1'])).stdout;
  const rows = (await host.exec(['bridge', '-n', namespace, 'fdb', 'show', 'dev', 'vxlan1'])).stdout;
  return [...neighbours.matchAll(/lladdr (\S+)/g)].flatMap(([, mac = '']) =>
    [...rows.matchAll(new RegExp(`^${mac} dst (\\S+)`, 'gm'))].map(([, vtep = '']) => `${mac} ${vtep}`),
  );
}

async function removeNode(manager: Host, name: string): Promise<void> {
  const { stdout } = await manager.waggle(['node', 'inspect', '-f', '{{.Status.State}}', name]);
  if (stdout.trim() !== 'down') throw new Error(`it is ${stdout.trim()}`);
  await manager.waggle(['node', 'rm', '--force', name]);
}

beforeAll(async () => {
  lab = await createSwarm(3);
  await createNetwork(lab, 'net1', '--subnet', '10.60.0.0/28');
  const [a, b] = hosts();
  await start(a, 'near', 'net1');
  await start(b, 'far', 'net1');
  there = await addressOf(b, 'far', 'net1');
  await untilPings(a, 'near', 'far');
});

afterAll(async () => {
  await lab?.destroy();
});

describe('the daemon', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)('loses no packet when it restarts after %s, and serves on', async (how) => {
    const [a, b] = hosts();
    const [there_, back] = [
      await PingStream.start(a, 'near', there),
      await PingStream.start(b, 'far', await addressOf(a, 'near', 'net1')),
    ];
    for (const host of [a, b]) {
      await host.stopService('daemon', how);
      await host.startDaemon();
    }
    await eventually('the manager to answer', () => a.waggle(['node', 'ls']), PATIENCE);
    await start(a, 'after', 'net1');
    await untilPings(b, 'far', 'after');
    await a.docker(['rm', '-f', 'after']);
    const lost = [await there_.end(), await back.end()];
    for (const each of lost) {
      expect(each.sent).toBeGreaterThan(10);
      expect(each.lost).toBeLessThanOrEqual(1);
    }
    await untilPings(a, 'near', 'far');
  });

  it('that is away while containers stop and start finds out when it is back', async () => {
    const [a, b] = hosts();
    await start(b, 'doomed', 'net1', '--ip', '10.60.0.9');
    await untilPings(a, 'near', 'doomed');
    await b.stopService('daemon', 'SIGKILL');
    const stopped = b.docker(['rm', '-f', 'doomed'], { check: false });
    const refused = await b.docker(['run', '--rm', '--network', 'net1', '127.0.0.1:5000/bb:1', 'true'], {
      check: false,
    });
    expect(refused.exitCode).not.toBe(0);
    expect(await pings(a, 'near', there)).toBe(true);
    await b.startDaemon();
    await stopped;
    await eventually('the name to be gone', async () => (await lookUp(a, 'near', 'doomed')).length === 0, PATIENCE);
    await eventually(
      'its address to be free',
      async () => {
        await a.docker(['rm', '-f', 'heir'], { check: false });
        await start(a, 'heir', 'net1', '--ip', '10.60.0.9');
      },
      PATIENCE,
    );
    await untilPings(b, 'far', 'heir');
    await a.docker(['rm', '-f', 'heir']);
    await eventually('one port to be left', async () => (await ports(b)).length === 1, PATIENCE);
  });
});

describe('the engine', () => {
  it.each(['SIGTERM', 'SIGKILL'] as const)(
    'comes back after %s without live-restore and leaves nothing',
    async (how) => {
      const [a, b] = hosts();
      await stopEngine(b, how);
      await b.startEngine();
      await eventually('the name to be gone', async () => (await lookUp(a, 'near', 'far')).length === 0, PATIENCE);
      await eventually('no port to be left', async () => (await ports(b)).length === 0, PATIENCE);
      await eventually('the container to start', () => b.docker(['start', 'far']), PATIENCE);
      await untilPings(a, 'near', 'far');
      await untilPings(b, 'far', 'near');
      expect(await ports(b)).toHaveLength(1);
      there = await addressOf(b, 'far', 'net1');
    },
  );

  it('loses no packet with live-restore, however it restarts', async () => {
    const [a, b] = hosts();
    await stopEngine(b, 'SIGTERM');
    await b.startEngine(['--live-restore']);
    await eventually('the container to start', () => b.docker(['start', 'far']), PATIENCE);
    await untilPings(a, 'near', 'far');
    there = await addressOf(b, 'far', 'net1');
    const stream = await PingStream.start(a, 'near', there);
    for (const how of ['SIGTERM', 'SIGKILL'] as const) {
      await stopEngine(b, how);
      await b.startEngine(['--live-restore']);
      await untilPings(b, 'far', 'near');
    }
    const { sent, lost } = await stream.end();
    process.stdout.write(`two restarts of the engine: ${sent} echoes sent, ${lost} lost\n`);
    expect(sent).toBeGreaterThan(10);
    expect(lost).toBeLessThanOrEqual(1);
  });

  it('and the daemon restarted together lose no packet, and the container can be stopped', async () => {
    const [a, b] = hosts();
    const stream = await PingStream.start(a, 'near', there);
    await b.stopService('daemon', 'SIGKILL');
    await stopEngine(b, 'SIGKILL');
    await b.startDaemon();
    await b.startEngine(['--live-restore']);
    await untilPings(b, 'far', 'near');
    expect((await stream.end()).lost).toBeLessThanOrEqual(1);
    await b.docker(['rm', '-f', 'far']);
    await eventually('no port to be left', async () => (await ports(b)).length === 0, PATIENCE);
    await start(b, 'far', 'net1');
    await untilPings(a, 'near', 'far');
  });
});

describe('nodes', () => {
  it('that lose their power have their containers on the network again once they are up, a manager too', async () => {
    const [a, b, c] = hosts();
    for (const host of [a, c]) await start(host, `always-${host.name}`, 'net1', '--restart', 'always');
    await Promise.all([a, c].map((host) => host.crash()));
    for (const host of [a, c]) {
      await host.wipe();
      await host.mend();
    }
    // As at boot: each waits for the other, and the engine's containers for both.
    await Promise.all([a, c].flatMap((host) => [host.startEngine(), host.startDaemon()]));
    for (const host of [a, c]) {
      await untilPings(b, 'far', `always-${host.name}`);
      await eventually('the engine', () => host.docker(['rm', '-f', `always-${host.name}`]), PATIENCE);
    }
    await a.docker(['start', 'near']);
    await untilPings(a, 'near', 'far');
  });

  it('find each other again after a cut', async () => {
    const [a, b, c] = hosts();
    await start(c, 'third', 'net1');
    await untilPings(a, 'near', 'third');
    await b.cut();
    await eventually('far to be out of reach', async () => !(await pings(a, 'near', there)), PATIENCE);
    await start(c, 'new', 'net1');
    await untilPings(a, 'near', 'new');
    await c.docker(['rm', '-f', 'third']);
    await b.mend();
    const began = performance.now();
    await untilPings(b, 'far', 'new');
    await untilPings(a, 'near', 'far');
    await eventually('the old name to be gone', async () => (await lookUp(b, 'far', 'third')).length === 0, PATIENCE);
    process.stdout.write(`records back ${Math.round(performance.now() - began)} ms after the mend\n`);
    await c.docker(['rm', '-f', 'new']);
  });

  it('take over an address at once, also from containers that know it by another MAC', async () => {
    const [a, b, c] = hosts();
    await createNetwork(lab, 'six', '--ipv6', '--subnet', '10.61.0.0/24', '--subnet', 'fd00:61::/64');
    await start(a, 'near6', 'six');
    await patient(a, 'near', 'ipv4');
    await patient(a, 'near6', 'ipv6');
    await startWithMac(b, 'first', 'net1', '10.60.0.11', '02:42:00:00:00:11');
    // The MAC is that of the IPv4 address, whatever the IPv6 one.
    await start(b, 'first6', 'six', '--ip', '10.61.0.11', '--ip6', 'fd00:61::11');
    await untilPings(a, 'near', '10.60.0.11');
    await untilPings(a, 'near6', 'fd00:61::11');
    await b.docker(['rm', '-f', 'first', 'first6']);
    await start(c, 'second', 'net1', '--ip', '10.60.0.11');
    await start(c, 'second6', 'six', '--ip', '10.61.0.12', '--ip6', 'fd00:61::11');
    const began = performance.now();
    await untilPings(a, 'near', '10.60.0.11', 10_000);
    await untilPings(a, 'near6', 'fd00:61::11', 10_000);
    process.stdout.write(`moved addresses answered within ${Math.round(performance.now() - began)} ms\n`);
    expect(await answersOf(a, 'net1', '10.60.0.11')).toEqual([`02:42:0a:3c:00:0b ${c.address}`]);
    await c.docker(['rm', '-f', 'second6']);
    await a.docker(['rm', '-f', 'near6']);
    await a.waggle(['network', 'rm', 'six']);
  });

  it('that come back with a container whose address another has got make no second answer', async () => {
    const [a, b, c] = hosts();
    await eventually('the name', async () => (await lookUp(a, 'near', 'second')).length === 1, PATIENCE);
    await c.cut();
    await eventually('h3 to be down', () => removeNode(a, 'h3'), PATIENCE);
    await eventually('the address to be free', () => start(b, 'heir', 'net1', '--ip', '10.60.0.11'), PATIENCE);
    await untilPings(a, 'near', '10.60.0.11', 10_000);
    await c.mend();
    const stream = await PingStream.start(a, 'near', '10.60.0.11');
    const answers = new Set<string>();
    const names = new Set<string>();
    const until = performance.now() + 6_000;
    while (performance.now() < until) {
      for (const answer of await answersOf(a, 'net1', '10.60.0.11')) answers.add(answer);
      const { stdout } = await a.docker(['exec', 'near', 'nslookup', '10.60.0.11'], { check: false });
      for (const [, name = ''] of stdout.matchAll(/name = (\S+)/g)) names.add(name);
      await sleep(systemClock, 200);
    }
    // Its container runs there to this day.
    expect((await c.docker(['inspect', '-f', '{{.State.Running}}', 'second'])).stdout.trim()).toBe('true');
    expect([...answers]).toEqual([`02:42:0a:3c:00:0b ${b.address}`]);
    expect([...names]).toEqual(['heir.net1']);
    expect((await stream.end()).lost).toBeLessThanOrEqual(1);
    expect(kindsOf((await checkNetworks(a, 'net1')).Findings).filter((kind) => kind.startsWith('two answers'))).toEqual(
      [],
    );
    await b.docker(['rm', '-f', 'heir']);
    await removeAllContainers(c);
    await c.waggle(['swarm', 'leave', '--force']);
    await joinSwarm(a, c);
    await untilNetwork(c, 'net1', true);
  });

  it('that leave keep nothing, free their addresses and can join again', async () => {
    const [a, b, c] = hosts();
    await start(c, 'leaver', 'net1', '--ip', '10.60.0.10');
    await untilPings(a, 'near', 'leaver');
    await c.docker(['rm', '-f', 'leaver']);
    await c.waggle(['swarm', 'leave']);
    await eventually(
      'nothing to be left',
      async () => {
        const left = await leftovers(c);
        if (left.length > 0) throw new Error(left.join(' '));
      },
      PATIENCE,
    );
    await start(b, 'heir', 'net1', '--ip', '10.60.0.10');
    await b.docker(['rm', '-f', 'heir']);
    await joinSwarm(a, c);
    await untilNetwork(c, 'net1', true);
    await start(c, 'again', 'net1');
    await untilPings(c, 'again', 'far');
    await untilPings(a, 'near', 'again');
  });

  it('leave nothing in the end', async () => {
    const [a] = hosts();
    await Promise.all(hosts().map(removeAllContainers));
    await eventually('no address to be held', () => a.waggle(['network', 'rm', 'net1']), PATIENCE);
    for (const host of hosts()) {
      await eventually(
        `nothing to be left on ${host.name}`,
        async () => {
          const left = await leftovers(host);
          if (left.length > 0) throw new Error(left.join(' '));
        },
        PATIENCE,
      );
    }
  });
});
