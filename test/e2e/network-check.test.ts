import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { checkNetworks, kindsOf, untilClean } from '../fixtures/network-diagnosis.ts';
import { addressOf, createNetwork, createSwarm, PATIENCE, start, untilPings } from '../fixtures/network-swarm.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import type { Lab } from '../lab/lab.ts';

let lab: Lab;
let namespace = '';
let [first, second, third] = ['', '', ''];

/** h1 is the manager; the faults are planted on h2. */
function hosts(): [Host, Host, Host] {
  return [lab.host(0), lab.host(1), lab.host(2)];
}

beforeAll(async () => {
  lab = await createSwarm(3);
  const [a, b, c] = hosts();
  const id = await createNetwork(lab, 'net1');
  namespace = `1-${id.slice(0, 10)}`;
  await start(a, 'a1', 'net1');
  await start(a, 'a2', 'net1');
  await start(b, 'b1', 'net1');
  await start(c, 'c1', 'net1');
  await untilPings(b, 'b1', 'c1');
  await untilPings(b, 'b1', 'a2');
  [first, second, third] = [
    await addressOf(a, 'a1', 'net1'),
    await addressOf(a, 'a2', 'net1'),
    await addressOf(c, 'c1', 'net1'),
  ];
});

afterAll(async () => {
  await lab?.destroy();
});

function mac(address: string): string {
  const octets = address.split('.').map((octet) => Number(octet).toString(16).padStart(2, '0'));
  return ['02:42', ...octets].join(':');
}

/** The port of h2's container, as the overlay has it. */
async function portIn(space: string): Promise<string> {
  const { stdout } = await lab.host(1).exec(['ip', '-n', space, '-br', 'link']);
  return /^(veth\w+)/m.exec(stdout)?.[1] ?? '';
}

async function sandboxKey(host: Host, container: string): Promise<string> {
  return (await host.docker(['inspect', '-f', '{{.NetworkSettings.SandboxKey}}', container])).stdout.trim();
}

/** Links, addresses and routes of a container, without what is another each time. */
async function insides(host: Host, container: string): Promise<string[]> {
  const key = await sandboxKey(host, container);
  const dumps = ['ip -o link', 'ip -o addr', 'ip route', 'ip -6 route'].map((each) => `nsenter --net=${key} ${each}`);
  const { stdout } = await host.exec(['sh', '-c', dumps.join('; ')]);
  const lines = stdout.split('\n').filter((line) => !line.includes('fe80::') && !line.includes(' lo '));
  return lines
    .map((line) =>
      line
        .replace(/^\d+: /, '')
        .replace(/@if\d+/, '')
        .replace(/link-netns.*/, ''),
    )
    .toSorted();
}

interface Fault {
  /** Difference and object, as `network check` names them. */
  name: string;
  /** After `ip -n NAMESPACE` or `bridge -n NAMESPACE`. */
  command: string;
}

/** All planted at once: none of them hides another. */
const ROUNDS: { id: string; faults: () => Promise<Fault[]> | Fault[] }[] = [
  {
    id: 'rows of the tables',
    faults: () => [
      {
        name: `forwarding missing ${mac(first)}`,
        command: `bridge fdb del ${mac(first)} dev vxlan1 dst 192.168.77.11 self`,
      },
      {
        name: `forwarding altered ${mac(second)}`,
        command: `bridge fdb replace ${mac(second)} dev vxlan1 dst 192.168.77.99 self permanent`,
      },
      {
        name: 'forwarding added 02:42:0a:09:09:09',
        command: 'bridge fdb replace 02:42:0a:09:09:09 dev vxlan1 dst 192.168.77.99 self permanent',
      },
      { name: `bridge row missing ${mac(third)}`, command: `bridge fdb del ${mac(third)} dev vxlan1 master` },
      {
        name: 'bridge row added 02:42:0a:09:09:08',
        command: 'bridge fdb replace 02:42:0a:09:09:08 dev vxlan1 master static',
      },
      { name: `neighbour missing ${first}`, command: `ip neigh del ${first} dev vxlan1` },
      {
        name: `neighbour altered ${second}`,
        command: `ip neigh replace ${second} lladdr 02:42:0a:09:09:07 dev vxlan1 nud permanent`,
      },
      {
        name: 'neighbour added 10.0.0.99',
        command: 'ip neigh replace 10.0.0.99 lladdr 02:42:0a:09:09:06 dev vxlan1 nud permanent',
      },
    ],
  },
  {
    id: 'links and addresses',
    faults: async () => {
      const veth = await portIn(namespace);
      const gateway = first.replace(/\d+$/, '1/24');
      return [
        { name: `bridge altered ${veth}`, command: `ip link set ${veth} nomaster` },
        { name: `MTU altered ${veth}`, command: `ip link set ${veth} mtu 1400` },
        { name: 'address added 10.77.0.1/24', command: 'ip addr add 10.77.0.1/24 dev br0' },
        { name: `address missing ${gateway}`, command: `ip addr del ${gateway} dev br0` },
        { name: 'learning on vxlan1', command: 'bridge link set dev vxlan1 learning on' },
        { name: 'link leaked vethdead123', command: 'ip link add vethdead123 type veth peer name other0' },
        { name: 'link down vxlan1', command: 'ip link set vxlan1 down' },
      ];
    },
  },
  {
    id: 'the port down',
    faults: async () => {
      const veth = await portIn(namespace);
      return [{ name: `link down ${veth}`, command: `ip link set ${veth} down` }];
    },
  },
  { id: 'the bridge down', faults: () => [{ name: 'link down br0', command: 'ip link set br0 down' }] },
  { id: 'the tunnel removed', faults: () => [{ name: 'link missing vxlan1', command: 'ip link del vxlan1' }] },
  {
    id: 'the tunnel replaced',
    faults: () => [
      {
        name: 'link altered vxlan1',
        command:
          'ip link del vxlan1; ip -n NAMESPACE link add vxlan1 type vxlan id 77 local 192.168.77.12 dstport 4789',
      },
    ],
  },
];

async function plant(faults: readonly Fault[]): Promise<void> {
  const lines = faults.map(({ command }) => command.replace(/^(ip|bridge) /, '$1 -n NAMESPACE '));
  await lab.host(1).exec(['sh', '-c', lines.join('\n').replaceAll('NAMESPACE', namespace)], { check: false });
}

describe('network check', () => {
  it('finds nothing where nothing is wrong, and says how much it compared', async () => {
    const [a] = hosts();
    await untilClean(a);
    const { stdout } = await a.waggle(['network', 'check']);
    expect(stdout).toMatch(/^No differences \(1 network, 3 nodes, 4 endpoints compared/);
    expect((await a.waggle(['network', 'check', 'net1', '--quiet'])).stdout).toBe('');
  });

  it.each(ROUNDS)('names faults that are planted, the node repairs and counts them: $id', async ({ faults }) => {
    const [a, b] = hosts();
    const planted = await faults();
    const names = planted.map(({ name }) => name);
    const before = (await checkNetworks(a)).Repairs.h2 ?? {};
    const report = await eventually(
      'the faults to be found',
      async () => {
        // The audit may come between the two; then they are planted once more.
        await plant(planted);
        const found = await checkNetworks(a);
        const missed = names.filter((name) => !kindsOf(found.Findings).includes(name));
        if (missed.length > 0) throw new Error(`not found: ${missed.join(', ')}`);
        return found;
      },
      PATIENCE,
    );
    expect([...new Set(report.Findings.map(({ Node, Network }) => `${Node} ${Network}`))]).toEqual(['h2 net1']);
    const began = performance.now();
    const after = await untilClean(a);
    process.stdout.write(`${names.length} faults repaired within ${Math.round(performance.now() - began)} ms\n`);
    for (const name of names) {
      const kind = name.replace(/ \S+$/, '');
      expect(after.Repairs.h2?.[kind] ?? 0, kind).toBeGreaterThan(before[kind] ?? 0);
    }
    await untilPings(b, 'b1', 'a1');
    await untilPings(b, 'b1', 'c1');
  });

  it('prints a table with a summary and exits with 1 while something differs', async () => {
    const [a, b] = hosts();
    await b.exec(['ip', 'netns', 'add', '1-leaked0000']);
    const text = await a.waggle(['network', 'check'], { check: false });
    expect(text.exitCode).toBe(1);
    expect(text.stdout).toMatch(/^NETWORK +NODE +DIFFERENCE +OBJECT +EXPECTED +FOUND$/m);
    expect(text.stdout).toMatch(/^- +h2 +namespace leaked +1-leaked0000 +nothing +present/m);
    expect(text.stdout).toMatch(/^1 difference \(1 network, 3 nodes, 4 endpoints compared/m);
    const json = await a.waggle(['network', 'check', '--format', 'json'], { check: false });
    expect(JSON.parse(json.stdout)).toMatchObject({ Findings: [{ kind: 'namespace leaked', Node: 'h2' }], Nodes: 3 });
    await b.exec(['ip', 'netns', 'del', '1-leaked0000']);
    await untilClean(a);
  });

  it('a link that waits for nobody in the host is removed and counted', async () => {
    const [a, b] = hosts();
    const before = (await checkNetworks(a)).Repairs.h2?.['link leaked'] ?? 0;
    await b.exec(['ip', 'link', 'add', 'wge0123456789ab', 'type', 'veth', 'peer', 'name', 'other0']);
    await eventually(
      'the link to be gone',
      async () => !(await b.exec(['ip', '-br', 'link'])).stdout.includes('wge0123456789ab'),
      PATIENCE,
    );
    expect((await untilClean(a)).Repairs.h2?.['link leaked']).toBe(before + 1);
  });

  describe('a container that has lost its link', () => {
    const SUBNETS = ['--subnet', '10.7.0.0/24', '--subnet', '10.8.0.0/24', '--subnet', 'fd00:7::/64'];
    let space = '';
    let whole: string[];

    beforeAll(async () => {
      const [a, b] = hosts();
      const id = await createNetwork(lab, 'six', '--ipv6', ...SUBNETS);
      space = `1-${id.slice(0, 10)}`;
      await start(a, 'a6', 'six');
      await start(b, 'b6', 'six');
      await b.docker(['network', 'connect', 'net1', 'b6']);
      await untilPings(b, 'b6', 'a6');
      whole = await insides(b, 'b6');
    });

    const LOSSES = [
      { id: 'the namespace removed', command: 'ip netns del SPACE', kinds: ['namespace missing', 'port missing'] },
      { id: 'the port removed', command: 'ip -n SPACE link del PORT', kinds: ['port missing'] },
      { id: 'the interface removed', command: 'nsenter --net=KEY ip link del eth0', kinds: ['port missing'] },
    ];
    it.each(LOSSES)('has it again, with all its addresses and routes: $id', async ({ command, kinds }) => {
      const [a, b] = hosts();
      const before = (await untilClean(a)).Repairs.h2 ?? {};
      const key = await sandboxKey(b, 'b6');
      const lost = command
        .replace('SPACE', space)
        .replace('PORT', await portIn(space))
        .replace('KEY', key);
      const began = performance.now();
      await b.exec(lost.split(' '));
      // While the namespace ends packets still come through it: what counts is what was counted.
      await eventually(
        'the losses to be mended',
        async () => {
          const after = (await checkNetworks(a)).Repairs.h2 ?? {};
          for (const kind of kinds) expect(after[kind] ?? 0, kind).toBe((before[kind] ?? 0) + 1);
        },
        PATIENCE,
      );
      await untilPings(b, 'b6', 'a6');
      process.stdout.write(`${kinds.join(' and ')}: mended within ${Math.round(performance.now() - began)} ms\n`);
      await untilPings(a, 'a6', 'b6');
      expect(await insides(b, 'b6')).toEqual(whole);
      await untilClean(a);
    });

    it('has it again also after the daemon has lost its list of endpoints', async () => {
      const [a, b] = hosts();
      await b.stopService('daemon', 'SIGKILL');
      await b.exec(['sh', '-c', 'rm /var/lib/waggle/network/endpoints/*']);
      await b.startDaemon();
      await untilClean(a);
      await untilPings(b, 'b6', 'a6');
      await b.exec(['ip', '-n', space, 'link', 'del', await portIn(space)]);
      await untilPings(b, 'b6', 'a6');
      expect(await insides(b, 'b6')).toEqual(whole);
    });

    it('can be disconnected and removed as if nothing had been', async () => {
      const [a, b] = hosts();
      await b.docker(['network', 'disconnect', 'six', 'b6']);
      expect((await insides(b, 'b6')).join()).not.toContain('10.7.0.');
      await b.docker(['rm', '-f', 'b6']);
      await a.docker(['rm', '-f', 'a6']);
      await a.waggle(['network', 'rm', 'six']);
      await untilClean(a);
    });
  });

  it('a node that cannot be asked is a finding of its own', async () => {
    const [a, , c] = hosts();
    await c.stopService('daemon', 'SIGKILL');
    await eventually(
      'h3 to be missed',
      async () => expect(kindsOf((await checkNetworks(a)).Findings)).toContain('node not asked h3'),
      PATIENCE,
    );
    await c.startDaemon();
    await untilClean(a);
  });

  it('is refused on a worker in Docker words, and for a network that is not there', async () => {
    const [a, b] = hosts();
    const onWorker = await b.waggle(['network', 'check'], { check: false });
    expect(onWorker.exitCode).toBe(1);
    expect(onWorker.stderr).toContain('This node is not a swarm manager.');
    const unknown = await a.waggle(['network', 'check', 'nope'], { check: false });
    expect(unknown.stderr).toContain('network nope not found');
    const usage = await a.waggle(['network', 'check', '--nope'], { check: false });
    expect(usage.exitCode).toBe(125);
  });
});
