import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  addressOf,
  createNetwork,
  createSwarm,
  leftovers,
  lookUp,
  PATIENCE,
  PingStream,
  pings,
  removeAllContainers,
  start,
  untilPings,
} from '../fixtures/network-swarm.ts';
import { checkNetworks } from '../fixtures/network-diagnosis.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import type { Lab } from '../lab/lab.ts';

const ROUTED = ['-o', 'waggle.datapath=routed'];
const REPAIRED_MS = 9_000;

let lab: Lab;
let namespace = '';
let table = '';

/** h1, the manager, and h2 are on one segment, h3 on another. On each is a container, c1 to c3. */
function hosts(): [Host, Host, Host] {
  return [lab.host(0), lab.host(1), lab.host(2)];
}

async function inContainer(host: Host, container: string, command: readonly string[]): Promise<string> {
  const pid = (await host.docker(['inspect', '-f', '{{.State.Pid}}', container])).stdout.trim();
  return (await host.exec(['nsenter', '-t', pid, '-n', ...command])).stdout;
}

/** Packets that have left in VXLAN. */
async function tunnelled(host: Host): Promise<number> {
  const { stdout } = await host.exec(['ip', '-n', namespace, '-s', '-j', 'link', 'show', 'dev', 'vxlan1']);
  const [link] = JSON.parse(stdout) as { stats64: { tx: { packets: number } } }[];
  return link?.stats64.tx.packets ?? Number.NaN;
}

/** ICMP echo requests that the container has received. */
async function echoes(host: Host, container: string): Promise<number> {
  const lines = (await inContainer(host, container, ['cat', '/proc/net/snmp'])).split('\n');
  const [names = '', values = ''] = lines.filter((line) => line.startsWith('Icmp:'));
  return Number(values.split(' ')[names.split(' ').indexOf('InEchos')]);
}

async function rowsOf(host: Host): Promise<string> {
  return (await host.exec(['nft', 'list', 'table', 'netdev', table])).stdout;
}

async function untilNothingLeft(host: Host): Promise<void> {
  await eventually(
    `nothing to be left on ${host.name}`,
    async () => {
      const left = await leftovers(host);
      if (left.length > 0) throw new Error(left.join(' '));
    },
    PATIENCE,
  );
}

beforeAll(async () => {
  lab = await createSwarm(3, { segments: [0, 0, 1] });
  const id = await createNetwork(lab, 'routed1', ...ROUTED);
  namespace = `1-${id.slice(0, 10)}`;
  table = `waggle-${id.slice(0, 10)}`;
  await Promise.all(hosts().map((host, index) => start(host, `c${index + 1}`, 'routed1')));
});

afterAll(async () => {
  await lab?.destroy();
});

describe('containers on a routed network', () => {
  it('reach each other by name and address, whether their hosts are on one segment or not', async () => {
    for (const [index, host] of hosts().entries()) {
      for (const other of [1, 2, 3].filter((each) => each !== index + 1)) {
        await untilPings(host, `c${index + 1}`, `c${other}`);
        expect(await pings(host, `c${index + 1}`, await addressOf(lab.host(other - 1), `c${other}`, 'routed1'))).toBe(
          true,
        );
      }
    }
  });

  it('have the interfaces that Docker gives them, with the MTU of the link between the hosts', async () => {
    const [a] = hosts();
    const address = await addressOf(a, 'c1', 'routed1');
    const eth0 = (await a.docker(['exec', 'c1', 'ip', 'addr', 'show', 'eth0'])).stdout;
    expect(eth0).toContain('mtu 1500');
    expect(eth0).toContain(`inet ${address}/24`);
    const mac = address.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
    expect(eth0).toContain(`link/ether 02:42:${mac.join(':')}`);
  });

  it('send bare packets to the neighbour host, and VXLAN only to the one behind the router', async () => {
    const [a, b, c] = hosts();
    const [near, far] = [await addressOf(b, 'c2', 'routed1'), await addressOf(c, 'c3', 'routed1')];
    const before = await tunnelled(a);
    for (let round = 0; round < 3; round++) expect(await pings(a, 'c1', near)).toBe(true);
    expect(await tunnelled(a)).toBe(before);
    for (let round = 0; round < 3; round++) expect(await pings(a, 'c1', far)).toBe(true);
    expect(await tunnelled(a)).toBeGreaterThanOrEqual(before + 3);
    const rows = await rowsOf(a);
    expect(rows).toContain(`${near} : 192.168.77.12`);
    expect(rows).not.toContain(far);
    expect(await rowsOf(c)).not.toContain('192.168.77.');
  });

  it('send packets as large as each way allows, and much of them', async () => {
    const [a, b, c] = hosts();
    const [near, far] = [await addressOf(b, 'c2', 'routed1'), await addressOf(c, 'c3', 'routed1')];
    const full = (to: string): Promise<unknown> =>
      a.docker(['exec', 'c1', 'ping', '-c', '1', '-W', '1', '-s', '1472', to]);
    await full(near);
    await eventually('a packet that is too large for VXLAN to be sent in parts', () => full(far), PATIENCE);
    expect(await inContainer(a, 'c1', ['ip', 'route', 'get', far])).toContain('mtu 1450');
    expect(await inContainer(a, 'c1', ['ip', 'route', 'get', near])).not.toContain('mtu');
    for (const [host, container, address] of [
      [b, 'c2', near],
      [c, 'c3', far],
    ] as const) {
      const sum = host.docker(['exec', container, 'sh', '-c', 'mkfifo /tmp/open; nc -l -p 7000 <>/tmp/open | md5sum'], {
        timeoutMs: 30_000,
      });
      const send = `dd if=/dev/zero bs=1024 count=4096 2>/dev/null | nc ${address} 7000`;
      await eventually('the bytes to be taken', () => a.docker(['exec', 'c1', 'sh', '-c', send]), PATIENCE);
      // Of 4 MiB of zeros.
      expect((await sum).stdout, container).toContain('b5cfa9d6c8febd618f91ac2843d50a1c');
    }
  });

  it('are not reached from another routed network, nor from hosts', async () => {
    const [a, b] = hosts();
    await createNetwork(lab, 'routed2', ...ROUTED);
    await start(a, 'd1', 'routed2');
    await start(b, 'd2', 'routed2');
    await untilPings(a, 'd1', 'd2');
    const [c1, c2] = [await addressOf(a, 'c1', 'routed1'), await addressOf(b, 'c2', 'routed1')];
    for (const stranger of [c1, c2]) expect(await pings(a, 'd1', stranger), stranger).toBe(false);
    expect(await lookUp(a, 'd1', 'c1')).toEqual([]);
    await b.exec(['ip', 'route', 'add', `${c1}/32`, 'via', a.address]);
    expect((await b.exec(['busybox', 'ping', '-c', '1', '-W', '1', c1], { check: false })).exitCode).not.toBe(0);
    await b.exec(['ip', 'route', 'del', `${c1}/32`]);
  });

  it('hear nobody who borrows the address of a container on another host', async () => {
    const [a, b] = hosts();
    const [c1, c2] = [await addressOf(a, 'c1', 'routed1'), await addressOf(b, 'c2', 'routed1')];
    const before = await echoes(a, 'c1');
    const borrow = [`ip addr add ${c2}/32 dev lo`, `ip route add ${c1}/32 via ${a.address}`];
    const call = `busybox ping -c 3 -W 1 -I ${c2} ${c1}`;
    const giveBack = [`ip route del ${c1}/32`, `ip addr del ${c2}/32 dev lo`];
    await lab.onRouter(['sh', '-c', [...borrow, `${call} || true`, ...giveBack].join('\n')]);
    expect(await echoes(a, 'c1')).toBe(before);
    expect(await pings(b, 'c2', c1)).toBe(true);
    expect(await echoes(a, 'c1')).toBe(before + 1);
  });

  it('keep their conversation when an address moves to another host', async () => {
    const [a, b, c] = hosts();
    const address = (await addressOf(a, 'c1', 'routed1')).replace(/\d+$/, '77');
    for (const host of [b, c, a, b]) {
      await start(host, 'mover', 'routed1', '--ip', address);
      await untilPings(a, 'c1', address);
      await untilPings(c, 'c3', address);
      await host.docker(['rm', '-f', 'mover']);
    }
  });

  it('may be the tasks of a service', async () => {
    const [a] = hosts();
    const body = [
      '--replicas',
      '3',
      '--network',
      'routed1',
      '--stop-grace-period',
      '1s',
      TEST_IMAGE,
      'sleep',
      '100000',
    ];
    await a.waggle(['service', 'create', '-d', '--name', 'web', '--endpoint-mode', 'dnsrr', ...body]);
    await eventually('three tasks to answer', async () => (await lookUp(a, 'c1', 'web')).length === 3, PATIENCE);
    for (const address of await lookUp(a, 'c1', 'web')) await untilPings(a, 'c1', address);
    await a.waggle(['service', 'rm', 'web']);
  });
});

describe('drift', () => {
  const drifts: { id: string; kind?: string; command: string }[] = [
    { id: 'every rule of the host deleted', kind: 'table missing', command: 'nft flush ruleset' },
    {
      id: 'a route to the wrong host',
      kind: 'route missing',
      command:
        'nft delete element netdev TABLE routes { C2 }; nft add element netdev TABLE routes { C2 : 192.168.77.99 }',
    },
    {
      id: 'sources and ports deleted',
      kind: 'source missing',
      command: 'nft flush set netdev TABLE sources; nft flush map netdev TABLE ports',
    },
    { id: 'a rule deleted', kind: 'table altered', command: 'nft flush chain netdev TABLE enter' },
    { id: 'the link deleted', kind: 'link missing', command: 'ip link del dev END' },
    { id: 'the bridge port without its bridge', kind: 'bridge altered', command: 'ip -n NS link set routed0 nomaster' },
    {
      id: 'the row of another port',
      kind: 'bridge row altered',
      command: 'bridge -n NS fdb replace MAC dev vxlan1 master static',
    },
    { id: 'another MAC of the neighbour host', command: 'NEIGHBOUR ip link set dev eth0 address 5e:00:00:00:77:12' },
  ];

  it.each(drifts)('is repaired and counted: $id', async ({ command, kind }) => {
    const [a, b] = hosts();
    const there = await addressOf(b, 'c2', 'routed1');
    await untilPings(a, 'c1', there);
    const octets = there.split('.').map((part) => Number(part).toString(16).padStart(2, '0'));
    const host = command.startsWith('NEIGHBOUR ') ? b : a;
    const script = command
      .replace('NEIGHBOUR ', '')
      .replaceAll('TABLE', table)
      .replaceAll('END', table.replace('waggle-', 'wgr-'))
      .replaceAll('NS', namespace)
      .replaceAll('C2', there)
      .replaceAll('MAC', `02:42:${octets.join(':')}`);
    const count = async (): Promise<number> => (await checkNetworks(a, 'routed1')).Repairs.h1?.[kind ?? ''] ?? 0;
    const before = await count();
    const began = performance.now();
    await host.exec(['sh', '-c', script]);
    const sound = async (): Promise<boolean> => {
      const { stdout } = await a.exec(['bridge', '-n', namespace, 'fdb', 'show', 'dev', 'routed0']);
      const rows = await a.exec(['nft', 'list', 'table', 'netdev', table], { check: false });
      const whole =
        stdout.includes(`02:42:${octets.join(':')} master br0 static`) &&
        rows.stdout.includes(`${there} : ${b.address}`);
      return whole && !/^\s*drop$/m.test(rows.stdout) && (await pings(a, 'c1', there));
    };
    await eventually('what was changed to be as it was', sound, PATIENCE);
    const took = performance.now() - began;
    expect(took).toBeLessThan(REPAIRED_MS);
    process.stdout.write(`repaired within ${Math.round(took)} ms\n`);
    if (kind !== undefined) expect(await count(), kind).toBeGreaterThan(before);
  });
});

describe('a routed network', () => {
  it('loses no packet when the daemons are killed and start again', async () => {
    const [a, b] = hosts();
    const there = await PingStream.start(a, 'c1', await addressOf(b, 'c2', 'routed1'));
    const back = await PingStream.start(b, 'c2', await addressOf(a, 'c1', 'routed1'));
    for (const host of [a, b]) {
      await host.stopService('daemon', 'SIGKILL');
      await host.startDaemon();
    }
    await eventually('the manager to answer', () => a.waggle(['node', 'ls']), PATIENCE);
    await start(a, 'after', 'routed1');
    await untilPings(b, 'c2', 'after');
    await a.docker(['rm', '-f', 'after']);
    for (const each of [await there.end(), await back.end()]) {
      expect(each.sent).toBeGreaterThan(10);
      expect(each.lost).toBeLessThanOrEqual(1);
    }
  });

  it('is there again after the engine was killed', async () => {
    const [, b] = hosts();
    await b.stopService('engine', 'SIGKILL');
    await b.startEngine();
    await eventually('c2 to start', () => b.docker(['start', 'c2']), PATIENCE);
    await untilPings(lab.host(0), 'c1', 'c2');
    await untilPings(lab.host(2), 'c3', 'c2');
  });

  it.each([
    { id: 'another data path', options: ['-o', 'waggle.datapath=magic'], words: 'must be one of vxlan, routed' },
    { id: 'encryption', options: [...ROUTED, '-o', 'encrypted'], words: 'cannot be combined with option encrypted' },
    { id: 'IPv6', options: [...ROUTED, '--ipv6'], words: 'cannot be combined with IPv6' },
  ])('is refused with $id', async ({ options, words }) => {
    const command = ['network', 'create', '-d', 'overlay', ...options, 'wrong'];
    const refused = await lab.host(0).waggle(command, { check: false });
    expect(refused.stderr).toContain(words);
    expect(refused.exitCode).toBe(1);
  });

  it('leaves nothing on a host that leaves the swarm', async () => {
    const [a, b] = hosts();
    await removeAllContainers(b);
    await b.waggle(['swarm', 'leave']);
    await untilNothingLeft(b);
    await untilPings(a, 'c1', 'c3');
    await eventually(
      'the route to the host that left to be gone',
      async () => !(await rowsOf(a)).includes(b.address),
      PATIENCE,
    );
  });

  it('leaves nothing anywhere when it is removed', async () => {
    const [a, , c] = hosts();
    await Promise.all([a, c].map(removeAllContainers));
    await eventually('no network to be in use', () => a.waggle(['network', 'rm', 'routed1', 'routed2']), PATIENCE);
    await Promise.all([a, c].map(untilNothingLeft));
  });
});
