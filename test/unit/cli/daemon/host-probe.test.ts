import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { askHost } from '../../../../cli/daemon/host-probe.ts';
import { type Clock, systemClock } from '../../../../proto/runtime/clock.ts';

describe('askHost', () => {
  let server: Server | undefined;
  afterEach(
    () => new Promise<void>((resolve) => (server?.listening === true ? server.close(() => resolve()) : resolve())),
  );

  async function listening(): Promise<number> {
    const made = createServer((socket) => socket.destroy());
    server = made;
    await new Promise<void>((resolve) => made.listen(0, '127.0.0.1', resolve));
    return (made.address() as AddressInfo).port;
  }

  it('tells a port that accepts from one that nobody has', async () => {
    const port = await listening();
    expect(await askHost(`127.0.0.1:${port}`, { clock: systemClock })).toBe('accepted');
    await new Promise((resolve) => server?.close(resolve));
    expect(await askHost(`127.0.0.1:${port}`, { clock: systemClock })).toBe('refused');
  });

  it('gives up after half a second', async () => {
    const port = await listening();
    const delays: number[] = [];
    // Time is up before the event loop has had a turn for the connection.
    const after: Clock['after'] = (delayMs, callback) => {
      delays.push(delayMs);
      queueMicrotask(callback);
      return () => undefined;
    };
    expect(await askHost(`127.0.0.1:${port}`, { clock: { ...systemClock, after } })).toBe('silent');
    expect(delays).toEqual([100, 100, 100, 100, 100]);
  });

  it('hears an answer that came while the process stood still', async () => {
    const port = await listening();
    await new Promise((resolve) => server?.close(resolve));
    const answer = askHost(`127.0.0.1:${port}`, { clock: systemClock });
    for (const until = performance.now() + 600; performance.now() < until; );
    expect(await answer).toBe('refused');
  });

  it.each(['', ':7946', 'somewhere:7946', '127.0.0.1:0', '127.0.0.1:x', '127.0.0.1:70000', '127.0.0.1'])(
    'asks nobody at %j',
    async (address) => expect(await askHost(address, { clock: systemClock })).toBe('silent'),
  );
});
