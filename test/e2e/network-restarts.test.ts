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
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';

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
    expect(sent).toBeGreaterThan(20);
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
