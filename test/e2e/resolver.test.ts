import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { EndpointRecord } from '../../worker/gossip/endpoint-table.ts';
import { ResolverHost } from '../fixtures/resolver-host.ts';
import { eventually } from '../lab/eventually.ts';
import { TEST_IMAGE } from '../lab/image.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { isAlive } from '../lab/processes.ts';
import { run } from '../lab/run.ts';

const DYING_PARENT = fileURLToPath(new URL('../fixtures/dying-parent.ts', import.meta.url));

let lab: Lab;
let world: ResolverHost;

beforeAll(async () => {
  lab = await createLab({ hosts: 1, daemons: false });
  world = new ResolverHost(lab.host(0));
  await world.start();
  await world.publish([record('e1', '10.77.200.1', ['elsewhere.1'], ['web', 'tasks.web'])]);
});

afterAll(async () => {
  await world?.stop();
  await lab?.destroy();
});

describe('the first act of a container is a query', () => {
  it('100 of 100 get the right answer, 10 started at a time, half of them while all processors are busy', async () => {
    await world.publish([record('e1', '10.77.200.1', ['elsewhere.1'], ['web', 'tasks.web'])]);
    const outputs = await inParallel(50, 10, firstLookup);
    const burners = burn();
    try {
      outputs.push(...(await inParallel(50, 10, firstLookup)));
    } finally {
      for (const burner of burners) burner.kill('SIGTERM');
    }
    expect(outputs.filter((output) => !answered(output, '10.77.200.1'))).toEqual([]);
    expect(outputs).toHaveLength(100);
  });

  it('because the redirect is there long before the first process runs', async () => {
    const names = Array.from({ length: 10 }, (_, index) => `wgrs-margin-${index}`);
    const burners = burn();
    try {
      await Promise.all(
        names.map((name) =>
          world.host.docker(['run', '-d', '--name', name, '--network', world.network.name, TEST_IMAGE, 'sleep', '60']),
        ),
      );
    } finally {
      for (const burner of burners) burner.kill('SIGTERM');
    }
    const { ready } = await world.state();
    const format = '{{.NetworkSettings.SandboxKey}} {{.State.StartedAt}}';
    const { stdout } = await world.host.docker(['inspect', '-f', format, ...names]);
    const marginsMs = stdout
      .trim()
      .split('\n')
      .map((line) => {
        const [key = '', startedAt = ''] = line.split(' ');
        return Date.parse(startedAt) - (ready.find((it) => it.sandboxKey === key)?.atMs ?? Number.POSITIVE_INFINITY);
      });
    await world.host.docker(['rm', '-f', ...names]);
    const tookMs = (await world.log())
      .split('\n')
      .flatMap((line) => /"tookMs":([\d.]+)/.exec(line)?.[1] ?? [])
      .map(Number);
    const sorted = tookMs.toSorted((a, b) => a - b);
    process.stdout.write(
      `resolver set-up p50 ${sorted[sorted.length >> 1]?.toFixed(1)} max ${sorted.at(-1)?.toFixed(1)} ms of ${sorted.length}; ` +
        `before the first process by ${Math.min(...marginsMs).toFixed(0)} to ${Math.max(...marginsMs).toFixed(0)} ms\n`,
    );
    expect(Math.min(...marginsMs)).toBeGreaterThan(0);
  });

  it('even when the daemon is busy for a while at that moment: the query waits', async () => {
    const started = firstLookup();
    for (let round = 0; round < 4; round++) await world.ask({ type: 'block', ms: 400 });
    expect(answered(await started, '10.77.200.1')).toBe(true);
  });

  it('is held while the table is not complete, and answered as soon as it is', async () => {
    await world.publish([record('e1', '10.77.200.1', ['x'], ['half'])], false);
    await world.killResolver();
    await world.startResolver();
    const started = world.host.docker([
      'run',
      '--rm',
      '--network',
      world.network.name,
      TEST_IMAGE,
      'nslookup',
      '-type=a',
      'half',
    ]);
    await eventually('the sandbox', async () => (await world.state()).ready.length > 0, { everyMs: 20 });
    await world.publish([record('e1', '10.77.200.1', ['x'], ['half']), record('e2', '10.77.200.2', ['y'], ['half'])]);
    const { stdout } = await started;
    expect(stdout).toContain('10.77.200.1');
    expect(stdout).toContain('10.77.200.2');
  });
});

describe('a running container', () => {
  const name = 'wgrs-c1';

  beforeAll(async () => {
    await world.publish([
      record('e1', '10.77.200.1', ['elsewhere.1'], ['web', 'tasks.web']),
      ...Array.from({ length: 120 }, (_, n) => record(`b${n}`, `10.77.201.${n + 1}`, [`big.${n}`], ['big'])),
    ]);
    await world.host.docker([
      'run',
      '-d',
      '--name',
      name,
      '--network',
      world.network.name,
      TEST_IMAGE,
      'sleep',
      '1000',
    ]);
    await eventually('its resolver', async () => (await world.state()).ready.length === 1);
  });
  afterAll(async () => {
    await world.host.docker(['rm', '-f', name]);
  });

  const cases = [
    { id: 'service', args: ['-type=a', 'web'], expected: '10.77.200.1' },
    { id: 'container', args: ['-type=a', 'elsewhere.1'], expected: '10.77.200.1' },
    { id: 'with the name of the network', args: ['-type=a', 'web.wgrs-net'], expected: '10.77.200.1' },
    { id: 'tasks.', args: ['-type=a', 'TASKS.WEB'], expected: '10.77.200.1' },
    { id: 'pointer', args: ['10.77.200.1'], expected: 'elsewhere.1.wgrs-net' },
    { id: 'a name that only the engine knows', args: ['-type=a', name], expected: '10.77.0.' },
    { id: 'more than fits into UDP: what fits', args: ['-type=a', 'big'], expected: '10.77.201.' },
  ];
  for (const { id, args, expected } of cases) {
    it(`resolves: ${id}`, async () => {
      expect(await lookup(args)).toContain(expected);
    });
  }

  it('resolves by TCP: own names in full, forwarded ones', async () => {
    const report = await world.inside(name, ['python3', '-c', streamScript(name)]);
    expect(report.split('\n').slice(0, 2)).toEqual(['120', '1']);
  });

  it('keeps its port over kill -9 of the daemon, and answers within one retry', async () => {
    const before = (await world.state()).ready[0]?.port;
    await world.killResolver();
    await world.startResolver();
    await eventually('its resolver', async () => (await world.state()).ready.length === 1);
    expect((await world.state()).ready[0]?.port).toBe(before);
    expect(await lookup(['-type=a', 'web'])).toContain('10.77.200.1');
  });

  it('survives the death of the helper', async () => {
    const { helperPid } = await world.state();
    await world.host.exec(['kill', '-9', String(helperPid)]);
    expect(await lookup(['-type=a', 'web'])).toContain('10.77.200.1');
    await eventually('another helper', async () => ![0, helperPid].includes((await world.state()).helperPid));
    expect(answered(await firstLookup(), '10.77.200.1')).toBe(true);
  });

  it('gets its redirect back when someone takes it away', async () => {
    await world.inside(name, ['nft', 'delete', 'table', 'ip', 'waggle_dns']);
    await eventually('the redirect', async () => (await lookup(['-type=a', 'web'])).includes('10.77.200.1'), {
      timeoutMs: 15_000,
    });
  });

  it('reports latency: own and forwarded names', async () => {
    const report = await world.inside(name, ['python3', '-c', latencyScript(name)]);
    process.stdout.write(`resolver latency ${report}`);
    expect(report).toMatch(/own p50/);
    expect(Number(/asked again (\d+)/.exec(report)?.[1])).toBeLessThanOrEqual(5);
  });
});

it('the helper ends also with a daemon that dies while it is handed sockets', async () => {
  const name = 'wgrs-orphan';
  await run('ip', ['netns', 'add', name]);
  try {
    const { stdout } = await run(process.execPath, [DYING_PARENT, `/var/run/netns/${name}`], { check: false });
    const helper = Number(stdout);
    expect(helper).toBeGreaterThan(1);
    await eventually('the helper to be gone', () => !isAlive(helper));
  } finally {
    await run('ip', ['netns', 'del', name]);
  }
});

it('leaves nothing behind: files stay as many after 20 containers', async () => {
  await eventually('no sandbox', async () => (await world.state()).ready.length === 0);
  await inParallel(5, 5, firstLookup);
  const before = (await world.state()).files;
  await inParallel(20, 5, firstLookup);
  await eventually('no more files than before', async () => {
    const { files } = await world.state();
    return files[0] <= before[0] + 1 && files[1] <= before[1] + 1;
  });
});

/** Keeps all processors busy until each is killed, at most for 60 s. */
function burn(): ChildProcess[] {
  return [1, 2, 3, 4].map(() => spawn('timeout', ['60', 'sh', '-c', 'while :; do :; done'], { stdio: 'ignore' }));
}

async function firstLookup(): Promise<string> {
  const result = await world.host.docker(
    ['run', '--rm', '--network', world.network.name, TEST_IMAGE, 'nslookup', '-type=a', 'web'],
    { check: false },
  );
  return result.stdout + result.stderr;
}

function lookup(args: readonly string[]): Promise<string> {
  return world.host
    .docker(['exec', 'wgrs-c1', 'nslookup', ...args], { check: false })
    .then((it) => it.stdout + it.stderr);
}

/** The first answer was the right one: nothing failed before. */
function answered(output: string, address: string): boolean {
  return output.includes(address) && !/NXDOMAIN|SERVFAIL|REFUSED|can't find|no servers/i.test(output);
}

async function inParallel<T>(count: number, width: number, body: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) results.push(await body());
  };
  await Promise.all(Array.from({ length: width }, lane));
  return results;
}

function record(endpointId: string, address: string, names: string[], services: string[]): EndpointRecord {
  const networkId = 'swarm-net';
  return {
    networkId,
    endpointId,
    owner: 'n2',
    address,
    mac: '02:42:0a:4d:c8:01',
    vtep: '192.168.77.12',
    vni: 4096,
    names,
    services,
  };
}

/** Prints how many answers each name has over TCP. */
function streamScript(engineName: string): string {
  return `
import socket,struct
for name in ('big','${engineName}'):
  b=struct.pack('>HHHHHH',7,0x100,1,0,0,0)+b''.join(bytes([len(l)])+l.encode() for l in name.split('.'))+b'\\0'+struct.pack('>HH',1,1)
  s=socket.create_connection(('127.0.0.11',53),3); s.sendall(struct.pack('>H',len(b))+b)
  r=b''
  while len(r)<2 or len(r)<2+struct.unpack('>H',r[:2])[0]: r+=s.recv(65535)
  print(struct.unpack('>H',r[8:10])[0])
`;
}

function latencyScript(engineName: string): string {
  return `
import socket,struct,time
def ask(name):
  b=struct.pack('>HHHHHH',7,0x100,1,0,0,0)+b''.join(bytes([len(l)])+l.encode() for l in name.split('.'))+b'\\0'+struct.pack('>HH',1,1)
  # A source port that conntrack still knows from before the redirect changed goes astray once; any client asks again.
  for again in range(3):
    s=socket.socket(2,2); s.settimeout(1); t=time.time(); s.sendto(b,('127.0.0.11',53))
    try: s.recv(999); return (time.time()-t)*1e3
    except TimeoutError: lost.append(name)
  raise SystemExit('no answer for '+name)
lost=[]
for kind,name in (('own','web'),('forwarded','${engineName}')):
  l=sorted(ask(name) for _ in range(500)); print(kind,'p50 %.2f p99 %.2f ms'%(l[250],l[495]),end='; ')
print('asked again',len(lost))
`;
}
