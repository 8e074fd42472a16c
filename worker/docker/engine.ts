import type { Agent } from 'node:http';
import { inspect } from 'node:util';
import Docker from 'dockerode';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { http } from '../../proto/runtime/http.ts';
import { engineError } from './engine-error.ts';

export interface EngineOptions {
  socketPath: string;
  /** Longest wait for an answer, unless the call says otherwise. */
  requestTimeoutMs: number;
}

export const DEFAULT_ENGINE_OPTIONS: Omit<EngineOptions, 'socketPath'> = { requestTimeoutMs: 30_000 };

export interface CallOptions {
  timeoutMs?: number;
  signal?: AbortSignal;
}

/**
 * The host's Docker Engine. Every call ends: with the engine's answer, with its refusal as a WaggleError in its own
 * words, with `deadline-exceeded` when it is silent for too long, `unavailable` when it is not there, or with the
 * signal's reason. (A connection that breaks in the middle of a body never settles dockerode's promise, so the
 * deadline is not the socket's but ours.)
 */
export class Engine {
  readonly socketPath: string;
  readonly #options: EngineOptions;
  readonly #clock: Clock;
  readonly #agent: Agent;
  readonly #docker: Docker;

  constructor(options: EngineOptions, modules: { clock: Clock }) {
    this.#options = options;
    this.socketPath = options.socketPath;
    this.#clock = modules.clock;
    // Without keep-alive the engine may close before the end of a request was written, which shows as EPIPE.
    this.#agent = unprinted(new http.Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY }));
    this.#docker = new Docker(dockerOptions(options.socketPath, this.#agent));
  }

  /**
   * Makes one request. `request` has to hand its signal to dockerode as `abortSignal` where dockerode takes one.
   * For a request that answers with a stream the deadline ends with the headers.
   */
  async call<T>(
    request: (docker: Docker, abortSignal: AbortSignal) => Promise<T>,
    options: CallOptions = {},
  ): Promise<T> {
    options.signal?.throwIfAborted();
    const controller = new AbortController();
    const timeoutMs = options.timeoutMs ?? this.#options.requestTimeoutMs;
    let fail: (reason: unknown) => void = () => undefined;
    const interrupted = new Promise<never>((_resolve, reject) => {
      fail = reject;
    });
    const end = (reason: unknown): void => {
      fail(reason);
      controller.abort();
    };
    const onAbort = (): void => end(options.signal?.reason);
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const cancel = this.#clock.after(timeoutMs, () => end(this.#silent(timeoutMs)));
    try {
      return await Promise.race([request(this.#docker, controller.signal), interrupted]);
    } catch (error) {
      if (options.signal?.aborted === true) throw options.signal.reason;
      throw engineError(error, this.socketPath);
    } finally {
      cancel();
      options.signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  #silent(timeoutMs: number): WaggleError {
    const message = `the Docker Engine at unix://${this.socketPath} did not answer within ${timeoutMs} ms`;
    return new WaggleError('deadline-exceeded', message);
  }
}

/**
 * docker-modem (5.0.7) prints the options of every request to the last depth, for a debug line that nobody reads: with the
 * agent come all its sockets and what hangs on them, milliseconds a request and more with every request under way.
 */
function unprinted(agent: Agent): Agent {
  return Object.defineProperty(agent, inspect.custom, { value: () => 'Agent' });
}

/** Everything that DOCKER_HOST and its relatives would otherwise decide is set. */
function dockerOptions(socketPath: string, agent: Agent): Docker.DockerOptions {
  const options = {
    socketPath,
    agent,
    host: undefined,
    port: undefined,
    timeout: undefined,
    protocol: 'http' as const,
    ca: undefined,
    cert: undefined,
    key: undefined,
  };
  return options;
}
