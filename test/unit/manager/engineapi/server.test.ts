import { existsSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EngineApiServer } from '../../../../manager/engineapi/server.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { run } from '../../../lab/run.ts';
import { type Front, openFront } from './front.ts';

let front: Front;
beforeEach(async () => {
  front = await openFront();
});
afterEach(() => front.close());

const another = (socketPath: string): EngineApiServer =>
  new EngineApiServer(
    { socketPath, engineSocketPath: front.enginePath },
    { backend: front.backend, clock: systemClock, log: silentLog },
  );

describe('EngineApiServer', () => {
  it('makes the folder, and a socket for root and its group', () => {
    expect(statSync(front.socketPath).mode & 0o777).toBe(0o660);
  });

  it('refuses the socket of a living process and leaves it alone', async () => {
    await expect(another(front.socketPath).start()).rejects.toThrow('is in use by another process');
    expect((await front.ask('GET', '/nodes')).status).toBe(200);
  });

  it('replaces the socket that a dead process left', async () => {
    const socketPath = path.join(front.folder, 'stale.sock');
    const script = `require('net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
    await run(process.execPath, ['-e', script, socketPath], { check: false });
    expect(existsSync(socketPath)).toBe(true);
    const server = another(socketPath);
    await server.start();
    await server.stop();
    expect(existsSync(socketPath)).toBe(false);
  });

  it('does not touch what is no socket', async () => {
    const file = path.join(front.folder, 'file');
    writeFileSync(file, 'x');
    await expect(another(file).start()).rejects.toThrow('is not a socket');
    expect(existsSync(file)).toBe(true);
  });

  it('stops with connections open, twice, and starts again', async () => {
    front.engine.answers.set('GET /follow', (_req, res) => void res.writeHead(200).write('x'));
    const pending = front.ask('GET', '/follow').catch((error: unknown) => error);
    await front.ask('GET', '/nodes');
    await Promise.all([front.server.stop(), front.server.stop()]);
    expect(await pending).toBeInstanceOf(Error);
    await front.server.start();
    expect((await front.ask('GET', '/nodes')).status).toBe(200);
  });
});
