import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import util from 'node:util';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { nodeDescription } from '../../../../worker/docker/describe-node.ts';
import { engineError } from '../../../../worker/docker/engine-error.ts';
import { Engine } from '../../../../worker/docker/engine.ts';
import { type EngineEvent, parseEvent } from '../../../../worker/docker/events.ts';
import { executorParts } from '../../../fixtures/executor-world.ts';
import { FakeEngine, type Fault } from '../../../fixtures/fake-engine.ts';
import { eventually } from '../../../lab/eventually.ts';

let folder: string;
let fake: FakeEngine;

beforeEach(async () => {
  folder = mkdtempSync(path.join(tmpdir(), 'wgdk-'));
  fake = new FakeEngine(path.join(folder, 'docker.sock'));
  await fake.start();
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await fake.stop();
  rmSync(folder, { recursive: true, force: true });
});

const engineOf = (requestTimeoutMs = 10_000): Engine =>
  new Engine({ socketPath: fake.socketPath, requestTimeoutMs }, { clock: systemClock });

describe('every call ends', () => {
  const match = /^GET \/info/;
  const CASES: { id: string; fault: Fault; code: string }[] = [
    { id: 'reset', fault: { match, kind: 'reset' }, code: 'unavailable' },
    { id: 'cut in the middle of the body', fault: { match, kind: 'cut' }, code: 'deadline-exceeded' },
    { id: 'hanging', fault: { match, kind: 'hang' }, code: 'deadline-exceeded' },
    { id: '500', fault: { match, kind: 'status', status: 500, message: 'words' }, code: 'internal' },
    { id: '503', fault: { match, kind: 'status', status: 503, message: 'words' }, code: 'unavailable' },
  ];
  it.each(CASES)('$id', async ({ fault, code }) => {
    fake.faults.push(fault);
    const engine = engineOf(10_000);
    const options = code === 'deadline-exceeded' ? { timeoutMs: 50 } : {};
    const failed = engine.call((docker) => docker.info(), options);
    await expect(failed).rejects.toMatchObject({ name: 'WaggleError', code });
    expect(await engine.call((docker) => docker.info())).toMatchObject({ Name: 'fake' });
    engine.close();
  });

  it('without a socket', async () => {
    await fake.stop();
    const call = engineOf().call((docker) => docker.info());
    await expect(call).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^cannot connect to the Docker Engine at/),
    });
  });

  it('with the reason of its signal', async () => {
    fake.faults.push({ match, kind: 'hang' });
    const abort = new AbortController();
    const call = engineOf().call((docker) => docker.info(), { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(call).rejects.toThrow('enough');
  });
});

it('costs no more the more requests are under way', async () => {
  const printed: number[] = [];
  const { inspect } = util;
  vi.spyOn(util, 'inspect').mockImplementation(((value: unknown, options?: util.InspectOptions) => {
    const text = inspect(value, options);
    printed.push(text.length);
    return text;
  }) as typeof util.inspect);
  fake.faults.push({ match: /^GET \/info/, kind: 'hang', times: 20 });
  const engine = engineOf(200);
  await Promise.allSettled(Array.from({ length: 20 }, () => engine.call((docker) => docker.info())));
  vi.restoreAllMocks();
  // The library prints each request, and is to stop at the connections of the others.
  expect(printed).toHaveLength(20);
  expect(Math.max(...printed)).toBeLessThan(1_000);
});

it('talks to its socket whatever DOCKER_HOST says', async () => {
  vi.stubEnv('DOCKER_HOST', 'tcp://127.0.0.1:1');
  vi.stubEnv('DOCKER_TLS_VERIFY', '1');
  expect(await engineOf().call((docker) => docker.info())).toMatchObject({ Name: 'fake' });
});

it.each([
  { id: 'body', thrown: { statusCode: 409, json: { message: ' in use ' } }, code: 'already-exists', message: 'in use' },
  {
    id: 'no body kept',
    thrown: Object.assign(new Error('(HTTP code 404) no such image - pull access denied for x '), { statusCode: 404 }),
    code: 'not-found',
    message: 'pull access denied for x',
  },
  {
    id: 'unknown 4xx',
    thrown: { statusCode: 418, json: { message: 'tea' } },
    code: 'invalid-argument',
    message: 'tea',
  },
  { id: 'unknown 5xx', thrown: { statusCode: 504, json: { message: 'slow' } }, code: 'unavailable', message: 'slow' },
])('keeps the words of the engine: $id', ({ thrown, code, message }) => {
  expect(engineError(thrown, '/s')).toMatchObject({ code, message });
});

describe('events', () => {
  it('keeps the nanoseconds', () => {
    const line =
      '{"Type":"container","Action":"die","Actor":{"ID":"c","Attributes":{"a":"b"}},"time":1,"timeNano":1763654980123456789}';
    const want: EngineEvent = {
      type: 'container',
      action: 'die',
      id: 'c',
      attributes: { a: 'b' },
      time: 1763654980123456789n,
    };
    expect(parseEvent(line)).toEqual(want);
  });

  it('resyncs at each connect, goes on from the last event, and survives what is no JSON', async () => {
    const parts = await executorParts(fake.socketPath);
    const seen: string[] = [];
    parts.events.subscribe({ event: (event) => seen.push(event.id), resync: () => seen.push('resync') });
    await eventually('connect', () => parts.events.connected, { everyMs: 2 });
    fake.emit('container', 'start', 'one', {});
    await eventually('one', () => seen.includes('one'), { everyMs: 2 });
    for (let round = 0; round < 2; round++) {
      await fake.stop();
      await eventually('disconnect', () => !parts.events.connected, { everyMs: 2 });
      await fake.start();
      await eventually('reconnect', () => parts.events.connected, { everyMs: 2 });
    }
    fake.emit('container', 'start', 'two', {});
    await eventually('two', () => seen.includes('two'), { everyMs: 2 });
    expect(seen.filter((each) => each !== 'resync')).toEqual(['one', 'two']);
    expect(seen.filter((each) => each === 'resync').length).toBeGreaterThanOrEqual(2);
    const opened = fake.requests.filter((each) => each.startsWith('GET /events'));
    expect(opened[0]).not.toContain('since');
    expect(opened.at(-1)).toContain('since=1700000000.001');
    await parts.stop();
    expect(parts.events.connected).toBe(false);
  });
});

it('describes a node, always with the overlay driver', () => {
  const info = { Name: 'h', Architecture: 'x86_64', OSType: 'linux', NCPU: 2, MemTotal: 5, ServerVersion: '1' };
  const Plugins = { Volume: ['local'], Network: ['bridge', 'overlay'], Authorization: null };
  expect(nodeDescription({ ...info, Labels: ['a=b=c', 'flag'], Plugins })).toEqual({
    Hostname: 'h',
    Platform: { Architecture: 'x86_64', OS: 'linux' },
    Resources: { NanoCPUs: 2e9, MemoryBytes: 5 },
    Engine: {
      EngineVersion: '1',
      Labels: { a: 'b=c', flag: '' },
      Plugins: [
        { Type: 'Network', Name: 'bridge' },
        { Type: 'Network', Name: 'overlay' },
        { Type: 'Volume', Name: 'local' },
      ],
    },
  });
  const plain = nodeDescription(info);
  expect(plain.Engine).toEqual({ EngineVersion: '1', Plugins: [{ Type: 'Network', Name: 'overlay' }] });
  // Engines name our driver from its first network on; the node is what it was.
  expect(nodeDescription({ ...info, Plugins: { Network: ['waggle', 'overlay'] } })).toEqual(plain);
});
