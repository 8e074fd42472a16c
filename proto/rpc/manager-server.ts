import * as grpc from '@grpc/grpc-js';
import type { AddressInfo, Socket } from 'node:net';
import * as tls from 'node:tls';
import { messageOf, WaggleError } from '../runtime/errors.ts';
import type { Clock } from '../runtime/clock.ts';
import { ConnectionLimits } from '../runtime/connection-limits.ts';
import type { Startable } from '../runtime/lifecycle.ts';
import type { Log } from '../runtime/log.ts';
import { TRANSPORT_OPTIONS, type TlsSource } from './credentials.ts';

const HANDSHAKE_TIMEOUT_MS = 5000;
/** Under way at a time; anyone can begin one. Nodes that are turned away try again. */
const HANDSHAKES = { total: 1024, perAddress: 128 };
/** These too; a node that joins holds one for a second. */
const ANONYMOUS_CONNECTIONS = { total: 256, perAddress: 32 };
/** Beyond this nobody is joining. */
const ANONYMOUS_CONNECTION_MS = 30_000;

export interface ManagerServerOptions {
  host: string;
  /** 0: the system chooses; see `port`. */
  port: number;
}

/**
 * Port 2377. Connections that show a verified certificate of this swarm reach the gRPC server `authenticated`, all
 * others only `bootstrap`, so that a service that is not added to `bootstrap` cannot be reached without a certificate
 * whatever its handlers forget to check. A renewed certificate is used for new connections; open ones go on.
 * Services are added before `start`.
 */
export class ManagerServer implements Startable {
  readonly authenticated = new grpc.Server(TRANSPORT_OPTIONS);
  readonly bootstrap = new grpc.Server(TRANSPORT_OPTIONS);
  readonly #options: ManagerServerOptions;
  readonly #source: TlsSource;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #sockets = new Set<Socket>();
  readonly #handshakes = new ConnectionLimits(HANDSHAKES);
  /** By peer, what gives its place back. */
  readonly #handshaking = new Map<string, () => void>();
  readonly #anonymous = new ConnectionLimits(ANONYMOUS_CONNECTIONS);
  #listener: tls.Server | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(options: ManagerServerOptions, modules: { source: TlsSource; clock: Clock; log: Log }) {
    this.#options = options;
    this.#source = modules.source;
    this.#clock = modules.clock;
    this.#log = modules.log;
  }

  /** The port that is listened on. */
  get port(): number {
    const address = this.#listener?.address();
    return typeof address === 'object' && address !== null ? (address as AddressInfo).port : this.#options.port;
  }

  /** @throws WaggleError unavailable when the address cannot be listened on. */
  async start(): Promise<void> {
    const insecure = grpc.ServerCredentials.createInsecure();
    const authenticated = this.authenticated.createConnectionInjector(insecure);
    const bootstrap = this.bootstrap.createConnectionInjector(insecure);
    const listener = tls.createServer(
      { ...this.#context(), requestCert: true, rejectUnauthorized: false, handshakeTimeout: HANDSHAKE_TIMEOUT_MS },
      (socket) => {
        this.#handshakeDone(socket);
        if (socket.authorized) authenticated.injectConnection(socket);
        else if (this.#admitAnonymous(socket)) bootstrap.injectConnection(socket);
      },
    );
    listener.on('connection', (socket: Socket) => this.#watch(socket));
    listener.on('tlsClientError', (error: Error, socket: tls.TLSSocket) => {
      this.#log.debug({ peer: socket.remoteAddress, error: error.message }, 'TLS handshake failed');
    });
    await listen(listener, this.#options);
    this.#listener = listener;
    this.#unsubscribe = this.#source.onChange(() => this.#swap(listener));
  }

  /** Ends every connection. */
  async stop(): Promise<void> {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.#listener = undefined;
    this.#unsubscribe?.();
    const closed = new Promise<void>((resolve) => {
      listener.close(() => resolve());
    });
    this.authenticated.forceShutdown();
    this.bootstrap.forceShutdown();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #context(): tls.TlsOptions {
    const { certificate, key, root } = this.#source.tls();
    return { cert: certificate, key, ca: root, minVersion: 'TLSv1.3', ALPNProtocols: ['h2'] };
  }

  #swap(listener: tls.Server): void {
    try {
      listener.setSecureContext(this.#context());
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'renewed certificate cannot be served, restart this manager');
    }
  }

  #watch(socket: Socket): void {
    const peer = peerOf(socket);
    const release = this.#handshakes.admit(socket.remoteAddress ?? '');
    if (release === undefined) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    this.#handshaking.set(peer, release);
    socket.once('close', () => {
      release();
      this.#handshaking.delete(peer);
      this.#sockets.delete(socket);
    });
  }

  #handshakeDone(socket: tls.TLSSocket): void {
    const peer = peerOf(socket);
    this.#handshaking.get(peer)?.();
    this.#handshaking.delete(peer);
  }

  #admitAnonymous(socket: tls.TLSSocket): boolean {
    const release = this.#anonymous.admit(socket.remoteAddress ?? '');
    if (release === undefined) {
      socket.destroy();
      return false;
    }
    const cancel = this.#clock.after(ANONYMOUS_CONNECTION_MS, () => socket.destroy());
    socket.once('close', () => {
      cancel();
      release();
    });
    return true;
  }
}

/** Address and port: no two connections of a listener share them. */
function peerOf(socket: Socket): string {
  return `${socket.remoteAddress ?? ''} ${socket.remotePort ?? 0}`;
}

function listen(listener: tls.Server, options: ManagerServerOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    listener.once('error', (error) => {
      const where = `${options.host}:${options.port}`;
      const how = `Stop the program that has this port (ss -lntp sport = :${options.port}), or give another one with --listen-addr`;
      reject(new WaggleError('unavailable', `cannot listen on ${where}: ${error.message}. ${how}`, { cause: error }));
    });
    listener.listen(options.port, options.host, resolve);
  });
}
