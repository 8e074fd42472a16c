import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addressesOn,
  addressOf,
  createNetwork,
  createSwarm,
  leftovers,
  lookUp,
  lookUpByStream,
  PATIENCE,
  pings,
  removeAllContainers,
  start,
  startCommand,
  untilNetwork,
  untilPings,
} from '../fixtures/network-swarm.ts';
import { percentile } from '../bench/percentiles.ts';
import { ReachField } from '../bench/reach-field.ts';
import { engineApi } from '../bench/socket-api.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import type { Lab } from '../lab/lab.ts';

let lab: Lab;
let net1 = '';
let net2 = '';

/** h1 is the manager. */
function hosts(): [Host, Host, Host] {
  return [lab.host(0), lab.host(1), lab.host(2)];
}

async function serviceAddresses(name: string): Promise<string[]> {
  return lookUp(lab.host(0), 'net1c1', name);
}

async function runningTasks(service: string): Promise<{ name: string; node: string }[]> {
  const format = '{{.Name}}.{{.ID}} {{.Node}} {{.CurrentState}}';
  const command = ['service', 'ps', '--no-trunc', '--filter', 'desired-state=running', '--format', format, service];
  const { stdout } = await lab.host(0).waggle(command);
  return stdout
    .split('\n')
    .filter((line) => line.includes(' Running '))
    .map((line) => line.split(' '))
    .map(([name = '', node = '']) => ({ name, node }));
}

beforeAll(async () => {
  lab = await createSwarm(3);
  net1 = await createNetwork(lab, 'net1');
  net2 = await createNetwork(lab, 'net2');
});

afterAll(async () => {
  await lab?.destroy();
});

describe('containers of two networks on two hosts', () => {
  it('reach their own network by name and address, and nothing of the other', async () => {
    const [a, b] = hosts();
    await start(a, 'net1c1', 'net1');
    await a.swarmDocker(startCommand('net2c1', 'net2'));
    await start(b, 'net1c2', 'net1');
    await b.swarmDocker(startCommand('net2c2', 'net2'));
    const [net1c2, net2c1, net2c2] = [
      await addressOf(b, 'net1c2', 'net1'),
      await addressOf(a, 'net2c1', 'net2'),
      await addressOf(b, 'net2c2', 'net2'),
    ];
    await untilPings(a, 'net1c1', 'net1c2');
    await untilPings(a, 'net1c1', net1c2);
    await untilPings(b, 'net2c2', 'net2c1');
    for (const stranger of [net2c1, net2c2]) expect(await pings(a, 'net1c1', stranger), stranger).toBe(false);
    for (const stranger of ['net2c1', 'net2c2']) expect(await lookUp(a, 'net1c1', stranger), stranger).toEqual([]);
  });

  it('have the interfaces that Docker gives them', async () => {
    const [a] = hosts();
    const address = await addressOf(a, 'net1c1', 'net1');
    const mac = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
    const eth0 = (await a.docker(['exec', 'net1c1', 'ip', 'addr', 'show', 'eth0'])).stdout;
    expect(eth0).toContain('mtu 1450');
    expect(eth0).toContain(`link/ether 02:42:${mac.join(':')}`);
    expect(eth0).toContain(`inet ${address}/24`);
    expect((await a.docker(['exec', 'net1c1', 'ip', 'route'])).stdout).toMatch(/default via 172\.\S+ dev eth1/);
  });

  it.each([
    { id: 'net1', network: () => net1, remote: 'net1c2' },
    { id: 'net2', network: () => net2, remote: 'net2c2' },
  ])('are carried by the documented devices and rows: $id', async ({ id, network, remote }) => {
    const [a, b] = hosts();
    const namespace = `1-${network().slice(0, 10)}`;
    const there = await addressOf(b, remote, id);
    const mac = `02:42:${there
      .split('.')
      .map((part) => Number(part).toString(16).padStart(2, '0'))
      .join(':')}`;
    const show = async (...command: string[]): Promise<string> =>
      (await a.exec(['ip', 'netns', 'exec', namespace, ...command])).stdout;
    expect(await show('ip', '-d', 'link')).toMatch(/vxlan1.*mtu 1450.*master br0[^]*local 192.168.77.11.*dstport 4789/);
    expect(await show('ip', 'addr', 'show', 'br0')).toMatch(/inet 10\.0\.\d+\.1\/24/);
    const rows = (await show('bridge', 'fdb', 'show', 'dev', 'vxlan1')).split('\n');
    expect(rows.filter((row) => row.startsWith('02:42'))).toEqual([
      expect.stringMatching(`${mac} master br0 static`),
      expect.stringMatching(`${mac} dst 192.168.77.12 .*self permanent`),
    ]);
    expect((await show('ip', 'neigh')).trim()).toBe(`${there} dev vxlan1 lladdr ${mac} PERMANENT`);
  });
});

describe('addresses', () => {
  it('are unique when thirty containers start on three hosts at once', async () => {
    const commands = hosts().flatMap((host) =>
      Array.from({ length: 10 }, (_, index) => host.docker(startCommand(`many${index}`, 'net1'))),
    );
    await Promise.all(commands);
    const addresses = (await Promise.all(hosts().map((host) => addressesOn(host, 'net1')))).flat();
    expect(addresses).toHaveLength(32);
    expect(new Set(addresses).size).toBe(32);
    const names = Array.from({ length: 10 }, (_, index) => `many${index}`);
    await Promise.all(hosts().map((host) => host.docker(['rm', '-f', ...names])));
    await eventually('records to be gone', async () => (await serviceAddresses('many3')).length === 0, PATIENCE);
  });

  it('run out in clear words, for containers and tasks, and are given again once free', async () => {
    const [a, b, c] = hosts();
    await createNetwork(lab, 'tiny', '--subnet', '10.50.0.0/29');
    for (const [index, host] of [a, b, c, a, b].entries()) await start(host, `tiny${index}`, 'tiny');
    const late = startCommand('late', 'tiny');
    const exhausted = 'could not find an available IP';
    expect((await a.docker(late, { check: false })).stderr).toContain(exhausted);
    expect((await b.swarmDocker(late, { check: false })).stderr).toContain(exhausted);
    await a.docker(['rm', 'late']);
    await b.docker(['rm', 'late']);
    const image = ['--endpoint-mode', 'dnsrr', '--network', 'tiny', TEST_IMAGE, 'sleep', '100000'];
    await a.waggle(['service', 'create', '-d', '--name', 'waiting', ...image]);
    await eventually(
      'the task to say why it waits',
      async () => (await a.waggle(['service', 'ps', '--no-trunc', 'waiting'])).stdout.includes(exhausted),
      PATIENCE,
    );
    await c.docker(['rm', '-f', 'tiny2']);
    await eventually('the task to run', async () => (await runningTasks('waiting')).length === 1, PATIENCE);
    await a.waggle(['service', 'rm', 'waiting']);
  });

  it('are released once and for all, over starts, restarts and failures', async () => {
    const [a, b, c] = hosts();
    await removeAllFrom('tiny', ['tiny0', 'tiny1', 'tiny3', 'tiny4']);
    await untilAddressesFree();
    await start(a, 'cycled', 'tiny');
    for (let round = 0; round < 2; round++) {
      await a.docker(['restart', '-t', '0', 'cycled']);
      await b.docker(['run', '--rm', '--network', 'tiny', TEST_IMAGE, 'true']);
      const broken = ['run', '--rm', '--network', 'tiny', TEST_IMAGE, '/no/such/program'];
      expect((await c.docker(broken, { check: false })).exitCode).not.toBe(0);
    }
    await a.docker(['rm', '-f', 'cycled']);
    await untilAddressesFree();
  });

  it.each([
    { id: 'the gateway', address: '10.50.0.1', words: 'Address already in use' },
    { id: 'broadcast', address: '10.50.0.7', words: 'Address already in use' },
    { id: 'another subnet', address: '10.51.0.3', words: "does not belong to any of this network's subnets" },
    { id: 'one in use on another host', address: '10.50.0.5', words: 'Address already in use' },
  ])('that are asked for are refused: $id', async ({ address, words }) => {
    const [a, b] = hosts();
    if (address === '10.50.0.5') await start(a, 'fixed', 'tiny', '--ip', address);
    const refused = await b.docker(startCommand('wrong', 'tiny', '--ip', address), { check: false });
    expect(refused.stderr).toContain(words);
    await b.docker(['rm', 'wrong']);
  });

  it('that are asked for stay, and can move to another host at once', async () => {
    const [a, b] = hosts();
    await a.docker(['restart', '-t', '0', 'fixed']);
    expect(await addressOf(a, 'fixed', 'tiny')).toBe('10.50.0.5');
    await a.docker(['rm', '-f', 'fixed']);
    await start(b, 'fixed', 'tiny', '--ip', '10.50.0.5');
    await b.docker(['rm', '-f', 'fixed']);
  });

  it('are all back in the end: the network can be removed', async () => {
    const [a] = hosts();
    await eventually('tiny to be removed', () => a.waggle(['network', 'rm', 'tiny']), PATIENCE);
    await Promise.all(hosts().map((host) => untilNetwork(host, 'tiny', false)));
  });

  /** All five that the subnet has, taken and given back. */
  async function untilAddressesFree(): Promise<void> {
    const [a] = hosts();
    const names = Array.from({ length: 5 }, (_, index) => `all${index}`);
    await eventually(
      'five addresses to be free',
      async () => {
        const results = await Promise.all(
          names.map((name) => a.docker(startCommand(name, 'tiny'), { check: false, timeoutMs: 30_000 })),
        );
        await a.docker(['rm', '-f', ...names], { check: false });
        return results.every(({ exitCode }) => exitCode === 0);
      },
      PATIENCE,
    );
  }

  async function removeAllFrom(network: string, names: readonly string[]): Promise<void> {
    for (const host of hosts()) {
      const there = (await host.docker(['ps', '-a', '--format', '{{.Names}}', '--filter', `network=${network}`]))
        .stdout;
      const doomed = there.split('\n').filter((name) => names.includes(name));
      if (doomed.length > 0) await host.docker(['rm', '-f', ...doomed]);
    }
  }
});

describe('names', () => {
  it('of a service, its tasks and its containers resolve on every host, by UDP and TCP', async () => {
    const [a, b] = hosts();
    const body = ['--replicas', '4', '--network', 'name=net1,alias=webby', TEST_IMAGE, 'sleep', '100000'];
    const mode = ['--endpoint-mode', 'dnsrr', '--stop-grace-period', '1s'];
    await a.waggle(['service', 'create', '-d', '--name', 'web', ...mode, ...body]);
    await eventually('four tasks to answer', async () => (await serviceAddresses('web')).length === 4, PATIENCE);
    const tasks = await runningTasks('web');
    const addresses = await serviceAddresses('web');
    expect(tasks).toHaveLength(4);
    for (const name of ['tasks.web', 'webby', 'web.net1', 'WEB']) {
      expect(await lookUp(b, 'net1c2', name), name).toEqual(addresses);
    }
    expect(await lookUpByStream(b, 'net1c2', 'tasks.web')).toEqual(addresses);
    const single = await Promise.all(tasks.map(({ name }) => lookUp(b, 'net1c2', name)));
    expect(single.flat().toSorted()).toEqual(addresses);
    for (const address of addresses) expect(await pings(b, 'net1c2', address), address).toBe(true);
  });

  it('of removed tasks are gone within two seconds', async () => {
    const [a] = hosts();
    const before = await serviceAddresses('web');
    await a.waggle(['service', 'scale', '-d', 'web=2']);
    const began = performance.now();
    await eventually('two to be left', async () => (await serviceAddresses('web')).length === 2, PATIENCE);
    const scaleMs = performance.now() - began;
    expect(before).toEqual(expect.arrayContaining(await serviceAddresses('web')));
    await a.waggle(['service', 'rm', 'web']);
    const removed = performance.now();
    await eventually('none to be left', async () => (await serviceAddresses('web')).length === 0, PATIENCE);
    const removeMs = performance.now() - removed;
    process.stdout.write(`names gone ${Math.round(scaleMs)} ms after scale, ${Math.round(removeMs)} ms after rm\n`);
    // The last look-up waits a second or more for a name server that is not there.
    expect(scaleMs).toBeLessThan(3_000);
    expect(removeMs).toBeLessThan(5_000);
  });

  it('resolve in the first act of a container, on other hosts too', async () => {
    const there = await addressOf(lab.host(1), 'net1c2', 'net1');
    const command = ['run', '--rm', '--network', 'net1', TEST_IMAGE, 'nslookup', '-type=a', 'net1c2'];
    const starts = Number(process.env.WAGGLE_STARTS ?? '30');
    const began = performance.now();
    const wrong: string[] = [];
    await Promise.all(
      hosts().flatMap((host, index) => [
        repeat(Math.ceil((starts - index) / 6), host),
        repeat(Math.ceil((starts - index - 3) / 6), host),
      ]),
    );
    process.stdout.write(
      `${starts} first look-ups, ${wrong.length} wrong, ${Math.round(performance.now() - began)} ms\n`,
    );
    expect(wrong).toEqual([]);

    async function repeat(times: number, host: Host): Promise<void> {
      for (let round = 0; round < times; round++) {
        const { stdout, stderr } = await host.docker(command, { check: false });
        if (!stdout.includes(`Address: ${there}`)) wrong.push(`${host.name}: ${stdout}${stderr}`);
      }
    }
  });

  it('follow network connect and disconnect', async () => {
    const [a, b, c] = hosts();
    for (const client of [b.docker.bind(b), b.swarmDocker.bind(b)]) {
      await client(['network', 'connect', '--alias', 'other', 'net2', 'net1c2']);
      await untilPings(a, 'net2c1', 'other');
      await untilPings(a, 'net2c1', 'net1c2');
      await untilPings(b, 'net1c2', 'net2c1');
      expect(await lookUp(a, 'net1c1', 'other')).toEqual([]);
      await client(['network', 'disconnect', 'net2', 'net1c2']);
      await eventually('the alias to be gone', async () => (await lookUp(a, 'net2c1', 'other')).length === 0, PATIENCE);
      expect(await lookUp(b, 'net1c2', 'net2c1')).toEqual([]);
      await untilPings(b, 'net1c2', 'net1c1');
    }
    await start(c, 'aliased', 'net1', '--network-alias', 'nick');
    await untilPings(a, 'net1c1', 'nick');
    await c.docker(['rename', 'aliased', 'renamed']);
    await untilPings(a, 'net1c1', 'renamed');
    await eventually('the old name to be gone', async () => (await serviceAddresses('aliased')).length === 0, PATIENCE);
    await c.docker(['rm', '-f', 'renamed']);
  });

  it('of a bridge network resolve beside ours', async () => {
    const [a] = hosts();
    await a.docker(['network', 'create', 'plain']);
    await start(a, 'neighbour', 'plain');
    await a.docker(['network', 'connect', 'plain', 'net1c1']);
    await untilPings(a, 'net1c1', 'neighbour');
    await untilPings(a, 'net1c1', 'net1c2');
    await a.docker(['network', 'disconnect', 'plain', 'net1c1']);
    await a.docker(['rm', '-f', 'neighbour']);
    await a.docker(['network', 'rm', 'plain']);
    await untilPings(a, 'net1c1', 'net1c2');
  });
});

describe('endpoints', () => {
  it('are reached from every other host, and forgotten there, as soon as they come and go', async () => {
    await createNetwork(lab, 'reach', '--subnet', '10.79.0.0/24');
    const field = await ReachField.open(
      hosts().map((host) => ({ host, engine: engineApi(host) })),
      'reach',
      2,
    );
    try {
      const [reached, gone]: [number[], number[]] = [[], []];
      for (let round = 0; round < 5; round++) {
        const address = (index: number): string => `10.79.0.${100 + field.guests.length * round + index}`;
        const arrivals = field.guests.map((guest, index) => field.arrive(guest, address(index)));
        reached.push(...(await Promise.all(arrivals)).map(({ reachMs }) => reachMs));
        gone.push(...(await Promise.all(field.guests.map((guest, index) => field.depart(guest, address(index))))));
      }
      for (const [what, samples] of Object.entries({ reached, gone })) {
        const figures = [50, 99].map((percent) => `p${percent} ${percentile(samples, percent).toFixed(0)} ms`);
        process.stdout.write(`${samples.length} endpoints ${what} everywhere after ${figures.join(', ')}\n`);
        expect(samples).toHaveLength(30);
        // The machine may be busy; test/bench/reach.ts says how fast it is.
        expect(Math.max(...samples)).toBeLessThan(2_000);
      }
    } finally {
      await field.close();
      await eventually('no address to be held', () => lab.host(0).waggle(['network', 'rm', 'reach']), PATIENCE);
    }
  });
});

describe('drift', () => {
  // Where there are two, each of them alone cuts the way: the ping needs both mended.
  const drifts: { id: string; commands: string[] }[] = [
    {
      id: 'forwarding row deleted, neighbour with the wrong MAC',
      commands: [
        'bridge -n NS fdb del MAC dev vxlan1 dst 192.168.77.12 self',
        'ip -n NS neigh replace IP lladdr 02:42:00:00:00:09 dev vxlan1 nud permanent',
      ],
    },
    {
      id: 'forwarding row to the wrong host, neighbour deleted',
      commands: [
        'bridge -n NS fdb replace MAC dev vxlan1 dst 192.168.77.99 self permanent',
        'ip -n NS neigh del IP dev vxlan1',
      ],
    },
    { id: 'tunnel down, bridge down', commands: ['ip -n NS link set vxlan1 down', 'ip -n NS link set br0 down'] },
    { id: 'tunnel deleted', commands: ['ip -n NS link del vxlan1'] },
  ];

  it.each(drifts)('is repaired within six seconds: $id', async ({ commands }) => {
    const [a, b] = hosts();
    const there = await addressOf(b, 'net1c2', 'net1');
    const mac = `02:42:${there
      .split('.')
      .map((part) => Number(part).toString(16).padStart(2, '0'))
      .join(':')}`;
    await untilPings(a, 'net1c1', there);
    const namespace = `1-${net1.slice(0, 10)}`;
    for (const command of commands) {
      await a.exec(command.replace('NS', namespace).replace('MAC', mac).replace('IP', there).split(' '));
    }
    const began = performance.now();
    const forget = `nsenter -t $(docker inspect -f '{{.State.Pid}}' net1c1) -n ip neigh flush dev eth0`;
    await eventually(
      'a container that has forgotten its neighbours to find them',
      async () => {
        await a.exec(['sh', '-c', forget]);
        return pings(a, 'net1c1', there);
      },
      PATIENCE,
    );
    expect(performance.now() - began).toBeLessThan(9_000);
  });

  it('of a whole namespace is repaired but for the containers in it, which work after a restart', async () => {
    const [a] = hosts();
    await a.exec(['ip', 'netns', 'del', `1-${net2.slice(0, 10)}`]);
    await eventually(
      'the namespace to be back',
      async () => (await a.exec(['ip', 'netns'])).stdout.includes(net2.slice(0, 10)),
      PATIENCE,
    );
    await a.docker(['restart', '-t', '0', 'net2c1']);
    await untilPings(a, 'net2c1', 'net2c2');
  });
});

describe('removal', () => {
  it('of a network in use is refused', async () => {
    const [a, b] = hosts();
    const refused = await a.waggle(['network', 'rm', 'net1'], { check: false });
    expect(refused.stderr).toMatch(/network \w+ is in use by/);
    expect((await b.docker(['network', 'rm', 'net1'], { check: false })).stderr).toContain('has active endpoints');
    await untilPings(a, 'net1c1', 'net1c2');
  });

  it('of everything leaves nothing anywhere', async () => {
    const [a] = hosts();
    await Promise.all(hosts().map(removeAllContainers));
    await eventually('no network to be in use', () => a.waggle(['network', 'rm', 'net1', 'net2']), PATIENCE);
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
