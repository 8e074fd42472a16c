import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  address6Of,
  addressOf,
  createNetwork,
  leftovers,
  lookUp,
  lookUp6,
  PATIENCE,
  PingStream,
  pings,
  removeAllContainers,
  start,
  startCommand,
  untilPings,
} from '../fixtures/network-swarm.ts';
import { checkNetworks, kindsOf, traceNetwork, untilClean } from '../fixtures/network-diagnosis.ts';
import { INJECTED_PACKETS, injectionFor, membersOf, refusedBy } from '../fixtures/vxlan-injection.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { createLab, type Lab, secondAddress } from '../lab/lab.ts';

const PORT = 5789;

let lab: Lab;

function hosts(): [Host, Host] {
  return [lab.host(0), lab.host(1)];
}

async function inside(host: Host, container: string, ...command: string[]): Promise<string> {
  return (await host.docker(['exec', container, ...command], { check: false })).stdout;
}

async function namespaceOf(network: string): Promise<string> {
  const { stdout } = await lab.host(0).swarmDocker(['network', 'inspect', '-f', '{{.Id}}', network]);
  return `1-${stdout.slice(0, 10)}`;
}

async function runningTasks(service: string): Promise<number> {
  const { stdout } = await lab.host(0).waggle(['service', 'ps', '--format', '{{.CurrentState}}', service]);
  return stdout.split('\n').filter((line) => line.startsWith('Running ')).length;
}

async function createService(name: string, replicas: number, network: string): Promise<void> {
  const flags = ['--detach', '--name', name, '--replicas', String(replicas), '--stop-grace-period', '1s'];
  await lab.host(0).swarmDocker(['service', 'create', ...flags, '--network', network, TEST_IMAGE, 'sleep', '100000']);
  await eventually(`${name} to run`, async () => (await runningTasks(name)) === replicas, PATIENCE);
}

/** The host's containers that are tasks of the service. */
async function tasksOn(host: Host, service: string): Promise<string[]> {
  const filter = `label=com.docker.swarm.service.name=${service}`;
  return (await host.docker(['ps', '-q', '--filter', filter])).stdout.split('\n').filter((line) => line !== '');
}

/** Starts it as soon as there is an address for it. */
async function untilStarts(host: Host, name: string, network: string, ...more: string[]): Promise<void> {
  const attempt = async (): Promise<boolean> => {
    await host.docker(['rm', '-f', name], { check: false });
    return (await host.docker(startCommand(name, network, ...more), { check: false })).exitCode === 0;
  };
  await eventually(`an address for ${name}`, attempt, PATIENCE);
}

async function removeService(name: string): Promise<void> {
  await lab.host(0).swarmDocker(['service', 'rm', name]);
  for (const host of lab.hosts) {
    await eventually(`tasks of ${name} to go`, async () => (await tasksOn(host, name)).length === 0, PATIENCE);
  }
}

beforeAll(async () => {
  lab = await createLab({ hosts: 2, secondNetwork: true });
  const [a, b] = hosts();
  const path = ['--data-path-addr', 'eth1', '--data-path-port', String(PORT)];
  await a.swarmDocker(['swarm', 'init', '--advertise-addr', a.address, ...path]);
  const token = (await a.waggle(['swarm', 'join-token', '-q', 'worker'])).stdout.trim();
  const own = ['--advertise-addr', b.address, '--data-path-addr', secondAddress(1)];
  await b.waggle(['swarm', 'join', '--token', token, ...own, `${a.address}:2377`]);
});

afterAll(async () => {
  await lab?.destroy();
});

describe('the data path', () => {
  it('has the port and the addresses that it was given', async () => {
    const [a, b] = hosts();
    const { stdout } = await a.swarmDocker(['info', '-f', '{{.Swarm.Cluster.DataPathPort}}']);
    expect(stdout.trim()).toBe(String(PORT));
    await createNetwork(lab, 'plain');
    const rules = [
      'table ip probe {',
      ' chain pre { type filter hook prerouting priority -300;',
      `  iifname "eth0" udp dport { 4789, ${PORT} } counter name "wrong"`,
      `  iifname "eth1" udp dport ${PORT} counter name "right"; }`,
      ' counter wrong { }; counter right { };',
      '}',
    ];
    await b.exec(['nft', '-f', '-'], { input: rules.join('\n') });
    await start(a, 'p1', 'plain');
    await start(b, 'p2', 'plain');
    await untilPings(a, 'p1', 'p2');
    // Fills a frame: 1422 bytes and the headers of ICMP and IP are the overlay's 1450.
    const address = await addressOf(b, 'p2', 'plain');
    const sent = await inside(a, 'p1', 'ping', '-c', '20', '-i', '0.05', '-s', '1422', address);
    expect(sent).toContain('20 packets received');
    const packets = async (name: string): Promise<number> => {
      const counter = (await b.exec(['nft', 'list', 'counter', 'ip', 'probe', name])).stdout;
      return Number(/packets (\d+)/.exec(counter)?.[1]);
    };
    expect(await packets('right')).toBeGreaterThanOrEqual(21);
    expect(await packets('wrong')).toBe(0);
    const peers = ['network', 'inspect', '-f', '{{range .Peers}}{{.IP}} {{end}}', 'plain'];
    const ips = (await a.swarmDocker(peers)).stdout.trim().split(' ').toSorted();
    expect(ips).toEqual([secondAddress(0), secondAddress(1)]);
  });
});

describe('a network of several subnets', () => {
  beforeAll(async () => {
    await createNetwork(
      lab,
      'multi',
      ...[
        '--subnet',
        '10.5.0.0/29',
        '--subnet',
        '10.6.0.0/24',
        '--gateway',
        '10.6.0.254',
        '--ip-range',
        '10.6.0.64/26',
      ],
      ...['-o', 'com.docker.network.driver.mtu=1300'],
    );
  });

  it('is shown with all of them', async () => {
    const format = '{{json .IPAM.Config}} {{json .Options}}';
    const [shown = '', options = ''] = (
      await lab.host(0).swarmDocker(['network', 'inspect', '-f', format, 'multi'])
    ).stdout.split(' ');
    expect(JSON.parse(shown)).toEqual([
      { Subnet: '10.5.0.0/29', Gateway: '10.5.0.1' },
      { Subnet: '10.6.0.0/24', IPRange: '10.6.0.64/26', Gateway: '10.6.0.254' },
    ]);
    const ids = (JSON.parse(options) as Record<string, string>)['com.docker.network.driver.overlay.vxlanid_list'];
    expect(ids).toMatch(/^\d+,\d+$/);
  });

  it('fills one after the other, and its containers reach each other', async () => {
    const [a, b] = hosts();
    await createService('fill', 4, 'multi');
    const names = ['m1', 'm2', 'm3'];
    for (const name of names) await start(a, name, 'multi');
    await start(b, 'm4', 'multi', '--ip', '10.6.0.7');
    const given = await Promise.all(names.map((name) => addressOf(a, name, 'multi')));
    // Of the six of the first subnet the gateway has one, the service's VIP one, its tasks four.
    expect(given).toEqual(['10.6.0.64', '10.6.0.65', '10.6.0.66']);
    const [task = ''] = await tasksOn(b, 'fill');
    const taskAddress = await addressOf(b, task, 'multi');
    expect(taskAddress).toMatch(/^10\.5\.0\.[2-6]$/);
    for (const to of ['10.6.0.7', taskAddress, '10.5.0.1', '10.6.0.254', 'tasks.fill']) await untilPings(a, 'm1', to);
    await untilPings(b, task, 'm1');
    const routes = (await inside(a, 'm1', 'ip', 'route')).split('\n').map((line) => line.trim());
    expect(routes).toContain('10.5.0.0/29 dev eth0 scope link');
    expect(routes.filter((route) => route.startsWith('default')).length).toBe(1);
    expect(await inside(a, 'm1', 'ip', 'link', 'show', 'eth0')).toContain('mtu 1300');
    await removeService('fill');
  });

  it('gives an address back to the subnet that it is of', async () => {
    const [a] = hosts();
    const fixed = ['--ip', '10.5.0.6'];
    // The tasks of before may have had it: their containers go first, and then the managers hear of it.
    await untilStarts(a, 'm5', 'multi', ...fixed);
    const again = await a.docker(startCommand('m6', 'multi', ...fixed), { check: false });
    expect(again.stderr).toContain('Address already in use');
    await a.docker(['rm', '-f', 'm5', 'm6']);
    await untilStarts(a, 'm7', 'multi', ...fixed);
    const foreign = await a.docker(startCommand('m8', 'multi', '--ip', '10.9.0.1'), { check: false });
    expect(foreign.stderr).toContain("does not belong to any of this network's subnets");
  });
});

describe('a network with IPv6', () => {
  beforeAll(async () => {
    await createNetwork(lab, 'six', '--ipv6', '--subnet', '10.7.0.0/24', '--subnet', 'fd00:7::/64');
  });

  it('gives containers and tasks both addresses and both kinds of names', async () => {
    const [a, b] = hosts();
    await start(a, 's1', 'six');
    await b.swarmDocker(startCommand('s2', 'six', '--ip6', 'fd00:7::abcd'));
    await createService('web6', 4, 'six');
    expect(await address6Of(b, 's2', 'six')).toBe('fd00:7::abcd');
    for (const to of ['fd00:7::abcd', 'fd00:7::1', await addressOf(b, 's2', 'six')]) await untilPings(a, 's1', to);
    expect(await lookUp6(a, 's1', 's2')).toEqual(['fd00:7::abcd']);
    expect(await lookUp(a, 's1', 's2')).toEqual([await addressOf(b, 's2', 'six')]);
    expect(await inside(a, 's1', 'nslookup', 'fd00:7::abcd')).toContain('name = s2.six');
    await eventually('four addresses', async () => (await lookUp6(a, 's1', 'tasks.web6')).length === 4, PATIENCE);
    const ofTasks = await lookUp6(a, 's1', 'tasks.web6');
    for (const address of ofTasks) await untilPings(a, 's1', address);
    const [id = ''] = (await a.waggle(['service', 'ps', '-q', 'web6'])).stdout.split('\n');
    const shown = await a.swarmDocker(['inspect', '-f', '{{json (index .NetworksAttachments 0).Addresses}}', id]);
    const addresses = JSON.parse(shown.stdout) as string[];
    expect(addresses).toEqual([
      expect.stringMatching(/^10\.7\.0\.\d+\/24$/),
      expect.stringMatching(/^fd00:7::[0-9a-f]+\/64$/),
    ]);
    expect(ofTasks).toContain(addresses[1]?.split('/')[0]);
  });

  it('repairs what was taken out of the kernel', async () => {
    const [a] = hosts();
    const namespace = await namespaceOf('six');
    const read = async (...what: string[]): Promise<string> => (await a.exec(['ip', '-n', namespace, ...what])).stdout;
    const neighbours = (): Promise<string> => read('-6', 'neigh', 'show', 'dev', 'vxlan1', 'nud', 'permanent');
    expect(await neighbours()).toContain('fd00:7::abcd');
    await eventually(
      'the faults to be named',
      async () => {
        // The audit may come between the two; then they are planted once more.
        const planted = [
          'ip neigh del fd00:7::abcd dev vxlan1',
          'ip addr del fd00:7::1/64 dev br0',
          'ip addr add fd00:66::1/64 dev br0',
          'ip neigh replace fd00:7::beef lladdr 02:42:0a:09:09:09 dev vxlan1 nud permanent',
        ].map((line) => line.replace('ip ', `ip -n ${namespace} `));
        await a.exec(['sh', '-c', planted.join('\n')], { check: false });
        expect(kindsOf((await checkNetworks(a, 'six')).Findings).toSorted()).toEqual([
          'address added fd00:66::1/64',
          'address missing fd00:7::1/64',
          'neighbour added fd00:7::beef',
          'neighbour missing fd00:7::abcd',
        ]);
      },
      PATIENCE,
    );
    await eventually('repair', async () => (await neighbours()).includes('fd00:7::abcd'), PATIENCE);
    await untilClean(a, 'six');
    expect(await neighbours()).not.toContain('fd00:7::beef');
    const bridge = await read('addr', 'show', 'dev', 'br0');
    expect(bridge).toContain('fd00:7::1/64');
    expect(bridge).not.toContain('fd00:66::1');
  });

  it('goes on under a daemon that was killed, and is taken up by the next', async () => {
    const [a, b] = hosts();
    await b.stopService('daemon', 'SIGKILL');
    expect(await pings(a, 's1', 'fd00:7::abcd')).toBe(true);
    await b.startDaemon();
    await b.docker(['restart', '-t', '0', 's2']);
    await untilPings(a, 's1', 'fd00:7::abcd');
    expect(await lookUp6(a, 's1', 's2')).toEqual(['fd00:7::abcd']);
    await removeService('web6');
    expect(await lookUp6(a, 's1', 'tasks.web6')).toEqual([]);
  });

  it('gives out every address, says when none is left, and takes them back', async () => {
    const [a, b] = hosts();
    await createNetwork(lab, 'tiny', '--ipv6', '--subnet', 'fd00:9::/126');
    await start(a, 't1', 'tiny');
    await start(b, 't2', 'tiny');
    const given = [await address6Of(a, 't1', 'tiny'), await address6Of(b, 't2', 'tiny')];
    expect(given.toSorted()).toEqual(['fd00:9::2', 'fd00:9::3']);
    const third = await a.docker(startCommand('t3', 'tiny'), { check: false });
    expect(third.stderr).toContain('could not find an available IP');
    await a.docker(['rm', '-f', 't1', 't3']);
    await untilStarts(a, 't4', 'tiny');
    expect(await address6Of(a, 't4', 'tiny')).toBe(given[0]);
    await untilPings(b, 't2', given[0] ?? '');
  });
});

describe('an internal network', () => {
  it('has no way out, for containers and tasks, and names all the same', async () => {
    const [a, b] = hosts();
    await createNetwork(lab, 'inner', '--internal', '--ipv6', '--subnet', 'fd00:8::/64');
    await start(a, 'i1', 'inner');
    await createService('quiet', 2, 'inner');
    const [onA, onB] = [await tasksOn(a, 'quiet'), await tasksOn(b, 'quiet')];
    const all = [[a, 'i1'], ...onA.map((id) => [a, id]), ...onB.map((id) => [b, id])] as [Host, string][];
    expect(all.length).toBe(3);
    for (const [host, container] of all) {
      expect(await inside(host, container, 'ls', '/sys/class/net')).toMatch(/^eth0\s+lo\s*$/);
      for (const family of ['-4', '-6']) {
        const routes = await inside(host, container, 'ip', family, 'route');
        expect(routes).toContain('dev eth0');
        expect(routes).not.toMatch(/default|eth1/);
      }
      expect(await pings(host, container, host.address)).toBe(false);
      await untilPings(host, container, 'i1');
      expect(await lookUp(host, container, 'example.com')).toEqual([]);
      expect((await lookUp6(host, container, 'tasks.quiet')).length).toBe(2);
    }
    await removeService('quiet');
  });
});

describe('a host whose data path gets another address', () => {
  /** Where each host's data path is. */
  const at = [secondAddress(0), secondAddress(1)];
  /** Whether text names just this address. */
  const names = (text: string, address: string): boolean => new RegExp(`\\b${address}\\b`).test(text);

  beforeAll(async () => {
    const [a, b] = hosts();
    await createNetwork(lab, 'straight', '-o', 'waggle.datapath=routed');
    await createNetwork(lab, 'veiled', '--opt', 'encrypted');
    for (const [letter, network] of [
      ['r', 'straight'],
      ['v', 'veiled'],
    ] as const) {
      await Promise.all([start(a, `${letter}1`, network), start(b, `${letter}2`, network)]);
      await untilPings(a, `${letter}1`, `${letter}2`);
    }
  });

  const cases = [
    { id: 'it was given as such, and the daemon starts anew', index: 1, to: '192.168.78.112', restarts: true },
    { id: 'it was found on an interface, and the daemon runs', index: 0, to: '192.168.78.111', restarts: false },
  ];
  it.each(cases)('has its containers reached by that, and is refused by the old one: $id', async (given) => {
    const { index, to, restarts } = given;
    const [host, other, own, others] = [lab.host(index), lab.host(1 - index), index + 1, 2 - index];
    const [from, target] = [at[index] ?? '', at[1 - index] ?? ''];
    const namespace = await namespaceOf('plain');
    const before = await refusedBy(other);
    const routed = await PingStream.start(host, `r${own}`, await addressOf(other, `r${others}`, 'straight'));
    if (restarts) await host.stopService('daemon');
    await host.renumber(from, to);
    at[index] = to;
    if (restarts) await host.startDaemon();
    const shown = async (where: Host, ...command: string[]): Promise<string> => (await where.exec(command)).stdout;
    const rows = (): Promise<string> => shown(other, 'bridge', '-n', namespace, 'fdb');
    const device = (): Promise<string> => shown(host, 'ip', '-n', namespace, '-d', 'link', 'show', 'vxlan1');
    await eventually('rows with the new address', async () => names(await rows(), to), PATIENCE);
    await eventually('a device with it', async () => names(await device(), to), PATIENCE);
    // wireguard-go by itself would notice after 15 s.
    for (const letter of ['v', 'r', 'p']) {
      await untilPings(host, `${letter}${own}`, `${letter}${others}`, 8_000);
      await untilPings(other, `${letter}${others}`, `${letter}${own}`, 8_000);
    }
    // Bare packets need no address.
    expect((await routed.end()).lost).toBeLessThanOrEqual(5);
    expect(await refusedBy(other)).toBe(before);
    await untilClean(lab.host(0));
    for (const each of lab.hosts) {
      await eventually(`${from} to be shut out`, async () => !names(await membersOf(each), from), PATIENCE);
      expect(await membersOf(each)).toContain(to);
      for (const [overlay] of (await shown(each, 'ip', 'netns')).matchAll(/^1-\w+/gm)) {
        expect(names(await shown(each, 'bridge', '-n', overlay, 'fdb'), from)).toBe(false);
      }
      expect(names(await shown(each, 'sh', '-c', 'ip neigh show nud permanent; nft list ruleset; wg'), from)).toBe(
        false,
      );
    }
    const networkId = namespace.slice(2);
    const victim = { host: other, container: `p${others}`, network: 'plain', networkId };
    await host.exec(['ip', 'addr', 'add', `${from}/32`, 'dev', 'lo']);
    await host.exec(await injectionFor(victim, [target, PORT], from));
    await eventually('them to be counted', async () => {
      const { Repairs } = await checkNetworks(lab.host(0));
      return Repairs[other.name]?.['packet refused'] === before + INJECTED_PACKETS;
    });
    await host.exec(['ip', 'addr', 'del', `${from}/32`, 'dev', 'lo']);
  });
});

describe('what is refused', () => {
  const refused = [
    { id: 'a subnet that is taken', args: ['--subnet', '10.7.0.128/25'], words: 'Pool overlaps with other one' },
    {
      id: 'an IPv6 subnet that is taken',
      args: ['--ipv6', '--subnet', 'fd00::/16'],
      words: 'Pool overlaps with other',
    },
    {
      id: 'IPv6 that is not asked for',
      args: ['--subnet', 'fd00:a::/64'],
      words: 'not enabled for the network (--ipv6)',
    },
    { id: 'a subnet of one address', args: ['--subnet', '10.30.0.0/32'], words: 'No available addresses on this pool' },
    { id: 'bits of a host', args: ['--subnet', '10.30.0.5/24'], words: 'it should be 10.30.0.0/24' },
    {
      id: 'a range larger than its subnet',
      args: ['--subnet', '10.30.0.0/24', '--ip-range', '10.30.0.0/16'],
      words: 'CIDR block is bigger than its parent subnet 10.30.0.0/24',
    },
    {
      id: 'a gateway outside',
      args: ['--subnet', '10.30.0.0/24', '--gateway', '10.31.0.1'],
      words: 'no matching subnet for gateway 10.31.0.1',
    },
  ];
  it.each(refused)('$id', async ({ args, words }) => {
    const command = ['network', 'create', '-d', 'overlay', ...args, 'refused'];
    for (const answer of [
      await lab.host(0).swarmDocker(command, { check: false }),
      await lab.host(0).waggle(command, { check: false }),
    ]) {
      expect(answer.exitCode).toBe(1);
      expect(answer.stderr).toContain(words);
    }
  });
});

describe('the end', () => {
  it('leaves nothing on a host that leaves', async () => {
    const [, b] = hosts();
    await removeAllContainers(b);
    await b.waggle(['swarm', 'leave']);
    await eventually('nothing to be left', async () => (await leftovers(b)).length === 0, PATIENCE);
  });
});

describe('hosts that reach each other by IPv6', () => {
  it('carry overlays over it, and a node that joins finds its own address', async () => {
    const [a, b] = hosts();
    await removeAllContainers(a);
    await a.waggle(['swarm', 'leave', '--force']);
    for (const [index, host] of lab.hosts.entries()) {
      await host.exec(['sysctl', '-q', '-w', 'net.ipv6.conf.eth1.disable_ipv6=0', 'net.ipv6.conf.eth1.accept_dad=0']);
      await host.exec(['ip', 'addr', 'add', `fd00:78::${index + 1}/64`, 'dev', 'eth1', 'nodad']);
    }
    await a.waggle(['swarm', 'init', '--advertise-addr', a.address, '--data-path-addr', 'fd00:78::1']);
    const token = (await a.waggle(['swarm', 'join-token', '-q', 'worker'])).stdout.trim();
    await b.waggle(['swarm', 'join', '--token', token, '--data-path-addr', 'fd00:78::2', `${a.address}:2377`]);
    const shown = await a.swarmDocker(['node', 'inspect', '-f', '{{.Status.Addr}}', 'h2']);
    expect(shown.stdout.trim()).toBe(b.address);
    await createNetwork(lab, 'over6', '--ipv6', '--subnet', 'fd00:6::/64');
    await start(a, 'u1', 'over6');
    await start(b, 'u2', 'over6');
    await untilPings(a, 'u1', 'u2');
    expect(await inside(a, 'u1', 'ip', 'link', 'show', 'eth0')).toContain('mtu 1430');
    const sent = await inside(
      a,
      'u1',
      'ping',
      '-c',
      '5',
      '-i',
      '0.05',
      '-s',
      '1402',
      await addressOf(b, 'u2', 'over6'),
    );
    expect(sent).toContain('5 packets received');
    expect((await traceNetwork(a, 'u1', 'u2')).Hops.filter(({ OK }) => OK !== true)).toEqual([]);
    await b.exec(['ip6tables', '-I', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']);
    // Of both families, and each is seen on the wire inside an IPv6 tunnel.
    await eventually(
      'the broken hops to be named',
      async () => {
        const broken = (await traceNetwork(a, 'u1', 'u2')).Hops.filter(({ OK }) => OK === false);
        expect(broken.map(({ Node, Hop }) => `${Node} ${Hop}`)).toEqual([
          'h2 request comes out of the tunnel',
          expect.stringMatching(/^h1 echo from 10\./),
          expect.stringMatching(/^h1 echo from fd00:6::/),
        ]);
      },
      PATIENCE,
    );
    await b.exec(['ip6tables', '-D', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']);
    await createNetwork(lab, 'bare', '-o', 'waggle.datapath=routed', '--ipv6', '--subnet', 'fd00:61::/64');
    await start(a, 'r1', 'bare');
    await start(b, 'r2', 'bare');
    await untilPings(a, 'r1', 'r2');
    expect(await inside(a, 'r1', 'ip', 'link', 'show', 'eth0')).toContain('mtu 1500');
    const bare = [await addressOf(b, 'r2', 'bare'), await address6Of(b, 'r2', 'bare')];
    // Hosts find each other by NDP, and each family's packets go bare from one MAC to the other.
    const link = (await b.exec(['ip', '-j', 'link', 'show', 'dev', 'eth1'])).stdout;
    const mac = (JSON.parse(link) as { address: string }[])[0]?.address ?? '';
    const table = (await namespaceOf('bare')).replace('1-', 'waggle-');
    const rows = (await a.exec(['nft', 'list', 'table', 'netdev', table])).stdout;
    for (const address of bare) {
      expect(rows).toContain(`${address} : ${mac}`);
      expect(await inside(a, 'r1', 'ping', '-c', '2', '-s', '1452', address)).toContain('2 packets received');
    }
    expect((await traceNetwork(a, 'r1', 'r2')).Hops.filter(({ OK }) => OK !== true)).toEqual([]);
    const drift = a
      .log('daemon')
      .split('\n')
      .filter((line) => line.includes('create-vxlan') && line.includes('drifted'));
    expect(drift).toEqual([]);
  });
});
