import { existsSync } from 'node:fs';
import { Agent } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { eventually } from '../../../lab/eventually.ts';
import { type Front, openFront } from './front.ts';

/** For a last request on an open connection, and with it for all answers. */
const GRACE_MS = 100;
const ALL_MS = 3_000;

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('EngineApiServer that stops', () => {
  let clock: VirtualClock;
  let front: Front;
  beforeEach(async () => {
    clock = new VirtualClock();
    front = await openFront(clock);
  });
  afterEach(async () => {
    await stop(ALL_MS);
    await front.close();
  });

  /** Time passes only for what is due within `ms`: the rest waits for sockets. */
  async function stop(ms: number): Promise<void> {
    const end = clock.now() + ms;
    let isOver = false;
    const stopped = front.server.stop().finally(() => (isOver = true));
    while (!isOver) {
      const next = clock.next();
      if (next !== undefined && next <= end) await clock.advance(next - clock.now());
      else await turn();
    }
    await stopped;
  }
  const untilAsked = (operation: string): Promise<unknown> =>
    eventually(operation, () => front.backend.calls.some((call) => call.operation === operation), { everyMs: 1 });
  const stopBegun = (): Promise<unknown> =>
    eventually('the socket to go', () => !existsSync(front.socketPath), { everyMs: 1 });

  it('answers what is under way, and takes no more', async () => {
    const made = Promise.withResolvers<object>();
    front.backend.answers['createConfig'] = made.promise;
    const created = front.ask('POST', '/configs/create', { body: '{"Name":"a","Data":""}' });
    const stopped = untilAsked('createConfig').then(() => stop(GRACE_MS));
    await stopBegun();
    await expect(front.ask('GET', '/nodes')).rejects.toMatchObject({ code: 'ENOENT' });
    made.resolve({ ID: 'c1' });
    expect(await created).toMatchObject({ status: 201, text: expect.stringContaining('c1') as string });
    expect((await created).headers.connection).toBe('close');
    await stopped;
  });

  it('resets nobody: who has connected is answered, the others find no socket', async () => {
    const asked = Array.from({ length: 100 }, async (_, index) => {
      for (let late = 0; late < index % 8; late++) await turn();
      return front.ask('GET', '/nodes').then(
        ({ status }) => status,
        (error: NodeJS.ErrnoException) => error.code,
      );
    });
    await turn();
    const stopped = stop(0);
    const outcomes = await Promise.all(asked);
    await clock.advance(GRACE_MS);
    await stopped;
    expect(outcomes.filter((outcome) => outcome !== 200 && outcome !== 'ENOENT')).toEqual([]);
    expect(new Set(outcomes)).toContain(200);
  });

  it('answers the last request on a connection that was kept', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = () => front.ask('GET', '/nodes', { agent });
    expect((await ask()).headers.connection).toBe('keep-alive');
    const stopped = stop(0);
    await stopBegun();
    const last = await ask();
    expect([last.status, last.headers.connection]).toEqual([200, 'close']);
    await clock.advance(GRACE_MS);
    await stopped;
    agent.destroy();
  });

  it.each(['/events', '/containers/a/logs?follow=1', '/containers/a/stats'])(
    'ends %s as a whole answer',
    async (url) => {
      const path = url.replace(/\?.*/, '');
      front.engine.answers.set(`GET ${path}`, (_req, res) => void res.writeHead(200).write('{"a":1}\n'));
      const begun = Promise.withResolvers<void>();
      const stream = front.ask('GET', url, { onData: begun.resolve });
      await begun.promise;
      await stop(ALL_MS);
      expect(await stream).toMatchObject({ status: 200, text: '{"a":1}\n' });
    },
  );

  it('ends a stream on which more keeps coming', async () => {
    const begun = Promise.withResolvers<void>();
    front.engine.answers.set('GET /events', (_req, res) => {
      res.writeHead(200);
      const more = (): void => {
        if (res.destroyed) return;
        res.write('{"a":1}\n');
        setImmediate(more);
      };
      more();
    });
    const stream = front.ask('GET', '/events', { onData: begun.resolve });
    await begun.promise;
    await stop(GRACE_MS);
    expect((await stream).text).toMatch(/^(\{"a":1\}\n)+$/);
  });

  it.each(['/containers/a/logs', '/containers/a/stats?stream=false', '/containers/a/export'])(
    'does not pass part of %s for all of it',
    async (url) => {
      const path = url.replace(/\?.*/, '');
      front.engine.answers.set(`GET ${path}`, (_req, res) => void res.writeHead(200).write('part'));
      const begun = Promise.withResolvers<void>();
      const answer = front.ask('GET', url, { onData: begun.resolve }).catch((error: unknown) => error);
      await begun.promise;
      await stop(ALL_MS);
      expect(await answer).toBeInstanceOf(Error);
    },
  );

  it('says so when there is no answer in time', async () => {
    front.backend.answers['createConfig'] = new Promise(() => undefined);
    const created = front.ask('POST', '/configs/create', { body: '{"Name":"a","Data":""}' });
    await untilAsked('createConfig');
    await stop(ALL_MS);
    expect(await created).toMatchObject({ status: 503, text: expect.stringContaining('may or may not') as string });
  });
});
