import { Agent, request } from 'node:http';
import type { Host } from '../lab/host.ts';

/** What both swarms speak. */
const VERSION = '/v1.41';
const TIMEOUT_MS = 60_000;

/** An answer that is not a success, in the server's words. */
export class SocketApiError extends Error {
  override readonly name = 'SocketApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The Engine API on a unix socket over connections that are kept: thin, so that it measures the server and not itself. */
export class SocketApi {
  readonly #socketPath: string;
  readonly #agent: Agent;

  /** @param connections at most so many at a time; further calls wait. */
  constructor(socketPath: string, connections = 64) {
    this.#socketPath = socketPath;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  get<T>(path: string): Promise<T> {
    return this.#call<T>('GET', path);
  }

  post<T>(path: string, body?: unknown): Promise<T> {
    return this.#call<T>('POST', path, body);
  }

  delete(path: string): Promise<unknown> {
    return this.#call('DELETE', path);
  }

  close(): void {
    this.#agent.destroy();
  }

  #call<T>(method: string, path: string, body?: unknown): Promise<T> {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const headers = bytes === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': bytes.length };
    return new Promise<T>((resolve, reject) => {
      const call = request(
        { socketPath: this.#socketPath, path: `${VERSION}${path}`, method, headers, agent: this.#agent },
        (answer) => {
          const chunks: Buffer[] = [];
          answer.on('data', (chunk: Buffer) => chunks.push(chunk));
          answer.on('error', reject);
          answer.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            const status = answer.statusCode ?? 0;
            if (status >= 400) reject(new SocketApiError(status, `${method} ${path}: ${status} ${messageIn(text)}`));
            else resolve((text === '' ? undefined : JSON.parse(text)) as T);
          });
        },
      );
      call.setTimeout(TIMEOUT_MS, () => call.destroy(new Error(`${method} ${path}: no answer in ${TIMEOUT_MS} ms`)));
      call.on('error', reject);
      call.end(bytes);
    });
  }
}

/** A `filters` query for one key and value. */
export function filter(key: string, value: string): string {
  return `filters=${encodeURIComponent(JSON.stringify({ [key]: { [value]: true } }))}`;
}

/** The host's own engine. */
export function engineApi(host: Host): SocketApi {
  return new SocketApi(host.engineSocket);
}

function messageIn(text: string): string {
  try {
    return (JSON.parse(text) as { message?: string }).message ?? text;
  } catch {
    return text;
  }
}
