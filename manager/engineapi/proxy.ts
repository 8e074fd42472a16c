import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Duplex, type Transform, pipeline } from 'node:stream';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { http } from '../../proto/runtime/http.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { EngineAgent } from './engine-client.ts';
import { EngineSocket } from './engine-socket.ts';
import { engineUnreachable } from './errors.ts';
import { parseTarget, sendJson } from './exchange.ts';
import type { OpenExchanges } from './open-exchanges.ts';

/** What may differ from handing a request on untouched. */
export interface ForwardOptions {
  /** Path and query, when they are not the client's. */
  path?: string;
  /** The body, when it was read already. */
  body?: Buffer;
  /** Set on the answer, in place of the engine's headers of these names. */
  responseHeaders?: Readonly<Record<string, string>>;
  /** Applied to the body of a 2xx answer; may change its length. */
  transform?: () => Transform;
}

/** RFC 9110 7.6.1; Expect was answered by our own server already. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade', 'expect']);
/** How long a client may take to close its side after the engine has closed a hijacked connection. */
const LINGER_MS = 2_000;
/** The engine could not be reached: asking again later may help. */
const AWAY_CODES = ['ENOENT', 'ECONNREFUSED', 'EACCES'];

interface Modules {
  agent: EngineAgent;
  exchanges: OpenExchanges;
  clock: Clock;
  log: Log;
}

/**
 * Hands requests to the host's engine: bodies and answers stream both ways with back-pressure, headers keep order
 * and spelling, and when either side goes away the other is let go.
 */
export class EngineProxy {
  readonly #socketPath: string;
  readonly #agent: EngineAgent;
  readonly #exchanges: OpenExchanges;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #tunnels = new Set<() => void>();

  constructor(options: { socketPath: string }, modules: Modules) {
    this.#socketPath = options.socketPath;
    this.#agent = modules.agent;
    this.#exchanges = modules.exchanges;
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'manager/engineapi' });
  }

  /** Never throws: every failure becomes an answer, or the end of the client's connection. */
  forward(req: IncomingMessage, res: ServerResponse, options: ForwardOptions = {}): void {
    // A client that left while a route was at work would never let go of what is opened now.
    if (res.destroyed) return;
    const upstream = http.request({
      agent: this.#agent,
      socketPath: this.#socketPath,
      method: req.method ?? 'GET',
      path: options.path ?? req.url ?? '/',
      headers: requestHeaders(req, options.body),
    });
    upstream.on('response', (response) => {
      const body = answer(response, res, options);
      if (!isEndless(req)) return;
      this.#exchanges.addEndless(res, () => {
        response.unpipe(body);
        body.end();
      });
    });
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      if (upstream.reusedSocket && error.code === 'ECONNRESET' && isRepeatable(req) && !res.headersSent) {
        this.forward(req, res, options);
        return;
      }
      this.#fail(req, res, error);
    });
    res.on('close', () => {
      if (!res.writableFinished) upstream.destroy();
    });
    if (options.body !== undefined) upstream.end(options.body);
    else req.pipe(upstream);
  }

  /**
   * Joins the client's connection with one to the engine, bytes as they are, each direction closed on its own:
   * for attach, exec, and the sessions of `build`. Should the engine not switch protocols it closes after its
   * answer, so no later request can slip past our routes.
   */
  tunnel(req: IncomingMessage, client: Duplex, head: Buffer): void {
    const upstream = new EngineSocket();
    const release = this.#exchanges.join();
    let cancelLinger: CancelTimer | undefined;
    const end = (): void => {
      cancelLinger?.();
      release();
      this.#tunnels.delete(end);
      client.destroy();
      upstream.destroy();
    };
    this.#tunnels.add(end);
    client.on('error', end);
    client.on('close', end);
    upstream.on('error', (error: NodeJS.ErrnoException) => {
      if (upstream.connecting || AWAY_CODES.includes(error.code ?? '')) refuse(client, this.#socketPath);
    });
    upstream.on('end', () => upstream.end());
    upstream.on('close', () => {
      client.unpipe(upstream);
      client.resume();
      client.end();
      cancelLinger = this.#clock.after(LINGER_MS, end);
    });
    upstream.connect(this.#socketPath);
    upstream.write(requestHead(req));
    if (head.length > 0) upstream.write(head);
    client.pipe(upstream);
    upstream.pipe(client);
  }

  /** Ends every joined connection. */
  closeTunnels(): void {
    for (const end of [...this.#tunnels]) end();
  }

  #fail(req: IncomingMessage, res: ServerResponse, error: NodeJS.ErrnoException): void {
    if (res.destroyed) return;
    this.#log.debug({ method: req.method, url: req.url, error: error.message }, 'engine request failed');
    if (res.headersSent) {
      res.destroy();
      return;
    }
    const status = AWAY_CODES.includes(error.code ?? '') ? 503 : 502;
    sendJson(res, status, { message: engineUnreachable(this.#socketPath).message });
  }
}

/** @returns where the body goes. */
function answer(response: IncomingMessage, res: ServerResponse, options: ForwardOptions): Transform | ServerResponse {
  if (res.destroyed) {
    response.destroy();
    return res;
  }
  const status = response.statusCode ?? 502;
  const transform = status >= 200 && status <= 299 ? options.transform?.() : undefined;
  const replaced = options.responseHeaders ?? {};
  const dropped = new Set(Object.keys(replaced).map((name) => name.toLowerCase()));
  dropped.add('transfer-encoding');
  if (transform !== undefined) dropped.add('content-length');
  const headers = withoutHeaders(response.rawHeaders, dropped);
  for (const [name, value] of Object.entries(replaced)) headers.push(name, value);
  res.sendDate = false;
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  res.writeHead(status, response.statusMessage ?? '', headers);
  res.flushHeaders();
  const ended = (): void => undefined;
  if (transform === undefined) pipeline(response, res, ended);
  else pipeline(response, transform, res, ended);
  return transform ?? res;
}

function requestHeaders(req: IncomingMessage, body: Buffer | undefined): string[] {
  const hasLength = req.headers['content-length'] !== undefined;
  const isChunked = req.headers['transfer-encoding'] !== undefined;
  const dropped = new Set<string>();
  if (body !== undefined) dropped.add('content-length').add('transfer-encoding');
  const headers = withoutHeaders(req.rawHeaders, dropped);
  // HTTP/1.0 clients need not name a host; we speak 1.1 to the engine, which insists.
  if (req.headers.host === undefined) headers.push('Host', 'docker');
  if (body !== undefined) headers.push('Content-Length', String(body.length));
  // Without either, Node would send an empty chunked body, which Docker takes for one that needs a Content-Type.
  else if (!hasLength && !isChunked && req.method !== 'GET' && req.method !== 'HEAD') {
    headers.push('Content-Length', '0');
  }
  return headers;
}

function withoutHeaders(raw: readonly string[], dropped: ReadonlySet<string>): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? '';
    const lower = name.toLowerCase();
    if (!HOP_BY_HOP.has(lower) && !dropped.has(lower)) kept.push(name, raw[index + 1] ?? '');
  }
  return kept;
}

function requestHead(req: IncomingMessage): Buffer {
  const lines = [`${req.method ?? 'GET'} ${req.url ?? '/'} HTTP/1.1`];
  for (let index = 0; index + 1 < req.rawHeaders.length; index += 2) {
    const name = req.rawHeaders[index] ?? '';
    const value = req.rawHeaders[index + 1] ?? '';
    lines.push(name.toLowerCase() === 'connection' ? `${name}: ${value}, close` : `${name}: ${value}`);
  }
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1');
}

function refuse(client: Duplex, socketPath: string): void {
  const body = JSON.stringify({ message: engineUnreachable(socketPath).message });
  client.end(
    `HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}

/** Logs that are followed, and figures of containers: they end when the client has enough. */
function isEndless(req: IncomingMessage): boolean {
  const { path, query } = parseTarget(req.url ?? '/');
  const isOn = (name: string, otherwise: string): boolean => /^(1|t|true)$/i.test(query.get(name) ?? otherwise);
  return (/\/logs$/.test(path) && isOn('follow', '0')) || (/\/stats$/.test(path) && isOn('stream', '1'));
}

function isRepeatable(req: IncomingMessage): boolean {
  const hasBody = req.headers['content-length'] !== undefined || req.headers['transfer-encoding'] !== undefined;
  return (req.method === 'GET' || req.method === 'HEAD') && !hasBody;
}
