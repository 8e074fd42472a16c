import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { http } from '../../proto/runtime/http.ts';
import { EngineAnswer, engineUnreachable } from './errors.ts';
import { EngineSocket } from './engine-socket.ts';

const MAX_IDLE_SOCKETS = 4;
const IDLE_SOCKET_MS = 4_000;
/** Lists of networks and containers of one engine stay far below. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/**
 * Keeps connections alive: with `Connection: close` the engine may answer and close before Node's end-of-body
 * write, which fails then (DEPENDENCIES.md 3.6).
 */
export class EngineAgent extends http.Agent {
  readonly #socketPath: string;

  constructor(socketPath: string) {
    super({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: MAX_IDLE_SOCKETS, timeout: IDLE_SOCKET_MS });
    this.#socketPath = socketPath;
  }

  override createConnection(): Duplex {
    return new EngineSocket().connect(this.#socketPath);
  }
}

export interface EngineRequest {
  method: 'GET' | 'POST' | 'DELETE';
  /** With version prefix and query. */
  path: string;
  signal: AbortSignal;
  /** Sent as JSON. */
  body?: object;
}

/** Our own questions to the host's engine. */
export class EngineClient {
  readonly #socketPath: string;
  readonly #agent: EngineAgent;

  constructor(options: { socketPath: string }, modules: { agent: EngineAgent }) {
    this.#socketPath = options.socketPath;
    this.#agent = modules.agent;
  }

  /**
   * Resolves with the answer's head; the caller reads or destroys the body.
   * @throws WaggleError unavailable when the engine is away; the signal's reason.
   */
  open(options: EngineRequest): Promise<IncomingMessage> {
    const body = options.body === undefined ? '' : JSON.stringify(options.body);
    return new Promise((resolve, reject) => {
      const upstream = http.request({
        agent: this.#agent,
        socketPath: this.#socketPath,
        method: options.method,
        path: options.path,
        signal: options.signal,
        headers: options.method === 'POST' ? postHeaders(body) : { Host: 'docker' },
      });
      upstream.on('response', resolve);
      upstream.on('error', (error) =>
        reject(options.signal.aborted ? error : engineUnreachable(this.#socketPath, error)),
      );
      upstream.end(body);
    });
  }

  /** The whole answer, whatever its status. @throws as `open`. */
  async fetch(options: EngineRequest): Promise<{ status: number; contentType: string; body: Buffer }> {
    const response = await this.open(options);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const chunk of response) {
      size += (chunk as Buffer).length;
      if (size > MAX_ANSWER_BYTES) throw new Error('the engine answered with too much');
      chunks.push(chunk as Buffer);
    }
    return {
      status: response.statusCode ?? 0,
      contentType: response.headers['content-type'] ?? 'application/json',
      body: Buffer.concat(chunks),
    };
  }

  /** The answer's text. @throws EngineAnswer when its status is not 2xx, and as `open`. */
  async text(options: EngineRequest): Promise<string> {
    const answer = await this.fetch(options);
    if (answer.status < 200 || answer.status > 299) {
      throw new EngineAnswer(answer.status, answer.contentType, answer.body);
    }
    return answer.body.toString('utf8');
  }

  /** The answer's JSON. @throws as `text`. */
  async json<T>(options: EngineRequest): Promise<T> {
    return JSON.parse(await this.text(options)) as T;
  }
}

function postHeaders(body: string): Record<string, string | number> {
  const headers = { Host: 'docker', 'Content-Length': Buffer.byteLength(body) };
  return body === '' ? headers : { ...headers, 'Content-Type': 'application/json' };
}
