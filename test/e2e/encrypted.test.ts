import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  address6Of,
  addressOf,
  createNetwork,
  createSwarm,
  joinSwarm,
  PATIENCE,
  PingStream,
  pings,
  removeAllContainers,
  start,
  startCommand,
  untilNetwork,
  untilPings,
} from '../fixtures/network-swarm.ts';
import { UnderlayCapture } from '../fixtures/underlay-capture.ts';
import { checkNetworks, untilClean } from '../fixtures/network-diagnosis.ts';
import {
  INJECTED_PACKETS,
  injectionFor,
  injectVxlan,
  membersOf,
  refusedBy,
  vniOf,
} from '../fixtures/vxlan-injection.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import type { Lab } from '../lab/lab.ts';

const SECRET = 'WAGGLE-SECRET-WORDS';
const PLAIN = 'WAGGLE-PLAIN-WORDS';
const SUBNETS = ['--subnet', '10.70.0.0/24', '--ipv6', '--subnet', 'fd00:70::/64'];

let lab: Lab;
let captures: UnderlayCapture[] = [];
const ids = { secret: '', plain: '' };

/** h1 is the manager. */
function hosts(): [Host, Host, Host] {
  return [lab.host(0), lab.host(1), lab.host(2)];
}

/** Sends many copies of the words by TCP. @returns how many bytes have arrived. */
async function talk(
  from: Host,
  sender: string,
  to: Host,
  receiver: string,
  address: string,
  words: string,
): Promise<number> {
  const listening = to.docker(['exec', receiver, 'sh', '-c', 'sleep 4 | nc -l -p 7777 | wc -c'], { timeoutMs: 60_000 });
  const script = `(yes ${words} | head -c 300000; sleep 1) | nc -w 5 ${address} 7777`;
  await eventually(
    'the words to be taken',
    async () => (await from.docker(['exec', sender, 'sh', '-c', script], { check: false })).exitCode === 0,
    PATIENCE,
  );
  return Number((await listening).stdout.trim());
}

/** The third host sends packets for a container of h2: see injectVxlan. */
function inject(
  container: string,
  network: 'secret' | 'plain',
  targets: readonly (readonly [string, number])[],
  source = '',
): Promise<string> {
  const [, b, c] = hosts();
  return injectVxlan(c, { host: b, container, network, networkId: ids[network] }, targets, source);
}

/** What the host has of the tunnel. */
async function tunnelOf(host: Host): Promise<string> {
  const script = [
    'ip -o link show wgwaggle',
    'ip route show exact 250.0.0.0/8',
    'nft list table inet waggle-tunnel',
    'ls /run/wireguard',
  ];
  return (await host.exec(['sh', '-c', `(${script.join('; ')}) 2>/dev/null`], { check: false })).stdout.trim();
}

/** Only this host's: processes are told apart by their network namespace. */
async function wireguardPid(host: Host): Promise<string> {
  const script =
    'for p in $(pidof wireguard-go); do [ "$(readlink /proc/$p/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo $p; done';
  return (await host.exec(['sh', '-c', script], { check: false })).stdout.trim();
}

async function pluginsOf(host: Host, hostname: string): Promise<string> {
  const format = '{{range .Description.Engine.Plugins}}{{.Type}}/{{.Name}} {{end}}';
  return (await host.swarmDocker(['node', 'inspect', '-f', format, hostname])).stdout;
}

beforeAll(async () => {
  lab = await createSwarm(3);
  const [a, b] = hosts();
  captures = await Promise.all([a, b].map((host) => UnderlayCapture.start(host, [SECRET, PLAIN])));
  ids.plain = await createNetwork(lab, 'plain', '--subnet', '10.71.0.0/24');
  ids.secret = await createNetwork(lab, 'secret', '--opt', 'encrypted', ...SUBNETS);
  await Promise.all([
    start(a, 'sa', 'secret'),
    start(b, 'sb', 'secret'),
    start(a, 'pa', 'plain'),
    start(b, 'pb', 'plain'),
  ]);
});

afterAll(async () => {
  await lab?.destroy();
});

describe('an encrypted network', () => {
  it('carries the traffic of its containers, and none of it can be read on the way', async () => {
    const [a, b] = hosts();
    await untilPings(a, 'sa', 'sb');
    await untilPings(a, 'pa', 'pb');
    for (const address of [await addressOf(b, 'sb', 'secret'), await address6Of(b, 'sb', 'secret')]) {
      expect(await talk(a, 'sa', b, 'sb', address, SECRET), address).toBe(300_000);
    }
    expect(await talk(a, 'pa', b, 'pb', await addressOf(b, 'pb', 'plain'), PLAIN)).toBe(300_000);
    const { stdout: mtu } = await a.docker(['exec', 'sa', 'cat', '/sys/class/net/eth0/mtu']);
    expect(Number(mtu)).toBe(1500 - 60 - 50);
  });

  it('takes no packet that does not come through the tunnel', async () => {
    const [, b, c] = hosts();
    // The same packet enters a network that is not encrypted: the injection as such works.
    expect(await inject('pb', 'plain', [[b.address, 4789]])).toBe('INJECTED');
    const ways: [string, number][] = [
      [b.address, 4789],
      [b.address, 4792],
      ['192.168.77.255', 4792],
      ['255.255.255.255', 4792],
    ];
    await c.exec(['ip', 'route', 'replace', '255.255.255.255', 'dev', 'eth0']);
    expect(await inject('sb', 'secret', ways)).toBe('');
    const { stdout: guard } = await b.exec(['nft', 'list', 'chain', 'inet', 'waggle-tunnel', 'arriving']);
    expect(Number(/dport 4792 fib .* counter packets (\d+)/.exec(guard)?.[1])).toBeGreaterThanOrEqual(10);
  });

  it('is not entered by a container that writes VXLAN packets of its own', async () => {
    const [a, b] = hosts();
    const { stdout } = await b.exec(['ip', '-4', '-o', 'addr', 'show', 'dev', 'wgwaggle']);
    const inner = /inet (250\S+)\/32/.exec(stdout)?.[1] ?? '';
    const pid = (await a.docker(['inspect', '-f', '{{.State.Pid}}', 'pa'])).stdout.trim();
    const victim = { host: b, container: 'sb', network: 'secret', networkId: ids.secret };
    const command = await injectionFor(victim, [inner, 4792]);
    const drops = async (): Promise<number> => {
      const chain = (await a.exec(['nft', 'list', 'chain', 'inet', 'waggle-tunnel', 'arriving'])).stdout;
      return [...chain.matchAll(/daddr 250\.0\.0\.0\/8 iifname != "lo" counter packets (\d+)/g)].reduce(
        (sum, [, n]) => sum + Number(n),
        0,
      );
    };
    const before = await drops();
    await a.exec(['nsenter', '-t', pid, '-n', ...command]);
    expect(await drops()).toBe(before + INJECTED_PACKETS);
  });

  it('goes on when its WireGuard process is killed, and plain networks do not notice', async () => {
    const [a, b] = hosts();
    const plain = await PingStream.start(a, 'pa', await addressOf(b, 'pb', 'plain'));
    // By now it has been compared with what should be more than once, and nobody has touched it.
    expect(a.log('daemon')).not.toContain('tunnel has drifted');
    const before = await wireguardPid(a);
    expect(before).toMatch(/^\d+$/);
    await a.exec(['kill', '-9', before]);
    await untilPings(a, 'sa', 'sb', 10_000);
    expect(await wireguardPid(a)).not.toBe(before);
    const { sent, lost } = await plain.end();
    expect(sent).toBeGreaterThan(1);
    expect(lost).toBeLessThanOrEqual(1);
  });

  it('loses no packet when daemons restart; another daemon repairs the same tunnel', async () => {
    const [a, b] = hosts();
    const before = await wireguardPid(b);
    const stream = await PingStream.start(a, 'sa', await addressOf(b, 'sb', 'secret'));
    for (const how of ['SIGKILL', 'SIGTERM'] as const) {
      for (const host of [a, b]) {
        await host.stopService('daemon', how);
        await host.startDaemon();
      }
      await eventually('the manager to answer', () => a.waggle(['node', 'ls']), PATIENCE);
    }
    const { sent, lost } = await stream.end();
    expect(sent).toBeGreaterThan(20);
    expect(lost).toBeLessThanOrEqual(1);
    expect(await wireguardPid(b)).toBe(before);
    await b.exec(['kill', '-9', before]);
    await untilPings(a, 'sa', 'sb', 20_000);
  });

  it('loses packets for a moment at most when a host takes a new key', async () => {
    const [a, b] = hosts();
    const key = async (): Promise<string> => (await b.exec(['wg', 'show', 'wgwaggle', 'public-key'])).stdout.trim();
    const before = await key();
    // As a rotation leaves it: made, and to be told to the managers, which the next daemon does.
    await b.exec(['sh', '-c', 'umask 077; cd /run/waggle/tunnel && wg genkey > "$(ls).next"']);
    const streams = [
      await PingStream.start(a, 'sa', await addressOf(b, 'sb', 'secret')),
      await PingStream.start(b, 'sb', await addressOf(a, 'sa', 'secret')),
    ];
    await b.stopService('daemon');
    await b.startDaemon();
    await eventually('the key to be taken', async () => (await key()) !== before, PATIENCE);
    await untilPings(a, 'sa', 'sb', 10_000);
    for (const { sent, lost } of await Promise.all(streams.map((stream) => stream.end()))) {
      process.stdout.write(`new key: ${lost} of ${sent} echo requests lost, ten a second\n`);
      // On a quiet machine it is a few; a handshake that is lost to the new key is tried again after 5 s.
      expect(lost).toBeLessThanOrEqual(60);
    }
    const peers = async (): Promise<string> => (await a.exec(['wg', 'show', 'wgwaggle', 'peers'])).stdout;
    expect(await peers()).toContain(await key());
    expect(await peers()).not.toContain(before);
  });

  it('repairs what somebody has changed by hand', async () => {
    const [a, b] = hosts();
    const peers = async (): Promise<string> => (await a.exec(['wg', 'show', 'wgwaggle', 'allowed-ips'])).stdout.trim();
    const wanted = (await peers()).split('\n').toSorted();
    const [key = ''] = wanted[0]?.split('\t') ?? [];
    const repaired = async (): Promise<Record<string, number>> => (await checkNetworks(a)).Repairs.h1 ?? {};
    const before = await repaired();
    const faults = [
      { name: 'tunnel peer altered', command: `wg set wgwaggle peer ${key} allowed-ips 250.0.0.0/8` },
      { name: 'tunnel peer missing', command: `wg set wgwaggle peer ${wanted[1]?.split('\t')[0]} remove` },
      { name: 'tunnel guard altered', command: 'nft flush chain inet waggle-tunnel arriving' },
      { name: 'tunnel route missing', command: 'ip route del 250.0.0.0/8 dev wgwaggle' },
    ];
    await eventually(
      'the faults to be named',
      async () => {
        // The audit may come between the two; then they are planted once more.
        await a.exec(['sh', '-c', faults.map(({ command }) => command).join('; ')], { check: false });
        const kinds = (await checkNetworks(a)).Findings.map(({ kind }) => kind);
        expect(kinds).toEqual(expect.arrayContaining(faults.map(({ name }) => name)));
      },
      PATIENCE,
    );
    const began = performance.now();
    const after = (await untilClean(a)).Repairs.h1 ?? {};
    process.stdout.write(`tunnel repaired within ${Math.round(performance.now() - began)} ms\n`);
    for (const { name } of faults) expect(after[name] ?? 0, name).toBeGreaterThan(before[name] ?? 0);
    await eventually(
      'the tunnel to be as it was',
      async () => {
        const guard = (await a.exec(['nft', 'list', 'table', 'inet', 'waggle-tunnel'])).stdout;
        return (await peers()).split('\n').toSorted().join() === wanted.join() && guard.includes('dport 4792 fib');
      },
      PATIENCE,
    );
    await untilPings(a, 'sa', 'sb');
    await untilPings(b, 'sb', 'sa');
  });
});

describe('a host that cannot encrypt', () => {
  it('says so, is given no task of such a network, and takes part once it can', async () => {
    const [a, , c] = hosts();
    await c.exec(['mount', '--bind', '/dev/null', '/usr/bin/wireguard-go']);
    await c.stopService('daemon');
    await c.startDaemon();
    await eventually('h3 to tell', async () => !(await pluginsOf(a, 'h3')).includes('Encryption/'), PATIENCE);
    expect(await pluginsOf(a, 'h1')).toContain('Encryption/wireguard');
    const refused = await c.docker(startCommand('se', 'secret'), { check: false });
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain(
      "this host cannot encrypt: its kernel has no WireGuard and the program 'wireguard-go' is missing",
    );
    await c.docker(['rm', '-f', 'se'], { check: false });
    expect(await tunnelOf(c)).toBe('');

    const service = ['service', 'create', '-d', '--name', 'web', '--network', 'secret', '--replicas', '3', TEST_IMAGE];
    await a.swarmDocker([...service, 'sleep', '100000']);
    const places = async (): Promise<string[]> => {
      const args = ['service', 'ps', '-f', 'desired-state=running', '--format', '{{.Node}} {{.CurrentState}}', 'web'];
      return (await a.swarmDocker(args)).stdout.split('\n').filter((line) => /Running/.test(line));
    };
    await eventually('three replicas', async () => (await places()).length === 3, PATIENCE);
    expect((await places()).filter((line) => line.startsWith('h3'))).toEqual([]);
    const fixed = [
      'service',
      'create',
      '-d',
      '--name',
      'fixed',
      '--network',
      'secret',
      '--constraint',
      'node.hostname==h3',
    ];
    await a.swarmDocker([...fixed, TEST_IMAGE, 'sleep', '100000']);
    await eventually(
      'the reason to be told',
      async () =>
        (await a.swarmDocker(['service', 'ps', '--no-trunc', 'fixed'])).stdout.includes('missing plugin on 1 node'),
      PATIENCE,
    );

    await c.exec(['umount', '/usr/bin/wireguard-go']);
    await eventually(
      'h3 to be able',
      async () => (await pluginsOf(a, 'h3')).includes('Encryption/wireguard'),
      PATIENCE,
    );
    await start(c, 'se', 'secret');
    await untilPings(c, 'se', 'sa');
    await a.swarmDocker(['service', 'rm', 'web', 'fixed']);
  });
});

describe('the wire', () => {
  it('has shown no word and no VXLAN packet of the encrypted network from before its first container to after its last', async () => {
    const [a, b] = hosts();
    expect(await pings(a, 'sa', 'sb')).toBe(true);
    const vni = await vniOf(a, ids.secret);
    const plainVni = await vniOf(a, ids.plain);
    await Promise.all(lab.hosts.map(removeAllContainers));
    for (const host of lab.hosts) {
      const left = async (): Promise<string> => `${await tunnelOf(host)}${await wireguardPid(host)}`;
      await eventually(`${host.name} to have no tunnel`, async () => (await left()) === '', PATIENCE);
    }
    for (const captured of await Promise.all(captures.map((each) => each.end()))) {
      const [secret, plain] = captured.patterns;
      expect(secret).toBe(0);
      expect(plain).toBeGreaterThan(50);
      expect(captured.udp['4790']).toBeGreaterThan(50);
      expect(captured.vnis[plainVni]).toBeGreaterThan(50);
      // Those that the third host has injected into h2.
      expect(captured.vnis[vni] ?? 0).toBeLessThanOrEqual(20);
    }
    expect(b.isRunning('daemon')).toBe(true);
  });
});

describe('a network that is not encrypted', () => {
  const OUTSIDE = '192.168.77.213';
  const shutOut = async (host: Host, address: string): Promise<void> => {
    await eventually(`${address} to be shut out`, async () => !(await membersOf(host)).includes(address), PATIENCE);
  };

  it('takes packets from members only, counts the others, and names a member that is shut out', async () => {
    const [a, b, c] = hosts();
    await start(b, 'pc', 'plain');
    await start(a, 'pd', 'plain');
    await untilPings(a, 'pd', 'pc');
    const at = [[b.address, 4789]] as const;
    await c.exec(['ip', 'addr', 'add', `${OUTSIDE}/24`, 'dev', 'eth0']);
    expect(await inject('pc', 'plain', at, OUTSIDE)).toBe('');
    expect(await inject('pc', 'plain', at)).toBe('INJECTED');
    const { stdout: table } = await b.exec(['nft', 'list', 'table', 'ip', 'waggle-members']);
    expect(await refusedBy(b)).toBe(INJECTED_PACKETS);
    expect(table).toContain(`elements = { ${OUTSIDE} `);
    await b.exec(['nft', 'delete', 'element', 'ip', 'waggle-members', 'members', `{ ${a.address} }`]);
    const { stdout: trace } = await a.waggle(['network', 'trace', 'pd', 'pc'], { check: false });
    const { Repairs } = await eventually('the drift to be counted', async () => {
      const report = await checkNetworks(a);
      expect(report.Repairs.h2).toMatchObject({ 'member shut out': 1, 'packet refused': expect.any(Number) as number });
      return report;
    });
    // The audit may have been faster than the trace.
    if (Repairs.h2?.['packet refused'] !== INJECTED_PACKETS)
      expect(trace).toContain('not in the set of table waggle-members');
    await untilPings(a, 'pd', 'pc');
  });

  it('takes none from a node that was removed, until it joins again, and keeps nothing of this once it has left', async () => {
    const [a, b, c] = hosts();
    const at = [[b.address, 4789]] as const;
    await c.waggle(['swarm', 'leave', '--force']);
    expect(await membersOf(c)).toBe('');
    await eventually('h3 to be removed', () => a.waggle(['node', 'rm', 'h3']), PATIENCE);
    const began = performance.now();
    await shutOut(b, c.address);
    process.stdout.write(`a removed node is shut out after ${Math.round(performance.now() - began)} ms\n`);
    expect(await inject('pc', 'plain', at)).toBe('');
    const before = await refusedBy(b);
    await joinSwarm(a, c);
    await untilNetwork(c, 'plain', true);
    await start(c, 'pe', 'plain');
    await untilPings(c, 'pe', 'pc');
    // A node that has just joined is let in before its first packet comes.
    expect(await refusedBy(b)).toBe(before);
    await untilClean(a);
  });
});
