import { type ChildProcess, fork } from 'node:child_process';
import { Socket as UdpSocket } from 'node:dgram';
import { Server, Socket as TcpSocket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { backoffDelayMs } from '../../../proto/runtime/backoff.ts';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import { type HelperReply, type HelperRequest, helperReply } from './helper-protocol.ts';

export type HelperHandle = UdpSocket | TcpSocket | Server | undefined;

export interface NetnsHelperModules {
  clock: Clock;
  log: Log;
}

export interface NetnsHelperHooks {
  /** The process is (again) ready and knows nothing: everything that is wanted must be said anew. */
  onStarted: () => void;
  /** A handle belongs to the receiver. Never called with `connection` or with a `failed` that has an id. */
  onReply: (reply: HelperReply, handle: HelperHandle) => void;
}

const CHILD = fileURLToPath(new URL('./netns-helper-child.ts', import.meta.url));
const RESTART = { minMs: 50, maxMs: 5_000, factor: 2, jitter: 0 };
const CONNECT_MS = 2_000;
/** A process that lived as long is not failing at its start. */
const HEALTHY_MS = 10_000;

interface Connecting {
  resolve: (socket: TcpSocket) => void;
  reject: (error: Error) => void;
  cancel: CancelTimer;
}

/** The helper process seen from the daemon: started once, started again when it dies. Requests to a dead one are lost. */
export class NetnsHelper implements Startable {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #connecting = new Map<number, Connecting>();
  #hooks: NetnsHelperHooks | undefined;
  #child: ChildProcess | undefined;
  #cancelRestart: CancelTimer | undefined;
  #startedAtMs = 0;
  #failures = 0;
  #nextId = 1;
  #running = false;
  #ready = false;

  constructor(modules: NetnsHelperModules) {
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'worker/netns-helper' });
  }

  /** Process ID while it lives. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** To be called once, before start(). */
  listen(hooks: NetnsHelperHooks): void {
    this.#hooks = hooks;
  }

  async start(): Promise<void> {
    this.#running = true;
    this.#fork();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelRestart?.();
    this.#failConnecting();
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    if (child.connected) child.disconnect();
    const cancel = this.#clock.after(2_000, () => child.kill('SIGKILL'));
    await ended;
    cancel();
  }

  /** @returns false when there is no process to hear it; onStarted will be called when there is. */
  send(request: HelperRequest): boolean {
    if (!this.#ready || this.#child?.connected !== true) return false;
    this.#child.send(request, () => undefined);
    return true;
  }

  /** @throws WaggleError unavailable. The socket is open or about to be. */
  connect(key: string): Promise<TcpSocket> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const fail = (): void => this.#finishConnecting(id)?.reject(new WaggleError('unavailable', 'helper is away'));
      this.#connecting.set(id, { resolve, reject, cancel: this.#clock.after(CONNECT_MS, fail) });
      if (!this.send({ type: 'connect', key, id })) fail();
    });
  }

  #fork(): void {
    this.#startedAtMs = this.#clock.monotonic();
    const child = fork(CHILD, [String(process.pid)], { execArgv: [], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    this.#child = child;
    child.on('message', (message, handle) => this.#receive(message, toHandle(handle)));
    child.on('error', (error) => this.#log.debug({ error: error.message }, 'helper process channel failed'));
    child.once('exit', (code, signal) => this.#ended(code, signal));
  }

  #receive(message: unknown, handle: HelperHandle): void {
    const parsed = helperReply.safeParse(message);
    if (!parsed.success) return;
    const reply = parsed.data;
    if (reply.type === 'started') {
      this.#ready = true;
      this.#hooks?.onStarted();
      return;
    }
    if (reply.type === 'connection') {
      const waiting = this.#finishConnecting(reply.id);
      if (handle instanceof TcpSocket && waiting !== undefined) waiting.resolve(handle);
      else if (handle instanceof TcpSocket) handle.destroy();
      return;
    }
    if (reply.type === 'failed' && reply.id !== undefined) {
      this.#finishConnecting(reply.id)?.reject(new WaggleError('unavailable', reply.error));
      return;
    }
    this.#hooks?.onReply(reply, handle);
  }

  #ended(code: number | null, signal: string | null): void {
    this.#child = undefined;
    this.#ready = false;
    this.#failConnecting();
    if (!this.#running) return;
    this.#failures = this.#clock.monotonic() - this.#startedAtMs > HEALTHY_MS ? 1 : this.#failures + 1;
    this.#log.warn({ code, signal }, 'helper process ended, starting another');
    this.#cancelRestart = this.#clock.after(backoffDelayMs(RESTART, this.#failures, 0), () => this.#fork());
  }

  #failConnecting(): void {
    for (const id of [...this.#connecting.keys()]) {
      this.#finishConnecting(id)?.reject(new WaggleError('unavailable', 'helper process ended'));
    }
  }

  #finishConnecting(id: number): Connecting | undefined {
    const waiting = this.#connecting.get(id);
    waiting?.cancel();
    this.#connecting.delete(id);
    return waiting;
  }
}

function toHandle(handle: unknown): HelperHandle {
  return handle instanceof UdpSocket || handle instanceof TcpSocket || handle instanceof Server ? handle : undefined;
}
