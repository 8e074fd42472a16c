import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Json } from '../../../../../proto/objects/meta.ts';
import { RecordingApi } from '../../../../fixtures/recording-api.ts';

interface Golden {
  bases: Record<string, Json>;
  cases: { id: string; args: string[]; base?: string; spec: { [key: string]: Json } }[];
}

/** What the docker CLI 20.10.24 sends for the same command lines. */
const golden = JSON.parse(
  readFileSync(new URL('../../../../fixtures/docker-cli-specs.json', import.meta.url), 'utf8'),
) as Golden;

const NETWORKS = ['net1', 'net2'].map((Name) => ({ Id: `${Name}idnet1idnet1idnet1idn`, Name }));

const api = new RecordingApi();
let base: Json = null;

beforeAll(() => api.start());
afterAll(() => api.stop());
beforeEach(() => {
  api.requests.length = 0;
  api.answer = ({ method, path }) => {
    if (path === '/services/create') return { status: 201, body: { ID: 'svc' } };
    if (path.endsWith('/update')) return { body: {} };
    if (path === '/networks') return { body: NETWORKS };
    if (path === '/secrets' || path === '/configs') {
      const name = path === '/secrets' ? 'sec1' : 'conf1';
      return { body: [{ ID: `${name}idididididididididididid`, Spec: { Name: name } }] };
    }
    const network = NETWORKS.find(({ Id, Name }) => path === `/networks/${Name}` || path === `/networks/${Id}`);
    if (network !== undefined) return { body: network };
    if (path.startsWith('/distribution/')) return { status: 500, body: { message: 'no registry' } };
    if (method === 'GET' && path.startsWith('/services/')) {
      return { body: { ID: 'svcid', Version: { Index: 7 }, Spec: base } };
    }
    return undefined;
  };
});

async function written(args: readonly string[]): Promise<{ [key: string]: Json }> {
  const { status, err } = await api.run(args);
  expect(status, err.join('\n')).toBe(0);
  const request = api.requests.find(({ method }) => method === 'POST');
  return request?.body as { [key: string]: Json };
}

describe('specs are those that the docker CLI sends', () => {
  test.for(golden.cases)('$id', async ({ args, base: name, spec }) => {
    base = name === undefined ? null : (golden.bases[name] ?? null);
    const { Name = '', ...rest } = await written(args);
    const { Name: wantedName = '', ...wanted } = spec;
    expect(Name).toBe(wantedName);
    expect(rest).toEqual(wanted);
  });
});

describe('command lines that are refused before anything is sent', () => {
  const create = ['service', 'create', '-d'];
  test.each([
    { id: 'replicas of a global service', args: [...create, '--mode', 'global', '--replicas', '2', 'i'], status: 1 },
    { id: 'host address of a port', args: [...create, '-p', '1.2.3.4:80:80', 'i'], status: 125 },
    { id: 'port that is no number', args: [...create, '-p', 'abc', 'i'], status: 125 },
    { id: 'unknown protocol', args: [...create, '-p', '80:80/foo', 'i'], status: 125 },
    { id: 'unknown mount key', args: [...create, '--mount', 'type=volume,target=/x,foo=bar', 'i'], status: 125 },
    { id: 'mount without target', args: [...create, '--mount', 'type=volume', 'i'], status: 125 },
    { id: 'preference without strategy', args: [...create, '--placement-pref', 'node.labels.dc', 'i'], status: 125 },
    { id: 'negative count', args: [...create, '--replicas', '-1', 'i'], status: 125 },
    { id: 'health check and none', args: [...create, '--no-healthcheck', '--health-cmd', 'x', 'i'], status: 1 },
    { id: 'name server that is no address', args: [...create, '--dns', 'foo', 'i'], status: 125 },
    { id: 'named generic resource', args: [...create, '--generic-resource', 'gpu=UUID1', 'i'], status: 1 },
    { id: 'no image', args: create, status: 1 },
    { id: 'unknown flag', args: [...create, '--nope', 'i'], status: 125 },
    { id: 'unknown short flag', args: ['service', 'ls', '-z'], status: 125 },
    { id: 'flag without its value', args: ['service', 'create', '--name'], status: 125 },
    { id: 'rollback with another flag', args: ['service', 'update', '--rollback', '--image', 'x', 's'], status: 1 },
    { id: 'filter without value', args: ['service', 'ls', '-f', 'x'], status: 125 },
    { id: 'argument of a verb that takes none', args: ['service', 'ls', 'x'], status: 1 },
    { id: 'unknown noun', args: ['foo'], status: 1 },
    { id: 'unknown verb', args: ['service', 'foo'], status: 1 },
    { id: 'bad scale', args: ['service', 'scale', 'x'], status: 1 },
    {
      id: 'gateway outside of every subnet',
      args: ['network', 'create', '--subnet', '10.9.0.0/24', '--gateway', '1.1.1.1', 'x'],
      status: 1,
    },
    {
      id: 'overlapping subnets',
      args: ['network', 'create', '--subnet', '10.9.0.0/16', '--subnet', '10.9.1.0/24', 'x'],
      status: 1,
    },
    { id: 'unknown availability', args: ['swarm', 'init', '--availability', 'foo'], status: 1 },
  ])('$id', async ({ args, status }) => {
    const answer = await api.run(args);
    expect(answer.status).toBe(status);
    expect(api.requests.filter(({ method }) => method === 'POST')).toEqual([]);
    expect(answer.err.join('\n')).toMatchSnapshot();
  });
});

describe('environment', () => {
  test('a variable named only takes its value here, the last of several counts', async () => {
    const spec = await written([
      'service',
      'create',
      '-d',
      '-e',
      'A=1',
      '-e',
      'NOT_SET_HERE',
      '-e',
      'HOME',
      '-e',
      'A=2',
      'i',
    ]);
    expect(spec).toHaveProperty('TaskTemplate.ContainerSpec.Env', [
      'NOT_SET_HERE',
      `HOME=${process.env['HOME']}`,
      'A=2',
    ]);
  });
});

test('gateways and auxiliary addresses go to the subnet that they lie in', async () => {
  api.answer = () => ({ status: 201, body: { Id: 'n' } });
  const line =
    'network create -d overlay --subnet 10.9.0.0/24 --subnet 10.8.0.0/24 --gateway 10.8.0.1 --aux-address q=10.8.0.9 x';
  expect(await written(line.split(' '))).toHaveProperty('IPAM.Config', [
    { Subnet: '10.9.0.0/24' },
    { Subnet: '10.8.0.0/24', Gateway: '10.8.0.1', AuxiliaryAddresses: { q: '10.8.0.9' } },
  ]);
});
