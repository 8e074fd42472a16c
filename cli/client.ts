import type { IncomingMessage, RequestOptions } from 'node:http';
import { connect, type NetConnectOpts } from 'node:net';
import { http } from '../proto/runtime/http.ts';

/** An answer that is not a success, in the server's words. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The node cannot be reached: the daemon does not run, or this user may not talk to it. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/**
 * The Engine API of one node: JSON in, JSON out. On node:http and not on dockerode, whose loading takes longer than most commands
 * of ours run.
 */
export class ApiClient {
  readonly #host: string;

  /** @param host `unix:///path` or `tcp://host:port`. */
  constructor(host: string) {
    this.#host = host;
  }

  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#call<T>('GET', path, query);
  }

  post<T>(path: string, body?: unknown, query: Query = {}, headers: Record<string, string> = {}): Promise<T> {
    return this.#call<T>('POST', path, query, body ?? {}, headers);
  }

  delete<T>(path: string, query: Query = {}): Promise<T> {
    return this.#call<T>('DELETE', path, query);
  }

  async #call<T>(
    method: string,
    path: string,
    query: Query,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<T> {
    const given = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) if (value !== undefined) given.set(key, String(value));
    const search = given.toString();
    const options: RequestOptions = {
      // Not by an agent: to name the server it compiles Node's pattern of IPv6 addresses, 7 ms.
      createConnection: () => connect(this.#target()),
      method,
      path: search === '' ? path : `${path}?${search}`,
      headers: { ...headers, ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
    };
    const { status, text } = await this.#exchange(options, body === undefined ? undefined : JSON.stringify(body));
    if (status >= 200 && status < 300) return (text === '' ? undefined : JSON.parse(text)) as T;
    throw new ApiError(status, messageIn(text));
  }

  #target(): NetConnectOpts {
    const url = new URL(this.#host);
    if (url.protocol === 'unix:') return { path: url.pathname };
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 2375) };
  }

  #exchange(options: RequestOptions, body: string | undefined): Promise<{ status: number; text: string }> {
    return new Promise((resolve, reject) => {
      const fail = (error: NodeJS.ErrnoException): void => reject(this.#explain(error));
      const sent = http.request(options, (response: IncomingMessage) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', fail);
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }));
      });
      sent.on('error', fail);
      sent.end(body);
    });
  }

  #explain(failure: NodeJS.ErrnoException): Error {
    if (failure.code === 'ENOENT' || failure.code === 'ECONNREFUSED') {
      return new ConnectionError(`Cannot connect to the Waggle daemon at ${this.#host}. Is the waggle daemon running?`);
    }
    if (failure.code === 'EACCES') {
      return new ConnectionError(`permission denied while trying to connect to the Waggle daemon at ${this.#host}`);
    }
    return new ConnectionError(`error during connect: ${failure.message}`);
  }
}

/** The Engine API's `{"message": …}`, or whatever else was said. */
function messageIn(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : text.trim();
  } catch {
    return text.trim();
  }
}
