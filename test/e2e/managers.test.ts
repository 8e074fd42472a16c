import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep, systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { api, apiJson, createService, untilRunning } from '../lab/swarm.ts';

/**
 * For 3 s: connections that say nothing, the half of a TLS greeting, noise, or the beginning of a request that never ends, and
 * datagrams of noise. With an address: against its ports; without: against the API socket. Prints how many connections it had.
 */
const STRANGER = `
import os, socket, sys, time
end, held, noise, opened = time.time() + 3, [], os.urandom(1200), 0
chunked = b"POST /services/create HTTP/1.1\\r\\nHost: x\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
greetings = [b"", noise, bytes([22, 3, 1, 2, 0, 1]), b"GET /nodes HTTP/1.1\\r\\nX-A: ", chunked + b"1\\r\\n[\\r\\n", chunked + b"ffff\\r\\n" + b"[" * 65535]
if len(sys.argv) > 1: family, ends = socket.AF_INET, [(sys.argv[1], port) for port in (2377, 7946)]
else: family, ends = socket.AF_UNIX, ["/run/waggle/docker.sock"]
datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while time.time() < end:
    s = socket.socket(family)
    s.settimeout(0.5)
    try:
        s.connect(ends[opened % len(ends)])
        opened += 1
        s.send(greetings[opened // len(ends) % len(greetings)])
        held.append(s)
        if family == socket.AF_INET:
            for _ in range(5): datagrams.sendto(noise, (sys.argv[1], 7946))
    except OSError: pass
    if len(held) > 900: held.pop(0).close()
    time.sleep(0.002)
print(opened)
`;

/** Three managers on three hosts: one state, any one of them may vanish. */

let lab: Lab;
beforeAll(async () => {
  lab = await createLab({ hosts: 3 });
});
afterAll(async () => {
  await lab?.destroy();
});

interface ListedNode {
  Description?: { Hostname: string };
  ManagerStatus?: { Leader?: boolean; Reachability: string };
}

const hosts = (): readonly Host[] => lab.hosts;

async function managers(asked: Host): Promise<Map<string, ListedNode['ManagerStatus']>> {
  const nodes = await apiJson<ListedNode[]>(asked, 'GET', '/nodes');
  return new Map(nodes.map((node) => [node.Description?.Hostname ?? '', node.ManagerStatus]));
}

async function leader(asked: Host): Promise<Host> {
  const listed = await managers(asked);
  const found = hosts().find((host) => listed.get(host.name)?.Leader === true);
  if (found === undefined) throw new Error('nobody is listed as the leader');
  return found;
}

async function untilAllReachable(asked: Host): Promise<void> {
  await eventually('three reachable managers, one of them leading', async () => {
    const listed = [...(await managers(asked)).values()];
    const reachable = listed.filter((status) => status?.Reachability === 'reachable');
    return reachable.length === 3 && listed.filter((status) => status?.Leader === true).length === 1;
  });
}

function others(than: Host): Host[] {
  return hosts().filter((host) => host !== than);
}

/** Writes through any of the hosts until one accepts it. @returns the name that was acknowledged. */
async function write(through: readonly Host[], name: string): Promise<string> {
  let attempt = 0;
  return eventually('a write to be accepted', async () => {
    const host = through[attempt++ % through.length];
    const body = { Name: `${name}-${attempt}`, Data: 'aGVsbG8=' };
    const answer = await api(host ?? lab.host(0), 'POST', '/configs/create', body);
    if (answer.status !== 201) throw new Error(answer.text);
    return body.Name;
  });
}

async function configNames(asked: Host): Promise<string[]> {
  const configs = await apiJson<{ Spec: { Name: string } }[]>(asked, 'GET', '/configs');
  return configs.map(({ Spec }) => Spec.Name);
}

describe('three managers', () => {
  it('come together, the third by way of one that does not lead', async () => {
    const [a, b, c] = [lab.host(0), lab.host(1), lab.host(2)];
    await a.waggle(['swarm', 'init', '--advertise-addr', a.address]);
    const { stdout: token } = await a.waggle(['swarm', 'join-token', '-q', 'manager']);
    const joined = await b.waggle(['swarm', 'join', '--token', token.trim(), `${a.address}:2377`]);
    expect(joined.stdout).toContain('This node joined a swarm as a manager.');
    await c.waggle(['swarm', 'join', '--token', token.trim(), `${b.address}:2377`]);
    await untilAllReachable(c);
    expect((await b.swarmDocker(['node', 'ls', '--format', '{{.ManagerStatus}}'])).stdout.split('\n').sort()).toEqual([
      'Leader',
      'Reachable',
      'Reachable',
    ]);
  });

  it('take changes through any of them, and show them on all', async () => {
    for (const host of hosts()) await write([host], `by-${host.name}`);
    for (const host of hosts()) expect((await configNames(host)).length).toBe(3);
    await createService(lab.host(2), 'web', ['sleep', '1000'], {});
    await untilRunning(lab.host(1), 'web', 1);
  });

  it('serve while strangers keep the leader busy, on every port and on its own socket', async () => {
    const target = await leader(lab.host(0));
    const [source] = others(target);
    if (source === undefined) throw new Error('no other host');
    const memory = (): number =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${target.servicePid('daemon')}/status`, 'utf8'))?.[1]) / 1024;
    const before = memory();
    const strangers = [
      source.exec(['python3', '-c', STRANGER, target.address]),
      target.exec(['python3', '-c', STRANGER]),
    ];
    const attack = Promise.all(strangers);
    const waits: number[] = [];
    for (let running = true; running; ) {
      const began = systemClock.monotonic();
      await write([target], `busy-${waits.length}`);
      expect((await managers(target)).size).toBe(3);
      waits.push(systemClock.monotonic() - began);
      running = await Promise.race([attack.then(() => false), sleep(systemClock, 20).then(() => true)]);
    }
    const opened = (await attack).map(({ stdout }) => Number(stdout));
    const worst = Math.round(Math.max(...waits));
    const grown = Math.round(memory() - before);
    process.stdout.write(
      `${opened.join(' + ')} connections: ${waits.length} writes, worst ${worst} ms, ${grown} MiB more\n`,
    );
    expect(Math.min(...opened)).toBeGreaterThan(200);
    expect(waits.length).toBeGreaterThan(3);
    expect(worst).toBeLessThan(5_000);
    expect(grown).toBeLessThan(250);
    expect(await leader(target)).toBe(target);
    await untilAllReachable(source);
  });

  it('go on when the leader freezes, and take it back as a follower', async () => {
    const before = await leader(lab.host(0));
    before.freeze();
    const began = systemClock.monotonic();
    try {
      const asked = others(before).map((host) => {
        const body = { Name: `frozen-${host.name}`, Data: 'aGVsbG8=' };
        return api(host, 'POST', '/configs/create', body);
      });
      // Asked of a leader that answers nothing: not refused, and not made twice.
      const answers = await Promise.all(asked);
      expect(answers.map(({ status, text }) => `${status} ${text.trim()}`)).toEqual([
        expect.stringMatching(/^201 /),
        expect.stringMatching(/^201 /),
      ]);
      process.stdout.write(`leader frozen to accepted write: ${Math.round(systemClock.monotonic() - began)} ms\n`);
    } finally {
      before.thaw();
    }
    await untilAllReachable(before);
    expect(await leader(before)).not.toBe(before);
  });

  it('lose nothing that was acknowledged when the leader is killed, again and again', async () => {
    const acknowledged: string[] = [];
    for (let round = 0; round < 3; round++) {
      const before = await leader(lab.host(0));
      for (let count = 0; count < 10; count++) acknowledged.push(await write(hosts(), `kill-${round}-${count}`));
      const during = [0, 1, 2, 3].map((count) => write(others(before), `during-${round}-${count}`));
      await before.stopService('daemon', 'SIGKILL');
      acknowledged.push(...(await Promise.all(during)));
      acknowledged.push(await write(others(before), `after-${round}`));
      await before.startDaemon();
      await untilAllReachable(before);
    }
    for (const host of hosts()) {
      const names = await configNames(host);
      expect(names).toEqual(expect.arrayContaining(acknowledged));
      expect(new Set(names).size).toBe(names.length);
    }
  });

  it('change their number: the leader is demoted, and promoted again', async () => {
    const before = await leader(lab.host(0));
    const [other] = others(before);
    if (other === undefined) throw new Error('no other host');
    await other.waggle(['node', 'demote', before.name]);
    await eventually('two managers', async () => (await managers(other)).get(before.name) === undefined);
    await eventually('a worker', async () => (await api(before, 'GET', '/nodes')).status === 503);
    await other.waggle(['node', 'promote', before.name]);
    await untilAllReachable(before);
  });

  it('of which one survives: it goes on alone with all that there was', async () => {
    const [survivor, ...lost] = [lab.host(0), lab.host(1), lab.host(2)];
    const names = await configNames(survivor);
    for (const host of lost) await host.stopService('daemon', 'SIGKILL');
    await eventually('no leader', async () => {
      const answer = await api(survivor, 'GET', '/nodes');
      return answer.status === 500 && answer.text.includes('The swarm does not have a leader');
    });
    await survivor.waggle(['swarm', 'init', '--force-new-cluster', '--advertise-addr', survivor.address]);
    expect((await configNames(survivor)).sort()).toEqual(names.sort());
    await write([survivor], 'alone');
    for (const host of lost) await host.startDaemon();
    await eventually('the others to be workers', async () => {
      const statuses = await Promise.all(lost.map((host) => api(host, 'GET', '/nodes')));
      return statuses.every(({ text }) => text.includes("Worker nodes can't be used"));
    });
    await untilRunning(survivor, 'web', 1);
  });
});
