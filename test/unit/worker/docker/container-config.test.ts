import { describe, expect, it } from 'vitest';
import type { NodeDescription } from '../../../../proto/objects/node.ts';
import type { ContainerSpec, TaskObject } from '../../../../proto/objects/task.ts';
import { containerConfig } from '../../../../worker/docker/container-config.ts';
import { publishedPorts } from '../../../../worker/docker/host-ports.ts';
import { imageReferenceText, parseImageReference } from '../../../../worker/docker/image-reference.ts';
import { containerTask } from '../../../fixtures/container-tasks.ts';

const NODE: NodeDescription = {
  Hostname: 'h1',
  Platform: { Architecture: 'x86_64', OS: 'linux' },
  Resources: { NanoCPUs: 2e9, MemoryBytes: 1e9 },
  Engine: { EngineVersion: '20.10.24' },
};
const NETWORKS = [
  { networkId: 'n1', name: 'net1' },
  { networkId: 'n2', name: 'net2' },
];

const configOf = (spec: ContainerSpec, rest: Partial<TaskObject> = {}) =>
  containerConfig(containerTask('task1', spec, rest), NETWORKS, NODE);

/** A spec without anything else beside it. */
const BARE = {
  Image: 'bb:1',
  Cmd: ['sleep', '1000'],
  Env: [],
  Labels: {
    'com.docker.swarm.task': '',
    'com.docker.swarm.task.id': 'task1',
    'com.docker.swarm.task.name': 'web.1.task1',
    'com.docker.swarm.node.id': 'node1',
    'com.docker.swarm.service.id': 'service1',
    'com.docker.swarm.service.name': 'web',
  },
  HostConfig: { NetworkMode: 'default' },
};

it('gives nothing that was not asked for, above all no restart policy', () => {
  expect(configOf({})).toEqual({ name: 'web.1.task1', create: { name: 'web.1.task1', ...BARE }, connect: [] });
});

describe('process', () => {
  const CASES: { id: string; spec: ContainerSpec; create: object; rest?: Partial<TaskObject> }[] = [
    { id: 'Command and Args', spec: { Command: ['/e'], Args: ['a'] }, create: { Entrypoint: ['/e'], Cmd: ['a'] } },
    { id: 'Env', spec: { Env: ['A=1'] }, create: { Env: ['A=1'] } },
    {
      id: 'generic resources',
      spec: { Env: ['A=1'] },
      rest: {
        GenericResources: [
          { NamedResourceSpec: { Kind: 'gpu', Value: 'g1' } },
          { NamedResourceSpec: { Kind: 'gpu', Value: 'g2' } },
          { DiscreteResourceSpec: { Kind: 'ssd', Value: 3 } },
        ],
      },
      create: { Env: ['A=1', 'DOCKER_RESOURCE_GPU=g1,g2', 'DOCKER_RESOURCE_SSD=3'] },
    },
    { id: 'Hostname', spec: { Hostname: 'me' }, create: { Hostname: 'me' } },
    { id: 'User', spec: { User: '1:2' }, create: { User: '1:2' } },
    { id: 'Dir', spec: { Dir: '/srv' }, create: { WorkingDir: '/srv' } },
    { id: 'TTY', spec: { TTY: true }, create: { Tty: true } },
    { id: 'OpenStdin', spec: { OpenStdin: true }, create: { OpenStdin: true } },
    { id: 'StopGracePeriod', spec: { StopGracePeriod: 1.5e9 }, create: { StopTimeout: 2 } },
    { id: 'StopSignal', spec: { StopSignal: 'SIGINT' }, create: { StopSignal: 'SIGINT' } },
    {
      id: 'Healthcheck',
      spec: { Healthcheck: { Test: ['NONE'], Interval: 5 } },
      create: { Healthcheck: { Test: ['NONE'], Interval: 5 } },
    },
    { id: 'image without tag', spec: { Image: 'docker.io/library/nginx' }, create: { Image: 'nginx:latest' } },
    {
      id: 'labels, ours win',
      spec: { Labels: { a: 'b', 'com.docker.swarm.task.id': 'forged' } },
      create: { Labels: { ...BARE.Labels, a: 'b' } },
    },
  ];
  it.each(CASES)('$id', ({ spec, create, rest }) => {
    expect(configOf(spec, rest).create).toEqual({ name: 'web.1.task1', ...BARE, ...create });
  });
});

describe('host config', () => {
  const CASES: { id: string; spec?: ContainerSpec; rest?: Partial<TaskObject>; host: object }[] = [
    { id: 'Groups', spec: { Groups: ['g'] }, host: { GroupAdd: ['g'] } },
    { id: 'ReadOnly', spec: { ReadOnly: true }, host: { ReadonlyRootfs: true } },
    { id: 'Init', spec: { Init: false }, host: { Init: false } },
    { id: 'Init null', spec: { Init: null }, host: {} },
    { id: 'Sysctls', spec: { Sysctls: { 'net.a': '1' } }, host: { Sysctls: { 'net.a': '1' } } },
    { id: 'CapAdd', spec: { CapabilityAdd: ['NET_ADMIN'] }, host: { CapAdd: ['NET_ADMIN'] } },
    { id: 'CapDrop', spec: { CapabilityDrop: ['ALL'] }, host: { CapDrop: ['ALL'] } },
    { id: 'OomScoreAdj', spec: { OomScoreAdj: -5 }, host: { OomScoreAdj: -5 } },
    {
      id: 'DNS',
      spec: { DNSConfig: { Nameservers: ['1.1.1.1'], Search: ['a.b'], Options: ['ndots:1'] } },
      host: { Dns: ['1.1.1.1'], DnsSearch: ['a.b'], DnsOptions: ['ndots:1'] },
    },
    {
      id: 'Hosts',
      spec: { Hosts: ['10.0.0.1 a b', 'fe80::1  c'] },
      host: { ExtraHosts: ['a:10.0.0.1', 'b:10.0.0.1', 'c:fe80::1'] },
    },
    {
      id: 'Ulimits',
      spec: { Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }] },
      host: { Ulimits: [{ Name: 'nofile', Soft: 1, Hard: 2 }] },
    },
    {
      id: 'limits',
      rest: { Spec: { Resources: { Limits: { NanoCPUs: 5e8, MemoryBytes: 1e7, Pids: 9 } } } },
      host: { NanoCpus: 5e8, Memory: 1e7, PidsLimit: 9 },
    },
    {
      id: 'reservations ask nothing of the engine',
      rest: { Spec: { Resources: { Reservations: { NanoCPUs: 5 } } } },
      host: {},
    },
    {
      id: 'swap counts with memory',
      rest: { Spec: { Resources: { Limits: { MemoryBytes: 100 }, SwapBytes: 50, MemorySwappiness: 0 } } },
      host: { Memory: 100, MemorySwap: 150, MemorySwappiness: 0 },
    },
    {
      id: 'swap without limit',
      rest: { Spec: { Resources: { Limits: { MemoryBytes: 100 }, SwapBytes: -1 } } },
      host: { Memory: 100, MemorySwap: -1 },
    },
    {
      id: 'log driver of the task',
      rest: { Spec: { LogDriver: { Name: 'local', Options: { a: 'b' } } }, LogDriver: { Name: 'syslog' } },
      host: { LogConfig: { Type: 'local', Config: { a: 'b' } } },
    },
    {
      id: 'log driver of the cluster',
      rest: { LogDriver: { Name: 'syslog' } },
      host: { LogConfig: { Type: 'syslog', Config: {} } },
    },
    {
      id: 'no new privileges',
      spec: { Privileges: { NoNewPrivileges: true } },
      host: { SecurityOpt: ['no-new-privileges=true'] },
    },
    {
      id: 'seccomp and apparmor',
      spec: { Privileges: { Seccomp: { Mode: 'custom', Profile: 'e30=' }, AppArmor: { Mode: 'disabled' } } },
      host: { SecurityOpt: ['seccomp={}', 'apparmor=unconfined'] },
    },
    {
      id: 'SELinux',
      spec: { Privileges: { SELinuxContext: { User: 'u', Level: 'l' } } },
      host: { SecurityOpt: ['label=user:u', 'label=level:l'] },
    },
    {
      id: 'SELinux off',
      spec: { Privileges: { SELinuxContext: { Disable: true } } },
      host: { SecurityOpt: ['label=disable'] },
    },
    {
      id: 'credential spec',
      spec: { Privileges: { CredentialSpec: { File: 'x.json' } } },
      host: { SecurityOpt: ['credentialspec=file://x.json'] },
    },
  ];
  it.each(CASES)('$id', ({ spec, rest, host }) => {
    expect(configOf(spec ?? {}, rest).create.HostConfig).toEqual({ NetworkMode: 'default', ...host });
  });

  it('host-mode ports only, ingress ones are not the engine’s', () => {
    const Ports = [
      { Protocol: 'udp' as const, TargetPort: 53, PublishedPort: 5353, PublishMode: 'host' as const },
      { TargetPort: 80, PublishMode: 'host' as const },
      { TargetPort: 81, PublishedPort: 81, PublishMode: 'ingress' as const },
    ];
    const { create } = configOf({}, { Endpoint: { Ports } });
    expect(create.ExposedPorts).toEqual({ '53/udp': {}, '80/tcp': {} });
    expect(create.HostConfig?.PortBindings).toEqual({ '53/udp': [{ HostPort: '5353' }], '80/tcp': [{ HostPort: '' }] });
  });
});

describe('networks', () => {
  const attachment = (NetworkID: string, address: string) => ({ NetworkID, Addresses: [address] });

  it('creates with the first one and connects the others, in order', () => {
    const NetworksAttachments = [
      { ...attachment('n2', '10.0.2.5/24'), Aliases: ['db'], DriverOpts: { k: 'v' } },
      attachment('n1', '10.0.1.4/24'),
    ];
    const { create, connect } = configOf({}, { NetworksAttachments });
    expect(create.HostConfig?.NetworkMode).toBe('net2');
    expect(create.NetworkingConfig).toEqual({
      EndpointsConfig: { net2: { IPAMConfig: { IPv4Address: '10.0.2.5' }, Aliases: ['db'], DriverOpts: { k: 'v' } } },
    });
    expect(connect).toEqual([{ network: 'net1', endpoint: { IPAMConfig: { IPv4Address: '10.0.1.4' } } }]);
  });

  it.each(['bridge', 'host', 'none'])('takes %s as the mode', (Target) => {
    const { create, connect } = configOf({}, { Spec: { Networks: [{ Target }] } });
    expect(create.HostConfig?.NetworkMode).toBe(Target);
    expect(create.NetworkingConfig).toBeUndefined();
    expect(connect).toEqual([]);
  });

  it('refuses a network that is not on the node', () => {
    expect(() => configOf({}, { NetworksAttachments: [attachment('n9', '10.0.9.9/24')] })).toThrow(
      'network n9 is not on this node',
    );
  });
});

it.each(['Secrets', 'Configs'] as const)('refuses %s rather than start without them', (key) => {
  expect(() => configOf({ [key]: [{ SecretID: 's' }] })).toThrow('secrets and configs cannot be given');
});

describe('templates', () => {
  const LABELS = { ServiceAnnotations: { Name: 'web', Labels: { 'a.b': 'x', plain: 'y' } } };
  const CASES: { id: string; text: string; want: string; rest?: Partial<TaskObject> }[] = [
    { id: 'service', text: '{{.Service.ID}}/{{.Service.Name}}', want: 'service1/web' },
    { id: 'label', text: '{{.Service.Labels.plain}}', want: 'y' },
    { id: 'label by index', text: '{{index .Service.Labels "a.b"}}', want: 'x' },
    { id: 'label that is not there, by index', text: '[{{index .Service.Labels "no"}}]', want: '[]' },
    { id: 'node', text: '{{.Node.ID}} {{.Node.Hostname}}', want: 'node1 h1' },
    { id: 'platform', text: '{{.Node.Platform.Architecture}}-{{.Node.Platform.OS}}', want: 'x86_64-linux' },
    { id: 'task', text: '{{.Task.ID}} {{.Task.Name}} {{.Task.Slot}}', want: 'task1 web.1.task1 1' },
    { id: 'slot of a global task', text: '{{.Task.Slot}}', want: 'node1', rest: { Slot: 0 } },
    { id: 'join, separator first', text: '{{join "-" .Service.Name .Task.Slot}}', want: 'web-1' },
    { id: 'no template', text: 'a } { {x}}', want: 'a } { {x}}' },
  ];
  it.each(CASES)('$id', ({ text, want, rest }) => {
    expect(configOf({ Env: [`V=${text}`] }, { ...LABELS, ...rest }).create.Env).toEqual([`V=${want}`]);
  });

  it.each([
    { id: 'unknown field', text: '{{.Service.Nope}}' },
    { id: 'label that is not there', text: '{{.Service.Labels.nope}}' },
    { id: 'syntax', text: '{{ if' },
    { id: 'prototype', text: '{{.Service.constructor}}' },
    { id: 'prototype by index', text: '{{index .Service.Labels "a" "b"}}{{.__proto__}}' },
  ])('refuses $id', ({ text }) => {
    expect(() => configOf({ Env: [text] }, LABELS)).toThrow(/^expanding ".*" failed: /);
  });

  it('reaches hostname and mounts, and nothing else', () => {
    const text = '{{.Task.Slot}}';
    const { create } = configOf({
      Hostname: `h${text}`,
      User: text,
      Mounts: [
        {
          Type: 'volume',
          Source: `s${text}`,
          Target: `/t${text}`,
          ReadOnly: true,
          VolumeOptions: { NoCopy: true, Labels: { l: text }, DriverConfig: { Name: text, Options: { o: text } } },
        },
      ],
    });
    expect(create.Hostname).toBe('h1');
    expect(create.User).toBe(text);
    expect(create.HostConfig?.Mounts).toEqual([
      {
        Type: 'volume',
        Source: 's1',
        Target: '/t1',
        ReadOnly: true,
        VolumeOptions: { NoCopy: true, Labels: { l: '1' }, DriverConfig: { Name: text, Options: { o: '1' } } },
      },
    ]);
  });
});

it.each([
  { id: 'is a bind without one', mount: { Source: '/s', Target: '/t' }, type: 'bind' },
  { id: 'may be written in capitals', mount: { Type: 'VOLUME', Target: '/t' }, type: 'volume' },
])('the type of a mount $id', ({ mount, type }) => {
  expect(configOf({ Mounts: [mount] }).create.HostConfig?.Mounts).toEqual([{ ...mount, Type: type }]);
});

it.each([
  { id: 'official', text: 'nginx', want: { name: 'nginx', tag: 'latest' } },
  { id: 'full form', text: 'docker.io/library/nginx:1', want: { name: 'nginx', tag: '1' } },
  { id: 'of a user', text: 'index.docker.io/me/app', want: { name: 'me/app', tag: 'latest' } },
  { id: 'port', text: 'localhost:5000/a', want: { name: 'localhost:5000/a', tag: 'latest' } },
  { id: 'port and tag', text: 'localhost:5000/a:2', want: { name: 'localhost:5000/a', tag: '2' } },
  { id: 'digest', text: 'a@sha256:ff', want: { name: 'a', digest: 'sha256:ff' } },
  { id: 'tag and digest', text: 'r:5/a:2@sha256:ff', want: { name: 'r:5/a', tag: '2', digest: 'sha256:ff' } },
])('takes an image reference apart: $id', ({ text, want }) => {
  expect(parseImageReference(text)).toEqual(want);
  expect(parseImageReference(imageReferenceText(want))).toEqual(want);
});

it('reports the ports that the engine really bound, each once', () => {
  const Ports = [
    { Name: 'web', TargetPort: 80, PublishMode: 'host' as const },
    { TargetPort: 81, PublishedPort: 8081, PublishMode: 'host' as const },
  ];
  const bound = {
    '80/tcp': [
      { HostIp: '0.0.0.0', HostPort: '32768' },
      { HostIp: '::', HostPort: '32768' },
    ],
    '81/tcp': null,
  };
  expect(publishedPorts(containerTask('t', {}, { Endpoint: { Ports } }), bound)).toEqual([
    { Name: 'web', Protocol: 'tcp', TargetPort: 80, PublishedPort: 32768, PublishMode: 'host' },
  ]);
});
