import { describe, expect, it } from 'vitest';
import { Host } from '../../lab/host.ts';
import { SeededRandom } from '../../sim/raft/seeded-random.ts';
import type { EngineContainer } from '../../soak/engine-containers.ts';
import { Durations } from '../../soak/durations.ts';
import { containerOf } from '../../soak/forgotten-containers.ts';
import { Inventory, type KnownNetwork } from '../../soak/inventory.ts';
import { different } from '../../soak/kernel-rows.ts';
import { nameQuestions } from '../../soak/reachability.ts';
import { residue } from '../../soak/residue.ts';

/** What the soak concludes from what it sees. */

const host = (name: string): Host =>
  new Host({ name, folder: '', labFolder: '', address: '', holderPid: 0, switchNamespace: '', port: '' });

describe('the inventory', () => {
  const network = (name: string, certainty: KnownNetwork['certainty']): [string, KnownNetwork] => [
    name,
    { name, kind: 'plain', certainty, busy: false },
  ];

  it('tells what was acknowledged and is not so, and is sure of the rest afterwards', () => {
    const inventory = new Inventory();
    const networks = [network('n1', 'sure'), network('n2', 'sure'), network('n3', 'unsure'), network('n4', 'unsure')];
    for (const [name, known] of networks) inventory.networks.set(name, known);
    expect(inventory.settle('network', inventory.networks, ['n1', 'n3', 'n9'])).toEqual([
      'network n2 was made and is not there',
      'network n9 is there and should not be',
    ]);
    expect([...inventory.networks.values()].map(({ name, certainty }) => `${name} ${certainty}`)).toEqual([
      'n1 sure',
      'n3 sure',
    ]);
    expect(inventory.gone).toEqual(['n2', 'n4']);
  });

  it('knows who was put on a network', () => {
    const inventory = new Inventory();
    const of = [
      { name: 'c1', networks: new Set(['n1', 'n2']) },
      { name: 's1', networks: ['n2'] },
    ];
    expect(inventory.users(of, 'n1').map(({ name }) => name)).toEqual(['c1']);
    expect(inventory.users(of, 'n2').map(({ name }) => name)).toEqual(['c1', 's1']);
    expect(inventory.users(of, 'n3')).toEqual([]);
  });
});

describe('differences', () => {
  it.each([
    { id: 'none', wanted: ['a', 'b'], present: ['b', 'a'], found: [] },
    { id: 'missing', wanted: ['a', 'b'], present: ['a'], found: ['x: missing b'] },
    { id: 'left', wanted: [], present: ['a'], found: ['x: left a'] },
    { id: 'doubled', wanted: ['a'], present: ['a', 'a'], found: ['x: doubled a'] },
  ])('$id', ({ wanted, present, found }) => {
    expect(different('x', wanted, present)).toEqual(found);
  });

  it('of a host are what has come, as often as it has come', () => {
    const before = new Map([['links', ['lo', 'eth0', 'old']]]);
    const after = new Map([
      ['links', ['lo', 'eth0', 'lo']],
      ['mounts', ['/run/netns/1-abc']],
    ]);
    expect(residue(host('h1'), before, after)).toEqual(['h1 links: left lo', 'h1 mounts: left /run/netns/1-abc']);
  });

  it.each([
    {
      id: 'address of its bridge',
      route: 'local fe80::42:1 dev docker_gwbridge table local proto kernel',
      left: false,
    },
    { id: 'prefix of its bridge', route: 'fe80::/64 dev docker0 proto kernel metric 256', left: false },
    { id: 'anycast of its bridge', route: 'anycast fe80:: dev docker0 table local proto kernel', left: false },
    { id: 'multicast of its bridge', route: 'multicast ff00::/8 dev docker_gwbridge table local', left: false },
    { id: 'host behind its bridge', route: '10.0.1.7 dev docker_gwbridge scope link', left: true },
    { id: 'address that it was given', route: 'local fd00::1 dev docker_gwbridge table local', left: true },
    { id: 'link-local of another link', route: 'local fe80::42:1 dev wgr-abc table local proto kernel', left: true },
    { id: 'link of a like name', route: 'local fe80::42:1 dev docker0x table local proto kernel', left: true },
  ])('of routes do not have what is the engine’s own: $id', ({ route, left }) => {
    const found = residue(host('h1'), new Map([['routes', []]]), new Map([['routes', [route]]]));
    expect(found).toEqual(left ? [`h1 routes: left ${route}`] : []);
  });
});

it('durations are told by name, with the middle one, the ninth of ten and the longest', () => {
  const durations = new Durations();
  durations.add('run', 4_000);
  for (let ms = 1_000; ms <= 10_000; ms += 1_000) durations.add('check', 11_000 - ms);
  expect(durations.lines()).toEqual([
    'check: 10 x, p50 5.0 s, p90 9.0 s, max 10.0 s',
    'run: 1 x, p50 4.0 s, p90 4.0 s, max 4.0 s',
  ]);
});

it.each([
  { id: 'a shim', command: ['/usr/bin/containerd-shim-runc-v2', '-namespace', 'moby', '-id', 'abc', ''], of: 'abc' },
  {
    id: 'a shim that is asked for its version',
    command: ['/usr/bin/containerd-shim-runc-v2', '-v', ''],
    of: undefined,
  },
  { id: 'another program', command: ['sleep', '-id', 'abc', ''], of: undefined },
  { id: 'a process that has ended', command: [], of: undefined },
])('containers are told by their shims: $id', ({ command, of }) => {
  expect(containerOf(command)).toBe(of);
});

describe('names', () => {
  const container = (name: string, on: Host, networks: Record<string, string>, taskId = ''): EngineContainer => ({
    host: on,
    id: name,
    name,
    running: true,
    pid: 1,
    taskId,
    networks: new Map(Object.entries(networks).map(([each, address]) => [each, { address, address6: '', mac: '' }])),
  });

  it('are expected with the addresses of one shared network each, and those of nobody with none', () => {
    const [h1, h2] = [host('h1'), host('h2')];
    const containers = [
      container('a', h1, { n1: '10.0.1.2', n2: '10.0.2.2' }),
      container('web.1', h2, { n1: '10.0.1.3', n2: '10.0.2.3' }, 't1'),
      container('web.2', h2, { n1: '10.0.1.4' }, 't2'),
      container('elsewhere', h2, { n3: '10.0.3.2' }),
    ];
    const names = {
      serviceOfTask: new Map([
        ['t1', 'web'],
        ['t2', 'web'],
      ]),
      services: ['web', 'idle'],
      gone: ['c7'],
    };
    const questions = nameQuestions(containers, names, new SeededRandom(1));
    const ofA = questions.find(({ from }) => from.name === 'a')?.expected;
    expect(ofA?.get('web')).toEqual(['10.0.1.3,10.0.1.4', '10.0.2.3']);
    expect(ofA?.get('web.n1')).toEqual(['10.0.1.3,10.0.1.4']);
    expect(ofA?.get('web.1')).toEqual(['10.0.1.3', '10.0.2.3']);
    expect(ofA?.get('idle')).toEqual(['']);
    expect(ofA?.get('c7')).toEqual(['']);
    expect(ofA?.has('elsewhere')).toBe(false);
  });
});
