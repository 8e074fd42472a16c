import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { NetworkTrace, TraceHop } from '../../proto/objects/diagnosis/report.ts';
import { traceNetwork, untilClean } from '../fixtures/network-diagnosis.ts';
import {
  address6Of,
  addressOf,
  createNetwork,
  createSwarm,
  PATIENCE,
  start,
  untilPings,
} from '../fixtures/network-swarm.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import type { Lab } from '../lab/lab.ts';
import { run } from '../lab/run.ts';

let lab: Lab;
let namespace = '';
let namespace6 = '';
let there = '';

/** h1 leads, h2 is a manager too. */
function hosts(): [Host, Host, Host] {
  return [lab.host(0), lab.host(1), lab.host(2)];
}

beforeAll(async () => {
  lab = await createSwarm(3);
  const [a, b] = hosts();
  const id = await createNetwork(lab, 'net1');
  await createNetwork(lab, 'net2');
  namespace = `1-${id.slice(0, 10)}`;
  await start(a, 'here', 'net1');
  await start(a, 'beside', 'net1');
  await start(a, 'stranger', 'net2');
  await start(b, 'there', 'net1');
  await untilPings(a, 'here', 'there');
  there = await addressOf(b, 'there', 'net1');
  await a.waggle(['node', 'promote', 'h2']);
  await eventually('h2 to be a manager', () => b.waggle(['node', 'ls']), PATIENCE);
});

afterAll(async () => {
  await lab?.destroy();
});

/** Runs a command in the network namespace of a container, with the host's own programs. */
async function within(host: Host, container: string, ...command: string[]): Promise<void> {
  const pid = (await host.docker(['inspect', '-f', '{{.State.Pid}}', container])).stdout.trim();
  await run('nsenter', ['-t', pid, '-n', ...command]);
}

function neighbour6(...command: string[]): Promise<void> {
  return within(lab.host(0), 'six1', 'ip', '-6', 'neigh', ...command);
}

function broken({ Hops }: NetworkTrace): TraceHop | undefined {
  return Hops.find(({ OK }) => OK === false);
}

describe('a way that is clear', () => {
  it('is walked to the other host and back, and ends with 0', async () => {
    const [a] = hosts();
    const { stdout, exitCode } = await a.waggle(['network', 'trace', 'here', 'there']);
    expect(exitCode).toBe(0);
    const lines = stdout.trim().split('\n');
    expect(lines[0]).toMatch(/^here \(10\.\S+ on h1\) to there \(10\.\S+ on h2\) on network net1$/);
    expect(lines.slice(1, -1).filter((line) => !line.startsWith('✓ '))).toEqual([]);
    expect(lines.at(-1)).toBe('The way is clear.');
    const hops = lines.map((line) => line.replace(/^✓ (h\d) +(.*?) {2,}.*$/, '$1 $2').replaceAll(there, 'THERE'));
    expect(hops).toEqual(expect.arrayContaining(['h1 container here', 'h1 record of THERE', 'h2 container there']));
    expect(stdout).toMatch(/✓ h1 +echo from \S+ to \S+ with 1450 bytes +answered in/);
  });

  it('is found between containers of one host, without a tunnel', async () => {
    const trace = await traceNetwork(lab.host(0), 'here', 'beside');
    expect(trace.OK).toBe(true);
    expect(trace.Hops.map(({ Node }) => Node)).not.toContain('h2');
    expect(trace.Hops.map(({ Hop }) => Hop).join()).not.toContain('tunnel');
  });

  it.each([
    { id: 'routed', option: ['-o', 'waggle.datapath=routed', '--ipv6', '--subnet', 'fd00:17::/64'] },
    { id: 'encrypted', option: ['--opt', 'encrypted', '--ipv6', '--subnet', 'fd00:18::/64'] },
  ])('is walked on a network of another kind: $id', async ({ id, option }) => {
    const [a, b] = hosts();
    await createNetwork(lab, id, ...option);
    await start(a, `${id}1`, id);
    await start(b, `${id}2`, id);
    await untilPings(a, `${id}1`, `${id}2`);
    await eventually(
      'the way to be clear',
      async () => {
        const { Hops } = await traceNetwork(a, `${id}1`, `${id}2`);
        const wrong = Hops.filter(({ OK }) => OK === false);
        if (wrong.length > 0) throw new Error(JSON.stringify(wrong));
        const answered = Hops.filter(({ OK }) => OK === true).map(({ Hop }) => Hop);
        for (const family of ['10.', 'fd00:']) {
          expect(answered).toContainEqual(expect.stringMatching(new RegExp(`^echo from ${family}.* bytes$`)));
        }
      },
      PATIENCE,
    );
    await untilClean(a, id);
    await Promise.all([a.docker(['rm', '-f', `${id}1`]), b.docker(['rm', '-f', `${id}2`])]);
  });

  it('is asked for by address, by the beginning of an ID, by task, and on any manager', async () => {
    const [a, b] = hosts();
    const service = ['service', 'create', '--detach', '--name', 'web', '--replicas', '2', '--network', 'net1'];
    await a.waggle([...service, TEST_IMAGE, 'sleep', '100000']);
    const id = (await b.docker(['inspect', '-f', '{{.Id}}', 'there'])).stdout.slice(0, 10);
    for (const [from, to] of [
      ['here', there],
      [id, 'here'],
      ['web.1', 'here'],
      ['here', 'web.2'],
    ] as const) {
      const trace = await eventually(
        `${from} to ${to}`,
        async () => {
          const found = await traceNetwork(b, from, to);
          if (!found.OK) throw new Error(JSON.stringify(found.Hops.filter(({ OK }) => OK === false)));
          return found;
        },
        PATIENCE,
      );
      expect(trace.Network).toBe('net1');
    }
    const { stdout } = await b.waggle(['network', 'trace', '--format', 'json', 'here', 'there']);
    expect(JSON.parse(stdout)).toMatchObject({ OK: true, To: { Name: 'there', Node: 'h2', Address: there } });
  });
});

interface Fault {
  id: string;
  plant: () => Promise<unknown>;
  mend: () => Promise<unknown>;
  /** The first hop that is broken. */
  hop: RegExp;
  node: string;
  advice: RegExp;
}

const FAULTS: Fault[] = [
  {
    id: 'the data path port closed on the target host',
    plant: () => lab.host(1).exec(['iptables', '-I', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']),
    mend: () => lab.host(1).exec(['iptables', '-D', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']),
    hop: /^request comes out of the tunnel$/,
    node: 'h2',
    advice: /firewall/,
  },
  {
    id: 'the data path port closed on the way out',
    plant: () => lab.host(0).exec(['iptables', '-I', 'OUTPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']),
    mend: () => lab.host(0).exec(['iptables', '-D', 'OUTPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']),
    hop: /^request leaves the host$/,
    node: 'h1',
    advice: /firewall/,
  },
  {
    id: 'the data path port closed for the way back',
    plant: () => lab.host(0).exec(['iptables', '-I', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']),
    mend: () => lab.host(0).exec(['iptables', '-D', 'INPUT', '-p', 'udp', '--dport', '4789', '-j', 'DROP']),
    hop: /^reply comes out of the tunnel$/,
    node: 'h1',
    advice: /firewall/,
  },
  {
    id: 'a smaller MTU between the hosts',
    plant: () => setSwitchMtu('1400'),
    mend: () => setSwitchMtu('1500'),
    hop: /^host network to 192\.168\.77\.12$/,
    node: 'h1',
    advice: /MTU/,
  },
  {
    id: 'the interface in the container down',
    plant: () => within(lab.host(1), 'there', 'ip', 'link', 'set', 'eth0', 'down'),
    mend: () => within(lab.host(1), 'there', 'ip', 'link', 'set', 'eth0', 'up'),
    hop: /^interface in the container$/,
    node: 'h2',
    advice: /restart the container/,
  },
  {
    id: 'a firewall in the container',
    plant: () => within(lab.host(1), 'there', 'iptables', '-I', 'INPUT', '-i', 'eth0', '-j', 'DROP'),
    mend: () => within(lab.host(1), 'there', 'iptables', '-D', 'INPUT', '-i', 'eth0', '-j', 'DROP'),
    hop: /^reply leaves the container$/,
    node: 'h2',
    advice: /firewall/,
  },
  {
    id: 'another MAC in the ARP table of the container',
    plant: () => neighbour('replace', there, 'lladdr', '02:42:0a:00:00:77', 'dev', 'eth0', 'nud', 'permanent'),
    mend: () => neighbour('del', there, 'dev', 'eth0'),
    hop: /^ARP entry for \S+ in the container$/,
    node: 'h1',
    advice: /ip neigh del/,
  },
  {
    id: 'a route in the container that goes elsewhere',
    plant: () => within(lab.host(0), 'here', 'ip', 'route', 'add', 'unreachable', there),
    mend: () => within(lab.host(0), 'here', 'ip', 'route', 'del', 'unreachable', there),
    hop: /^route to \S+ in the container$/,
    node: 'h1',
    advice: /routes of the container/,
  },
  {
    id: 'a missing forwarding entry',
    plant: () => tables('bridge', 'fdb', 'del', mac(there), 'dev', 'vxlan1', 'dst', '192.168.77.12', 'self'),
    mend: () => Promise.resolve(),
    hop: /^forwarding entry of \S+ on vxlan1$/,
    node: 'h1',
    advice: /repairs it within 5 s/,
  },
  {
    id: 'a tunnel device that is down',
    plant: () => tables('ip', 'link', 'set', 'vxlan1', 'down'),
    mend: () => Promise.resolve(),
    hop: /^(neighbour entry of \S+ on vxlan1|tunnel device vxlan1)$/,
    node: 'h1',
    advice: /repairs it within 5 s/,
  },
];

async function setSwitchMtu(mtu: string): Promise<void> {
  const { switchNamespace, port } = lab.host(1).options;
  await run('ip', ['-n', switchNamespace, 'link', 'set', port, 'mtu', mtu]);
}

function neighbour(...command: string[]): Promise<void> {
  return within(lab.host(0), 'here', 'ip', 'neigh', ...command);
}

async function tables(tool: string, ...command: string[]): Promise<void> {
  await lab.host(0).exec([tool, '-n', namespace, ...command], { check: false });
}

function mac(address: string): string {
  const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return ['02:42', ...octets].join(':');
}

/** The first broken hop is that of the fault; and without the fault none is. */
async function untilBroken({ plant, mend, ...expected }: Omit<Fault, 'id'>, from: string, to: string): Promise<void> {
  const [a] = hosts();
  try {
    const hop = await eventually(
      'the broken hop to be named',
      async () => {
        // What the node's audit repairs is planted anew.
        await plant();
        const found = broken(await traceNetwork(a, from, to));
        if (found !== undefined && expected.hop.test(found.Hop)) return found;
        await mend();
        throw new Error(JSON.stringify(found));
      },
      PATIENCE,
    );
    expect(hop).toEqual({
      NodeID: expect.stringMatching(/^\w{25}$/) as string,
      Node: expected.node,
      Hop: hop.Hop,
      OK: false,
      Seen: expect.stringMatching(/./) as string,
      Expected: expect.stringMatching(/./) as string,
      Advice: expect.stringMatching(expected.advice) as string,
    });
  } finally {
    await mend();
  }
  await eventually('the way to be clear', async () => (await traceNetwork(a, from, to)).OK, PATIENCE);
}

describe('a way between IPv6 addresses', () => {
  let target = '';

  beforeAll(async () => {
    const [a, b] = hosts();
    const id = await createNetwork(lab, 'six', '--ipv6', '--subnet', 'fd00:7::/64');
    namespace6 = `1-${id.slice(0, 10)}`;
    await start(a, 'six1', 'six');
    await start(b, 'six2', 'six');
    target = await address6Of(b, 'six2', 'six');
    await untilPings(a, 'six1', target);
  });

  it('is traced beside that between IPv4 addresses, and alone when asked for', async () => {
    const [a] = hosts();
    const { stdout } = await a.waggle(['network', 'trace', 'six1', 'six2']);
    expect(stdout).toMatch(
      /^six1 \(10\.\S+, fd00:7::\S+ on h1\) to six2 \(10\.\S+, fd00:7::\S+ on h2\) on network six$/m,
    );
    expect(stdout).toMatch(/^✓ h1 +echo from fd00:7::\S+ to fd00:7::\S+ with 1450 bytes +answered in/m);
    expect(stdout).toMatch(/^✓ h1 +echo from 10\S+ to 10\S+ with 1450 bytes +answered in/m);
    expect(stdout.split('\n').filter((line) => /^[✗?]/.test(line))).toEqual([]);
    for (const args of [
      ['six1', target],
      ['-6', 'six1', 'six2'],
    ]) {
      const only = (await a.waggle(['network', 'trace', ...args])).stdout;
      expect(only).toContain(`to six2 (${target} on h2)`);
      expect(only).not.toMatch(/echo from 10/);
    }
    expect((await a.waggle(['network', 'trace', '-4', 'six1', 'six2'])).stdout).not.toMatch(
      /(echo|route|record) .*fd00/,
    );
  });

  it.each([
    {
      id: 'a missing neighbour entry',
      plant: () =>
        lab.host(0).exec(['ip', '-n', namespace6, 'neigh', 'del', target, 'dev', 'vxlan1'], { check: false }),
      mend: () => Promise.resolve(),
      hop: /^neighbour entry of fd00\S+ on vxlan1$/,
      node: 'h1',
    },
    {
      id: 'another MAC in the neighbour table of the container',
      plant: () => neighbour6('replace', target, 'lladdr', '02:42:0a:00:00:77', 'dev', 'eth0', 'nud', 'permanent'),
      mend: () => neighbour6('del', target, 'dev', 'eth0'),
      hop: /^NDP entry for fd00\S+ in the container$/,
      node: 'h1',
    },
    {
      id: 'the address taken from the container',
      plant: () => within(lab.host(1), 'six2', 'ip', 'addr', 'del', `${target}/64`, 'dev', 'eth0'),
      mend: () => within(lab.host(1), 'six2', 'ip', 'addr', 'add', `${target}/64`, 'dev', 'eth0', 'nodad'),
      hop: /^interface in the container$/,
      node: 'h2',
    },
    {
      id: 'a firewall in the container',
      plant: () =>
        within(lab.host(1), 'six2', 'ip6tables', '-I', 'INPUT', '-p', 'icmpv6', '--icmpv6-type', '128', '-j', 'DROP'),
      mend: () =>
        within(lab.host(1), 'six2', 'ip6tables', '-D', 'INPUT', '-p', 'icmpv6', '--icmpv6-type', '128', '-j', 'DROP'),
      hop: /^reply leaves the container$/,
      node: 'h2',
    },
  ])('is told to be broken where the IPv4 one is not: $id', async ({ plant, mend, hop, node }) => {
    await untilBroken({ plant, mend, hop, node, advice: /./ }, 'six1', 'six2');
  });

  it('is not where a container has no such address', async () => {
    const answer = await lab.host(0).waggle(['network', 'trace', '-6', 'here', 'there'], { check: false });
    expect(answer.exitCode).toBe(1);
    expect(answer.stdout).toMatch(/^✗ h1 +IPv6 address of here +none; expected: one on the network$/m);
    expect(answer.stdout).toMatch(/^ {4}.*--ipv6$/m);
    const both = await lab.host(0).waggle(['network', 'trace', '-4', '-6', 'here', 'there'], { check: false });
    expect([both.exitCode, both.stderr]).toEqual([1, expect.stringContaining('-4 and -6 cannot be used together')]);
  });
});

describe('a broken way', () => {
  it.each(FAULTS)('is told with its place, its reason and what to do: $id', async (fault) => {
    await untilBroken(fault, 'here', 'there');
  });

  it('is printed with a cross, the advice and the verdict, and ends with 1', async () => {
    const [a] = hosts();
    const { stdout, exitCode, stderr } = await a.waggle(['network', 'trace', 'here', 'stranger'], { check: false });
    expect([exitCode, stderr]).toEqual([1, '']);
    expect(stdout).toMatch(
      /^✗ h1 +network in common +here is on net1, stranger on net2; expected: a network that both are on$/m,
    );
    expect(stdout).toMatch(/^ {4}waggle network connect/m);
    expect(stdout.trim()).toMatch(/Broken at h1: network in common\.$/);
  });

  it('to an address that nobody has says so', async () => {
    const [a] = hosts();
    const free = there.replace(/\d+$/, '200');
    expect(broken(await traceNetwork(a, 'here', free))).toMatchObject({ Seen: 'nobody has the address' });
    const gateway = there.replace(/\d+$/, '1');
    expect(broken(await traceNetwork(a, 'here', gateway))?.Seen).toContain('gateway');
  });

  it.each([
    {
      id: 'unknown',
      args: ['here', 'nobody'],
      exitCode: 1,
      words: 'No such container or task on any overlay network: nobody',
    },
    { id: 'no network', args: ['--network', 'nope', 'here', 'there'], exitCode: 1, words: 'network nope not found' },
    { id: 'one argument', args: ['here'], exitCode: 1, words: '"waggle network trace" requires exactly 2 arguments.' },
    { id: 'unknown flag', args: ['--nope', 'here', 'there'], exitCode: 125, words: 'unknown flag: --nope' },
  ])('cannot be asked for so: $id', async ({ args, exitCode, words }) => {
    const answer = await lab.host(0).waggle(['network', 'trace', ...args], { check: false });
    expect(answer.exitCode).toBe(exitCode);
    expect(answer.stderr).toContain(words);
  });

  it('cannot be asked for on a worker', async () => {
    const answer = await lab.host(2).waggle(['network', 'trace', 'here', 'there'], { check: false });
    expect([answer.exitCode, answer.stderr]).toEqual([1, expect.stringContaining('This node is not a swarm manager.')]);
  });
});
