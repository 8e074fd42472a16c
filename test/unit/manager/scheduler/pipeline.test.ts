import { describe, expect, test } from 'vitest';
import type { PortConfig } from '../../../../proto/objects/endpoint.ts';
import type { TaskSpec } from '../../../../proto/objects/task.ts';
import { DEFAULT_FILTERS } from '../../../../manager/scheduler/filters.ts';
import { NodeInfo } from '../../../../manager/scheduler/node-info.ts';
import { Pipeline } from '../../../../manager/scheduler/pipeline.ts';
import { newNode, type NodeFields, pendingTask, runningTask } from './fixture.ts';

interface Case {
  id: string;
  spec?: TaskSpec;
  ports?: PortConfig[];
  /** What runs on the node already. */
  running?: { spec?: TaskSpec; ports?: PortConfig[] };
  fits?: NodeFields;
  refused?: NodeFields;
  one: string;
  two: string;
}

const cpus = (count: number): TaskSpec => ({ Resources: { Reservations: { NanoCPUs: count * 1e9 } } });
const gpus = (count: number): TaskSpec => ({
  Resources: { Reservations: { GenericResources: [{ DiscreteResourceSpec: { Kind: 'gpu', Value: count } }] } },
});
const withGpus = (resources: object[]): NodeFields => ({
  description: { Resources: { NanoCPUs: 0, MemoryBytes: 0, GenericResources: resources } },
});
const volume = (name: string): TaskSpec => ({
  ContainerSpec: { Mounts: [{ Type: 'volume', VolumeOptions: { DriverConfig: { Name: name } } }] },
});
const engine = (Plugins: { Type: string; Name: string }[]): NodeFields => ({
  description: { Engine: { EngineVersion: '', Plugins } },
});
const hostPort: PortConfig[] = [{ TargetPort: 80, PublishedPort: 80, PublishMode: 'host', Protocol: 'tcp' }];

const CASES: Case[] = [
  {
    id: 'down',
    refused: { state: 'down' },
    one: '1 node not available for new tasks',
    two: '2 nodes not available for new tasks',
  },
  {
    id: 'paused',
    refused: { spec: { Availability: 'pause' } },
    one: '1 node not available for new tasks',
    two: '2 nodes not available for new tasks',
  },
  {
    id: 'cpu',
    spec: cpus(3),
    running: { spec: cpus(2) },
    fits: { description: { Resources: { NanoCPUs: 5e9, MemoryBytes: 0 } } },
    refused: {},
    one: 'insufficient resources on 1 node',
    two: 'insufficient resources on 2 nodes',
  },
  {
    id: 'memory',
    spec: { Resources: { Reservations: { MemoryBytes: 8 * 2 ** 30 } } },
    fits: {},
    refused: { description: { Resources: { NanoCPUs: 1e9, MemoryBytes: 8 * 2 ** 30 - 1 } } },
    one: 'insufficient resources on 1 node',
    two: 'insufficient resources on 2 nodes',
  },
  {
    id: 'counted',
    spec: gpus(2),
    fits: withGpus([{ DiscreteResourceSpec: { Kind: 'gpu', Value: 2 } }]),
    refused: withGpus([{ DiscreteResourceSpec: { Kind: 'gpu', Value: 1 } }]),
    one: 'insufficient resources on 1 node',
    two: 'insufficient resources on 2 nodes',
  },
  {
    id: 'named',
    spec: gpus(2),
    fits: withGpus(['a', 'b'].map((Value) => ({ NamedResourceSpec: { Kind: 'gpu', Value } }))),
    refused: withGpus([{ NamedResourceSpec: { Kind: 'gpu', Value: 'a' } }]),
    one: 'insufficient resources on 1 node',
    two: 'insufficient resources on 2 nodes',
  },
  {
    id: 'volume plugin',
    spec: volume('nfs'),
    fits: engine([{ Type: 'Volume', Name: 'nfs:latest' }]),
    refused: engine([{ Type: 'Network', Name: 'nfs' }]),
    one: 'missing plugin on 1 node',
    two: 'missing plugin on 2 nodes',
  },
  {
    id: 'log plugin',
    spec: { LogDriver: { Name: 'gelf' } },
    fits: engine([{ Type: 'Volume', Name: 'local' }]),
    refused: engine([{ Type: 'Log', Name: 'json-file' }]),
    one: 'missing plugin on 1 node',
    two: 'missing plugin on 2 nodes',
  },
  {
    id: 'constraint',
    spec: { Placement: { Constraints: ['node.labels.disk==ssd'] } },
    fits: { spec: { Labels: { disk: 'ssd' } } },
    refused: {},
    one: 'scheduling constraints not satisfied on 1 node',
    two: 'scheduling constraints not satisfied on 2 nodes',
  },
  {
    id: 'malformed constraint',
    spec: { Placement: { Constraints: ['nonsense'] } },
    refused: {},
    one: 'scheduling constraints not satisfied on 1 node',
    two: 'scheduling constraints not satisfied on 2 nodes',
  },
  {
    id: 'platform',
    spec: { Placement: { Platforms: [{ Architecture: 'amd64', OS: 'linux' }] } },
    fits: {},
    refused: { description: { Platform: { Architecture: 'aarch64', OS: 'linux' } } },
    one: 'unsupported platform on 1 node',
    two: 'unsupported platform on 2 nodes',
  },
  {
    id: 'host port',
    ports: hostPort,
    running: { ports: hostPort },
    refused: {},
    one: 'host-mode port already in use on 1 node',
    two: 'host-mode port already in use on 2 nodes',
  },
  {
    id: 'max replicas',
    spec: { Placement: { MaxReplicas: 1 } },
    running: {},
    refused: {},
    one: 'max replicas per node limit exceed',
    two: 'max replicas per node limit exceed',
  },
];

function nodeWith(id: string, fields: NodeFields, running: Case['running']): NodeInfo {
  const info = new NodeInfo(newNode(id, fields));
  const { spec = {}, ports = [] } = running ?? {};
  if (running !== undefined) info.put(runningTask('old', id, { Spec: spec, Endpoint: { Ports: ports } }));
  return info;
}

const NO_ENCRYPTION = { isEncrypted: () => false };

describe('Pipeline', () => {
  test.for(CASES)('$id', ({ spec = {}, ports, running, fits, refused = {}, one, two }) => {
    const task = pendingTask('t', { Spec: spec, ...(ports === undefined ? {} : { Endpoint: { Ports: ports } }) });
    const pipeline = new Pipeline(DEFAULT_FILTERS, task, NO_ENCRYPTION);
    const bad = nodeWith('a', refused, running);
    expect(pipeline.fits(bad)).toBe(false);
    expect(pipeline.explain([bad])).toBe(one);
    expect(pipeline.explain([bad, nodeWith('b', refused, running)])).toBe(two);
    if (fits !== undefined) expect(pipeline.fits(nodeWith('c', fits, running))).toBe(true);
    bad.remove('old');
    expect(pipeline.fits(bad)).toBe(running !== undefined);
  });

  test('a task on an encrypted network goes only where packets can be encrypted', () => {
    const attachments = [
      { NetworkID: 'plain', Addresses: [] },
      { NetworkID: 'secret', Addresses: [] },
    ];
    const task = pendingTask('t', { NetworksAttachments: attachments });
    const pipeline = new Pipeline(DEFAULT_FILTERS, task, { isEncrypted: (networkId) => networkId === 'secret' });
    const engine = (Plugins: { Type: string; Name: string }[]): NodeFields => ({
      description: { Engine: { EngineVersion: '1', Plugins } },
    });
    const bare = nodeWith('a', {}, undefined);
    expect(pipeline.fits(bare)).toBe(false);
    expect(pipeline.explain([bare])).toBe('missing plugin on 1 node');
    expect(pipeline.fits(nodeWith('b', engine([{ Type: 'Network', Name: 'wireguard' }]), undefined))).toBe(false);
    expect(pipeline.fits(nodeWith('c', engine([{ Type: 'Encryption', Name: 'wireguard' }]), undefined))).toBe(true);
    expect(new Pipeline(DEFAULT_FILTERS, task, NO_ENCRYPTION).fits(bare)).toBe(true);
  });

  test('the first filter that refuses a node counts; most refusals come first, then the order of the filters', () => {
    const task = pendingTask('t', { Spec: { ...cpus(5), Placement: { Constraints: ['node.id==x'] } } });
    const pipeline = new Pipeline(DEFAULT_FILTERS, task, NO_ENCRYPTION);
    const big = { description: { Resources: { NanoCPUs: 9e9, MemoryBytes: 0 } } };
    const nodes = [newNode('a'), newNode('b', big), newNode('c', big), newNode('d', { state: 'down' })];
    const text =
      'scheduling constraints not satisfied on 2 nodes; 1 node not available for new tasks; insufficient resources on 1 node';
    expect(pipeline.explain(nodes.map((node) => new NodeInfo(node)))).toBe(text);
    expect(pipeline.explain([])).toBe('');
  });
});
