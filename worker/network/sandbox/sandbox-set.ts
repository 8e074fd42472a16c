import { Socket as UdpSocket } from 'node:dgram';
import { Server, Socket as TcpSocket } from 'node:net';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { EndpointTable } from '../../gossip/endpoint-table.ts';
import { NameIndexes } from '../resolver/name-index.ts';
import { type ResolverSockets, SandboxResolver } from '../resolver/sandbox-resolver.ts';
import type { HelperReply } from './helper-protocol.ts';
import { type HelperHandle, NetnsHelper } from './netns-helper.ts';
import type { Sandbox, Sandboxes } from './sandboxes.ts';

export interface SandboxSetModules {
  table: EndpointTable;
  clock: Clock;
  log: Log;
}

type SocketReply = HelperReply & { type: 'socket' };

/** Sockets of one set-up that have come while others are on their way, and what has come over them. */
interface Arriving {
  setup: number;
  forward?: UdpSocket;
  tcp?: Server;
  early: ((resolver: SandboxResolver) => void)[];
}

interface Entry {
  sandbox: Sandbox;
  /** Since when there are queries that could be held for want of networks. */
  knownAtMs: number;
  resolver?: SandboxResolver;
  /** Number of the set-up that the resolver came from; 0 before. */
  setup: number;
  inode: number;
  port: number;
  arriving?: Arriving;
  /** The helper has said that it watches for the namespace, and nothing else since. */
  watched: boolean;
  /** Resolved when the namespace is watched, or set up if it was there. */
  waiting: Set<() => void>;
}

const RECONCILE_MS = 5_000;
const PUT_MS = 2_000;
/** No query is held for longer for want of knowledge. */
const HOLD_MS = 3_000;
/** A replaced resolver still answers what was sent to it before the redirect changed. */
const RETIRE_MS = 5_000;
const MOST_EARLY = 256;

/**
 * Sandboxes and their resolvers. Level-triggered: `want` is said to the helper when a sandbox is added, after the helper
 * has restarted, and every 5 s for each one that is not as it should be (no redirect, other port, dead socket, another
 * namespace at the path). stop() leaves the redirects in place: the next daemon takes the ports over.
 */
export class SandboxSet implements Sandboxes, Startable {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #table: EndpointTable;
  readonly #names: NameIndexes;
  readonly #helper: NetnsHelper;
  readonly #entries = new Map<string, Entry>();
  readonly #retired = new Map<SandboxResolver, CancelTimer>();
  readonly #dropping = new Map<string, Set<() => void>>();
  #unsubscribe: (() => void) | undefined;
  #cancelReconcile: CancelTimer | undefined;
  #startedAtMs = 0;
  #running = false;

  constructor(modules: SandboxSetModules) {
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'worker/resolver' });
    this.#table = modules.table;
    this.#names = new NameIndexes(modules.table);
    this.#helper = new NetnsHelper(modules);
  }

  /** Process ID of the helper. */
  get helperPid(): number | undefined {
    return this.#helper.pid;
  }

  async start(): Promise<void> {
    this.#running = true;
    this.#startedAtMs = this.#clock.monotonic();
    this.#unsubscribe = this.#table.onChange((networkIds) => {
      this.#names.forget(networkIds);
      for (const entry of this.#entries.values()) entry.resolver?.recheck();
    });
    this.#helper.listen({
      onStarted: () => {
        for (const [key, entry] of this.#entries) {
          entry.watched = false;
          if (entry.resolver?.alive !== true) this.#want(key);
        }
      },
      onReply: (reply, handle) => this.#receive(reply, handle),
    });
    await this.#helper.start();
    this.#reconcileLater();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#unsubscribe?.();
    this.#cancelReconcile?.();
    for (const entry of this.#entries.values()) this.#shut(entry);
    this.#entries.clear();
    for (const [resolver, cancel] of this.#retired) {
      cancel();
      resolver.close();
    }
    this.#retired.clear();
    await this.#helper.stop();
  }

  put(sandbox: Sandbox): Promise<void> {
    const key = sandbox.sandboxKey;
    const known = this.#entries.get(key);
    if (known !== undefined) {
      known.sandbox = sandbox;
      known.resolver?.recheck();
      const isWatched = known.watched && this.#helper.pid !== undefined;
      if (known.resolver?.alive === true || isWatched) return Promise.resolve();
    } else {
      this.#entries.set(key, {
        sandbox,
        knownAtMs: this.#clock.monotonic(),
        setup: 0,
        inode: 0,
        port: 0,
        watched: false,
        waiting: new Set(),
      });
    }
    return this.#bounded((done) => {
      this.#entries.get(key)?.waiting.add(done);
      this.#want(key);
      return () => this.#entries.get(key)?.waiting.delete(done);
    });
  }

  remove(sandboxKey: string): Promise<void> {
    const entry = this.#entries.get(sandboxKey);
    if (entry !== undefined) this.#shut(entry);
    this.#entries.delete(sandboxKey);
    return this.#bounded((done) => {
      const waiting = this.#dropping.get(sandboxKey) ?? new Set();
      this.#dropping.set(sandboxKey, waiting.add(done));
      // A helper that is dead watches nothing, and the engine is about to take the namespace away.
      if (!this.#helper.send({ type: 'drop', key: sandboxKey })) done();
      return () => this.#dropping.delete(sandboxKey);
    });
  }

  /** Sandboxes whose resolver is in place, with the port of each. */
  ready(): { sandboxKey: string; port: number }[] {
    return [...this.#entries.values()]
      .filter((entry) => entry.resolver?.alive === true)
      .map((entry) => ({ sandboxKey: entry.sandbox.sandboxKey, port: entry.port }));
  }

  /** Resolves when `begin`'s callback is called, or after PUT_MS. */
  #bounded(begin: (done: () => void) => () => void): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(PUT_MS, () => done());
      const done = (): void => {
        cancel();
        forget();
        resolve();
      };
      let forget: () => void = () => undefined;
      forget = begin(done);
    });
  }

  #want(key: string): void {
    this.#helper.send({ type: 'want', key });
  }

  #receive(reply: HelperReply, handle: HelperHandle): void {
    if (reply.type === 'started' || reply.type === 'connection') return;
    if (reply.type === 'dropped') {
      for (const done of [...(this.#dropping.get(reply.key) ?? [])]) done();
      return;
    }
    const entry = this.#entries.get(reply.key);
    if (entry === undefined) return closeHandle(handle);
    entry.watched = reply.type === 'watching' && !reply.present;
    if (reply.type === 'socket') this.#socket(entry, reply, handle);
    else if (reply.type === 'watching') {
      if (!reply.present) settle(entry);
    } else if (reply.type === 'failed') {
      this.#log.warn({ sandbox: reply.key, error: reply.error }, 'sandbox has no resolver yet');
      settle(entry);
    } else if (reply.type === 'checked') this.#checked(entry, reply);
    else {
      const serve = (resolver: SandboxResolver): void => serveEarly(resolver, reply, handle);
      // The last of the handles may have overtaken what was read before it.
      if (entry.setup === reply.setup && entry.resolver !== undefined) serve(entry.resolver);
      else this.#early(this.#arriving(entry, reply.setup), serve);
    }
  }

  #socket(entry: Entry, reply: SocketReply, handle: HelperHandle): void {
    const arriving = this.#arriving(entry, reply.setup);
    if (reply.role === 'forward' && handle instanceof UdpSocket) arriving.forward = handle;
    else if (reply.role === 'tcp' && handle instanceof Server) {
      arriving.tcp = handle;
      handle.on('connection', (socket) => this.#early(arriving, (resolver) => resolver.stream(socket)));
    } else if (handle instanceof UdpSocket && arriving.forward !== undefined && arriving.tcp !== undefined) {
      delete entry.arriving;
      arriving.tcp.removeAllListeners('connection');
      const sockets = { udp: handle, forward: arriving.forward, tcp: arriving.tcp };
      this.#adopt(entry, reply, sockets, arriving.early);
    } else closeHandle(handle);
  }

  #arriving(entry: Entry, setup: number): Arriving {
    if (entry.arriving?.setup === setup) return entry.arriving;
    closeArriving(entry);
    entry.arriving = { setup, early: [] };
    return entry.arriving;
  }

  #adopt(entry: Entry, reply: SocketReply, sockets: ResolverSockets, early: Arriving['early']): void {
    this.#retire(entry);
    const resolver = new SandboxResolver(
      sockets,
      {
        networks: () => entry.sandbox.networks,
        names: (networkId) => this.#names.of(networkId),
        incomplete: () => this.#incomplete(entry),
        connect: () => this.#helper.connect(entry.sandbox.sandboxKey),
      },
      { clock: this.#clock, log: this.#log },
    );
    entry.resolver = resolver;
    entry.setup = reply.setup;
    entry.inode = reply.inode;
    entry.port = reply.port;
    resolver.open();
    for (const serve of early) serve(resolver);
    this.#log.debug({ sandbox: reply.key, port: reply.port, tookMs: reply.tookMs }, 'resolver is in place');
    settle(entry);
  }

  #incomplete(entry: Entry): boolean {
    const now = this.#clock.monotonic();
    if (entry.sandbox.networks.length === 0) return now - entry.knownAtMs < HOLD_MS;
    return !this.#table.synced() && now - this.#startedAtMs < HOLD_MS;
  }

  #early(arriving: Arriving, serve: (resolver: SandboxResolver) => void): void {
    if (arriving.early.length < MOST_EARLY) arriving.early.push(serve);
  }

  #checked(entry: Entry, reply: HelperReply & { type: 'checked' }): void {
    const good = entry.resolver?.alive === true && reply.inode === entry.inode && reply.port === entry.port;
    if (good) return;
    if (reply.inode !== 0) return this.#want(reply.key);
    // Gone without a word, or not there yet: no query can come; the next check finds it if it comes.
    if (entry.resolver !== undefined) this.#shut(entry);
  }

  #reconcileLater(): void {
    if (!this.#running) return;
    this.#cancelReconcile = this.#clock.after(RECONCILE_MS, () => {
      for (const key of this.#entries.keys()) this.#helper.send({ type: 'check', key });
      this.#reconcileLater();
    });
  }

  #retire(entry: Entry): void {
    const { resolver } = entry;
    if (resolver === undefined) return;
    this.#retired.set(
      resolver,
      this.#clock.after(RETIRE_MS, () => {
        this.#retired.delete(resolver);
        resolver.close();
      }),
    );
  }

  #shut(entry: Entry): void {
    settle(entry);
    closeArriving(entry);
    entry.resolver?.close();
    delete entry.resolver;
    entry.inode = 0;
    entry.port = 0;
  }
}

function serveEarly(resolver: SandboxResolver, reply: HelperReply, handle: HelperHandle): void {
  if (reply.type === 'early-query') resolver.query(Buffer.from(reply.base64, 'base64'), reply.address, reply.port);
  else if (handle instanceof TcpSocket) resolver.stream(handle);
}

function settle(entry: Entry): void {
  for (const done of [...entry.waiting]) done();
}

function closeArriving(entry: Entry): void {
  const { arriving } = entry;
  delete entry.arriving;
  closeHandle(arriving?.forward);
  closeHandle(arriving?.tcp);
}

function closeHandle(handle: HelperHandle): void {
  if (handle instanceof TcpSocket) handle.destroy();
  else handle?.close();
}
