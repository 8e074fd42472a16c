import { chmod, rm, stat } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { makeFolder } from '../../proto/runtime/folder.ts';
import { http } from '../../proto/runtime/http.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Backend } from './backend.ts';
import { Dispatch } from './dispatch.ts';
import { EngineAgent, EngineClient } from './engine-client.ts';
import { EventLog } from './event-log.ts';
import type { Route } from './exchange.ts';
import { OpenExchanges } from './open-exchanges.ts';
import { EngineProxy } from './proxy.ts';
import type { RouteModules } from './route-modules.ts';
import { configRoutes } from './routes/configs.ts';
import { containerRoutes } from './routes/containers.ts';
import { diagnosisRoutes } from './routes/diagnosis.ts';
import { eventRoutes } from './routes/events.ts';
import { infoRoutes } from './routes/info.ts';
import { networkChangeRoutes } from './routes/network-changes.ts';
import { networkPruneRoutes } from './routes/network-prune.ts';
import { networkRoutes } from './routes/networks.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { pingRoutes } from './routes/ping.ts';
import { secretRoutes } from './routes/secrets.ts';
import { serviceRoutes } from './routes/services.ts';
import { swarmRoutes } from './routes/swarm.ts';
import { taskRoutes } from './routes/tasks.ts';
import { SwarmNetworks } from './swarm-networks.ts';
import { VersionGate } from './version-gate.ts';

export interface EngineApiOptions {
  /** Unix socket to listen on. */
  socketPath: string;
  /** Unix socket of the host's own engine; must not be `socketPath`. */
  engineSocketPath: string;
}

export interface EngineApiModules {
  backend: Backend;
  clock: Clock;
  log: Log;
}

/** As Docker's socket: root and its group. */
const SOCKET_MODE = 0o660;
/** Go's default for a request's head; X-Registry-Auth and filters pass Node's 16 KiB. */
const MAX_HEADER_BYTES = 1024 * 1024;
/** For so long after the socket has gone clients that keep their connections are answered once more: a request may be on its way. */
const LAST_REQUEST_MS = 100;
/** Turns of the event loop until the first of those who wait to be let in has been. */
const ADMISSION_TURNS = 4;
/** For what is under way when the server stops; a change takes some milliseconds, or an election. */
const LAST_ANSWER_MS = 2_000;

/**
 * The Docker Engine API on a unix socket. What concerns the swarm is answered here, in Docker's words; all else goes
 * to the host's own engine, streams and hijacked connections included (DESIGN.md 2.3).
 */
export class EngineApiServer implements Startable {
  readonly #options: EngineApiOptions;
  readonly #events: EventLog;
  readonly #agent: EngineAgent;
  readonly #proxy: EngineProxy;
  readonly #dispatch: Dispatch;
  readonly #exchanges: OpenExchanges;
  readonly #clock: Clock;
  readonly #log: Log;
  #server: Server | undefined;

  constructor(options: EngineApiOptions, { backend, clock, log }: EngineApiModules) {
    this.#options = options;
    this.#clock = clock;
    this.#log = log.child({ module: 'manager/engineapi' });
    const exchanges = new OpenExchanges({ clock });
    this.#exchanges = exchanges;
    const engineAt = { socketPath: options.engineSocketPath };
    this.#agent = new EngineAgent(options.engineSocketPath);
    this.#events = new EventLog({ backend, clock });
    this.#proxy = new EngineProxy(engineAt, { agent: this.#agent, exchanges, clock, log });
    const engine = new EngineClient(engineAt, { agent: this.#agent });
    const networks = new SwarmNetworks({ backend, engine, log });
    const modules: RouteModules = {
      backend,
      engine,
      proxy: this.#proxy,
      networks,
      events: this.#events,
      exchanges,
      clock,
      log,
    };
    const gate = new VersionGate({ engine, clock });
    this.#dispatch = new Dispatch({ routes: allRoutes(modules) }, { proxy: this.#proxy, gate, log });
  }

  /**
   * Listens; a socket that a dead process left is replaced.
   * @throws when a living process listens there.
   */
  async start(): Promise<void> {
    const { socketPath } = this.#options;
    makeFolder(dirname(socketPath), 0o755);
    await removeStaleSocket(socketPath);
    await this.#events.start();
    this.#exchanges.open();
    const server = this.#createServer();
    this.#server = server;
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(socketPath, resolve);
      });
      await chmod(socketPath, SOCKET_MODE);
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#log.info({ socket: socketPath }, 'Engine API is listening');
  }

  /** The socket goes first; whoever has connected by then is answered, and cut off only when that takes too long. */
  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await this.#close(server);
    await this.#events.stop();
    this.#agent.destroy();
  }

  async #close(server: Server): Promise<void> {
    this.#exchanges.beginToEnd();
    if (server.listening) await rm(this.#options.socketPath, { force: true });
    // Who waits to be let in is let in: a socket that closes resets them.
    for (let turn = 0; turn < ADMISSION_TURNS; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
    if ((await connectionsOf(server)) > 0) await sleep(this.#clock, LAST_REQUEST_MS);
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    await this.#exchanges.ended(LAST_ANSWER_MS);
    this.#proxy.closeTunnels();
    server.closeAllConnections();
    await closed;
  }

  #createServer(): Server {
    const server = http.createServer({
      maxHeaderSize: MAX_HEADER_BYTES,
      requireHostHeader: false,
      // Uploads, logs and idle clients last as long as they last: Docker's engine sets no limits either.
      requestTimeout: 0,
      headersTimeout: 0,
      keepAliveTimeout: 0,
      shouldUpgradeCallback: (req) => this.#dispatch.isEngines(req),
    });
    server.on('request', (req, res) => {
      this.#exchanges.add(res);
      void this.#dispatch.handle(req, res);
    });
    server.on('upgrade', (req, socket, head) => this.#proxy.tunnel(req, socket, head));
    return server;
  }
}

function allRoutes(modules: RouteModules): Route[] {
  return [
    swarmRoutes,
    nodeRoutes,
    serviceRoutes,
    taskRoutes,
    secretRoutes,
    configRoutes,
    networkRoutes,
    networkChangeRoutes,
    networkPruneRoutes,
    diagnosisRoutes,
    containerRoutes,
    infoRoutes,
    pingRoutes,
    eventRoutes,
  ].flatMap((routes) => routes(modules));
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((_error, count) => resolve(count)));
}

async function removeStaleSocket(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket`);
  const isAlive = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once('connect', () => resolve(true));
    probe.once('error', () => resolve(false));
    probe.once('close', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
  if (isAlive) throw new Error(`${path} is in use by another process`);
  await rm(path, { force: true });
}
