import type Dockerode from 'dockerode';
import { CommandError } from './command.ts';

/** An answer that is not a success, in the server's words. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** The node cannot be reached: the daemon does not run, or this user may not talk to it. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError';
}

interface DialFailure extends Error {
  statusCode?: number;
  json?: { message?: string };
  code?: string;
}

/** The Engine API of one node: JSON in, JSON out. */
export class ApiClient {
  readonly #host: string;
  #docker: Dockerode | undefined;

  /** @param host `unix:///path` or `tcp://host:port`. */
  constructor(host: string) {
    this.#host = host;
  }

  get<T>(path: string, query: Query = {}): Promise<T> {
    return this.#call<T>('GET', path, query);
  }

  post<T>(path: string, body?: unknown, query: Query = {}, headers: Record<string, string> = {}): Promise<T> {
    return this.#call<T>('POST', path, query, body, headers);
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
    const docker = await this.#open();
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const options = {
      // The trailing `?` is how docker-modem is told that there is a query.
      path: given.length === 0 ? path : `${path}?`,
      method,
      headers,
      statusCodes: { 200: true, 201: true, 204: true },
      options: { _query: Object.fromEntries(given), _body: body ?? {} },
    };
    return new Promise<T>((resolve, reject) => {
      docker.modem.dial(options as never, (failure: unknown, answer: unknown) => {
        if (failure === null || failure === undefined) resolve(answer as T);
        else reject(this.#explain(failure as DialFailure));
      });
    });
  }

  /** Loaded on the first call: a command that only prints its help does not pay for it. */
  async #open(): Promise<Dockerode> {
    if (this.#docker !== undefined) return this.#docker;
    const { default: Docker } = await import('dockerode');
    const url = new URL(this.#host);
    const { protocol } = url;
    this.#docker =
      protocol === 'unix:'
        ? new Docker({ socketPath: url.pathname })
        : new Docker({ host: url.hostname, port: Number(url.port || 2375), protocol: 'http' });
    return this.#docker;
  }

  #explain(failure: DialFailure): Error {
    if (failure.statusCode !== undefined) {
      return new ApiError(failure.statusCode, failure.json?.message ?? failure.message);
    }
    if (failure.code === 'ENOENT' || failure.code === 'ECONNREFUSED') {
      return new ConnectionError(`Cannot connect to the Waggle daemon at ${this.#host}. Is the waggle daemon running?`);
    }
    if (failure.code === 'EACCES') {
      return new ConnectionError(`permission denied while trying to connect to the Waggle daemon at ${this.#host}`);
    }
    return new ConnectionError(`error during connect: ${failure.message}`);
  }
}

/** The `filters` parameter of list calls from `--filter key=value` flags. @throws CommandError for one without `=`. */
export function filtersOf(flags: readonly string[]): string | undefined {
  if (flags.length === 0) return undefined;
  const filters: Record<string, Record<string, boolean>> = {};
  for (const flag of flags) {
    const at = flag.indexOf('=');
    if (at < 0)
      throw new CommandError(
        `invalid argument "${flag}" for "-f, --filter" flag: bad format of filter (expected name=value)`,
        125,
      );
    const key = flag.slice(0, at).trim().toLowerCase();
    filters[key] = { ...filters[key], [flag.slice(at + 1).trim()]: true };
  }
  return JSON.stringify(filters);
}
