import { once } from 'node:events';
import { request } from 'node:http';
import { type Socket, connect } from 'node:net';
import { fc, test } from '@fast-check/vitest';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually } from '../../../lab/eventually.ts';
import { type Front, openFront } from './front.ts';

let front: Front;
beforeAll(async () => {
  front = await openFront();
});
afterAll(() => front.close());

const headerName = fc.stringMatching(/^X-[A-Za-z0-9-]{1,20}$/);
const headerValue = fc.stringMatching(/^[!-~]([ -~]{0,40}[!-~])?$/);

describe('proxy', () => {
  test.prop(
    [
      fc.constantFrom('POST', 'PUT', 'DELETE', 'PATCH'),
      fc.array(fc.tuple(headerName, headerValue), { maxLength: 6 }),
      fc.uint8Array({ maxLength: 100_000 }),
      fc.constantFrom(200, 201, 304, 400, 404, 409, 500),
      fc.boolean(),
    ],
    { numRuns: 60 },
  )('passes methods, headers, bodies and statuses unchanged', async (method, headers, bytes, status, isChunked) => {
    const body = Buffer.from(bytes);
    front.engine.answers.set(`${method} /echo`, (req, res, got) => {
      const echoed = req.rawHeaders.flatMap((name, index) =>
        index % 2 === 0 && name.startsWith('X-') ? [name, req.rawHeaders[index + 1] ?? ''] : [],
      );
      res.writeHead(status, 'As The Engine Says', [
        ...echoed,
        'Content-Length',
        String(status === 304 ? 0 : got.length),
      ]);
      res.end(status === 304 ? undefined : got);
    });
    const framing = isChunked ? ['Transfer-Encoding', 'chunked'] : ['Content-Length', String(body.length)];
    const seen = front.engine.seen.length;
    const got = await front.ask(method, '/v1.41/echo?a=%2F&b=%20', { body, headers: [...headers.flat(), ...framing] });
    expect(got.status).toBe(status);
    if (status !== 304) expect(got.body.equals(body)).toBe(true);
    const request_ = front.engine.seen.slice(seen).find((each) => each.url.includes('/echo'));
    expect(request_?.url).toBe('/v1.41/echo?a=%2F&b=%20');
    expect(request_?.body.equals(body)).toBe(true);
    const sent = headers.flat();
    expect(customHeaders(request_?.rawHeaders ?? [])).toEqual(sent);
  });

  it('sends Content-Length: 0 for a POST without body, which Docker needs', async () => {
    front.engine.json('POST /containers/c/start', 204, '');
    const client = connect(front.socketPath);
    client.write('POST /containers/c/start HTTP/1.0\r\n\r\n');
    const [reply] = (await once(client, 'data')) as [Buffer];
    client.destroy();
    expect(reply.toString()).toMatch(/^HTTP\/1.1 204/);
    const headers = front.engine.seen.at(-1)?.rawHeaders.map((each) => each.toLowerCase()) ?? [];
    expect(headers).not.toContain('transfer-encoding');
    expect(headers[headers.indexOf('content-length') + 1]).toBe('0');
    expect(headers).toContain('host');
  });

  it('hands on the answer to an upload that the engine cuts short', async () => {
    front.engine.answers.set('EARLY PUT /upload', (req, res) => {
      res.writeHead(413, { 'Content-Type': 'text/plain', Connection: 'close' });
      res.end('enough', () => req.destroy());
    });
    const got = await front.ask('PUT', '/upload', { body: Buffer.alloc(8 * 1024 * 1024) });
    expect([got.status, got.text]).toEqual([413, 'enough']);
  });

  it('streams: the first chunk arrives before the last is sent', async () => {
    let finish = (): void => undefined;
    front.engine.answers.set('GET /stream', (_req, res) => {
      res.writeHead(200);
      res.write('first');
      finish = () => res.end('last');
    });
    const req = request({ socketPath: front.socketPath, path: '/stream', agent: false }).end();
    const [res] = (await once(req, 'response')) as [NodeJS.ReadableStream];
    const [first] = (await once(res, 'data')) as [Buffer];
    expect(first.toString()).toBe('first');
    finish();
    const [last] = (await once(res, 'data')) as [Buffer];
    expect(last.toString()).toBe('last');
  });

  it('lets go of the engine when the client leaves', async () => {
    let isClosed = false;
    front.engine.answers.set('GET /follow', (_req, res) => {
      res.writeHead(200);
      res.write('x');
      res.on('close', () => {
        isClosed = true;
      });
    });
    const req = request({ socketPath: front.socketPath, path: '/follow', agent: false }).end();
    await once(req, 'response');
    req.destroy();
    await eventually('the engine to see it', () => isClosed, { timeoutMs: 10_000, everyMs: 5 });
  });

  it('cuts the client off when the engine breaks off', async () => {
    front.engine.answers.set('GET /broken', (_req, res) => {
      res.writeHead(200, { 'Content-Length': 100 });
      res.write('only this', () => res.destroy());
    });
    await expect(front.ask('GET', '/broken')).rejects.toThrow(/aborted|reset|hang up/);
  });

  it('passes heads larger than Node allows by default', async () => {
    front.engine.json('GET /big', 200, {});
    const got = await front.ask('GET', `/big?q=${'x'.repeat(100_000)}`);
    expect([got.status, front.engine.seen.at(-1)?.url.length]).toEqual([200, 100_007]);
  });
});

describe('hijacked connections', () => {
  it('joins both ways and closes each on its own', async () => {
    front.engine.upgrades.set('POST /containers/c/attach', (socket, head) => {
      socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
      let got = head.toString();
      socket.on('data', (chunk: Buffer) => {
        got += chunk.toString();
      });
      socket.on('end', () => socket.end(`<${got}>`));
    });
    const { socket, output } = open('POST /v1.41/containers/c/attach?stdin=1', 'early');
    await eventually('switch', () => output().includes('101 UPGRADED'), { everyMs: 5 });
    socket.end(' late');
    await once(socket, 'end');
    expect(output()).toContain('<early late>');
  });

  it('keeps what the engine said last, though the client goes on writing', async () => {
    front.engine.upgrades.set('POST /exec/e/start', (socket) => {
      socket.on('error', () => undefined);
      socket.write('HTTP/1.1 101 UPGRADED\r\n\r\n');
      socket.end('x'.repeat(200_000), () => socket.destroy());
    });
    for (let round = 0; round < 20; round++) {
      const { socket, output } = open('POST /exec/e/start');
      socket.on('error', () => undefined);
      const pump = (): void => {
        while (socket.writable && socket.write('y'.repeat(1000)));
      };
      socket.on('drain', pump);
      pump();
      await eventually('all of it', () => output().length > 200_000, { timeoutMs: 10_000, everyMs: 2 });
      socket.destroy();
    }
  });

  it('closes after an answer that is no switch, so that nothing gets past our routes', async () => {
    front.engine.upgrades.set('POST /exec/gone/start', (socket) => {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno');
    });
    const { socket, output } = open('POST /exec/gone/start');
    await once(socket, 'end');
    expect(output()).toMatch(/404 Not Found[^]*no$/);
    const headers = front.engine.seen.at(-1)?.rawHeaders ?? [];
    expect(headers[headers.indexOf('Connection') + 1]).toBe('Upgrade, close');
  });

  it('answers our own routes whatever they ask to switch to', async () => {
    const { socket, output } = open('GET /nodes');
    await eventually('an answer', () => output().includes('[]'), { everyMs: 5 });
    expect(output()).toMatch(/^HTTP\/1.1 200 OK/);
    socket.destroy();
  });

  it('says so when the engine is away', async () => {
    const lonely = await openFront();
    await lonely.engine.close();
    const socket = connect({ path: lonely.socketPath });
    let received = '';
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString();
    });
    socket.write('POST /exec/e/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    await once(socket, 'end');
    expect(received).toMatch(/^HTTP\/1.1 503 .*Cannot connect to the Docker daemon at unix:\/\//s);
    await lonely.close();
  });

  it('leaves no connection behind', async () => {
    await eventually('the engine to have only idle ones', async () => (await front.engine.connections()) <= 4, {
      timeoutMs: 4_000,
      everyMs: 10,
    });
  });
});

function open(target: string, after = ''): { socket: Socket; output: () => string } {
  const socket = connect({ path: front.socketPath, allowHalfOpen: true });
  let received = '';
  socket.on('data', (chunk: Buffer) => {
    received += chunk.toString();
  });
  socket.write(`${target} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n${after}`);
  return { socket, output: () => received };
}

function customHeaders(raw: readonly string[]): string[] {
  return raw.flatMap((name, index) => (index % 2 === 0 && name.startsWith('X-') ? [name, raw[index + 1] ?? ''] : []));
}
