import { chmod, rm, stat } from 'node:fs/promises';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import path from 'node:path';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import { makeFolder } from '../../../proto/runtime/folder.ts';
import { http } from '../../../proto/runtime/http.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import { inactiveBackend } from './inactive-backend.ts';
import { dispatch, type PluginAnswer } from './plugin-dispatch.ts';
import type { PluginBackend } from './plugin-protocol.ts';

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 1024;
const WATCH_MS = 1_000;
const OWNER_ONLY = 0o177;

export interface PluginServerOptions {
  /** For instance /run/docker/plugins/waggle.sock; the file's name is the driver's. */
  socketPath: string;
}

/**
 * The plugin's socket. It is to be up whenever the engine is, in a swarm or not: an engine that finds no plugin for a
 * network of its own waits 15 s. Should the file be removed, or another put in its place, it is made anew within 1 s.
 */
export class PluginServer implements Startable {
  readonly #options: PluginServerOptions;
  readonly #clock: Clock;
  readonly #log: Log;
  #backend: PluginBackend = inactiveBackend;
  /** For a backend that is to come. */
  #wait: { promise: Promise<void>; resolve: () => void; cancel: CancelTimer } | undefined;
  #server: Server | undefined;
  /** Of `socketAt`; empty while that is not known. */
  #file = '';
  #cancelWatch: CancelTimer | undefined;
  #watching: Promise<void> = Promise.resolve();
  #stopped = true;

  constructor(options: PluginServerOptions, modules: { clock: Clock; log: Log }) {
    this.#options = options;
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'worker/plugin' });
  }

  /** From the next call on; undefined when the node is in no swarm. */
  setBackend(backend: PluginBackend | undefined): void {
    this.#backend = backend ?? inactiveBackend;
    if (backend !== undefined) this.#endWait();
  }

  /**
   * The node is taking up its place in a swarm: calls wait for the backend, for at most `withinMs` from now. Answered without
   * it, what the engine makes would fail, and what it gives back would stay taken until the next comparison with the engine.
   */
  expectBackend(withinMs: number): void {
    this.#wait?.cancel();
    const { promise, resolve } = this.#wait ?? Promise.withResolvers<void>();
    this.#wait = { promise, resolve, cancel: this.#clock.after(withinMs, () => this.#endWait()) };
  }

  /** @throws what the system says when the socket cannot be made. A socket file that is there is replaced. */
  async start(): Promise<void> {
    this.#stopped = false;
    await this.#listen();
    this.#scheduleWatch();
  }

  /** Calls under way are answered first, for at most as long as they take; the socket's file is removed. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#endWait();
    this.#cancelWatch?.();
    await this.#watching;
    await this.#close();
  }

  async #listen(): Promise<void> {
    const { socketPath } = this.#options;
    makeFolder(path.dirname(socketPath), 0o755);
    await rm(socketPath, { force: true });
    const server = http.createServer((request, response) => void this.#serve(request, response));
    server.maxConnections = MAX_CONNECTIONS;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.once('listening', resolve);
      // The file must never be open to others, not even until a chmod; bind happens within this call.
      const before = process.umask(OWNER_ONLY);
      try {
        server.listen(socketPath);
      } finally {
        process.umask(before);
      }
    });
    server.on('error', (error) => this.#log.warn({ error: error.message }, 'plugin socket failed'));
    this.#server = server;
    this.#file = '';
    await chmod(socketPath, 0o600);
    this.#file = await socketAt(socketPath);
    this.#log.info({ socket: socketPath }, 'plugin is up');
  }

  async #close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    server.closeIdleConnections();
    await closed;
  }

  #scheduleWatch(): void {
    this.#cancelWatch = this.#clock.after(WATCH_MS, () => {
      this.#watching = this.#watch()
        .catch((error: unknown) => {
          this.#log.warn({ error: messageOf(error) }, 'plugin socket is gone and will be made again');
        })
        .then(() => {
          if (!this.#stopped) this.#scheduleWatch();
        });
    });
  }

  #endWait(): void {
    this.#wait?.cancel();
    this.#wait?.resolve();
    this.#wait = undefined;
  }

  async #watch(): Promise<void> {
    const found = await socketAt(this.#options.socketPath).catch(() => undefined);
    if (this.#server !== undefined && found === this.#file) return;
    await this.#close();
    await this.#listen();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const began = this.#clock.monotonic();
    const url = request.url ?? '';
    try {
      const text = await readBody(request);
      // Calls without a body are about the plugin itself; an engine that starts makes them.
      if (text !== '' && text !== undefined) await this.#wait?.promise;
      const answer = text === undefined ? tooLarge() : await dispatch(url, text, this.#backend);
      const tookMs = Math.round(this.#clock.monotonic() - began);
      this.#log.debug({ call: url, status: answer.status, tookMs, ...failureOf(answer) }, 'plugin call');
      response.writeHead(answer.status, { 'Content-Type': 'application/vnd.docker.plugins.v1.2+json' });
      response.end(JSON.stringify(answer.body));
    } catch (error) {
      this.#log.debug({ call: url, error: messageOf(error) }, 'plugin call broke off');
      response.destroy();
    }
  }
}

/** Names a socket's file, also among those that have one inode after the other. @throws when it is gone, or is no socket. */
async function socketAt(path: string): Promise<string> {
  const found = await stat(path, { bigint: true });
  if (!found.isSocket()) throw new WaggleError('failed-precondition', `${path} is no socket`);
  return `${found.dev}/${found.ino}/${found.birthtimeNs}`;
}

/** @returns undefined when the body is too large. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
  }
  return size > MAX_BODY_BYTES ? undefined : Buffer.concat(chunks).toString('utf8');
}

function tooLarge(): PluginAnswer {
  const words = `the request is larger than ${MAX_BODY_BYTES} bytes`;
  return { status: 413, body: { Err: words, Error: words } };
}

function failureOf(answer: PluginAnswer): { error?: unknown } {
  return 'Err' in answer.body ? { error: answer.body.Err } : {};
}
