import dgram from 'node:dgram';
import net from 'node:net';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Message } from '../core/message.ts';
import { type GossipKey, KeyRing } from './key-ring.ts';
import { decodeMessage, encodeMessage } from './message-codec.ts';

export interface GossipTransportOptions {
  bindAddress: string;
  /** UDP and TCP. */
  port: number;
}

export interface GossipTransportModules {
  clock: Clock;
  log: Log;
  /** Called for every message that authenticates. */
  onMessage: (message: Message, source: { host: string; port: number }) => void;
}

/** Dropped packets and streams by reason, since the start. */
export interface DropCounts {
  unauthenticated: number;
  malformed: number;
  tooLarge: number;
  overload: number;
  unsent: number;
}

const DATAGRAM_BYTES = 1_400;
const STREAM_BYTES = 16 * 1024 * 1024;
const STREAM_MS = 10_000;
const STREAMS_IN = 64;
const STREAMS_OUT = 64;

/**
 * Sealed messages over UDP, and over one TCP stream each when larger than a datagram of 1400 bytes. Best effort: a
 * message that cannot be sent is counted and dropped; the core repeats what matters. Without keys nothing is sent or
 * accepted. Replays are harmless: the core ignores what it already has.
 */
export class GossipTransport implements Startable {
  readonly drops: DropCounts = { unauthenticated: 0, malformed: 0, tooLarge: 0, overload: 0, unsent: 0 };
  readonly #options: GossipTransportOptions;
  readonly #modules: GossipTransportModules;
  readonly #keys = new KeyRing();
  readonly #streams = new Set<net.Socket>();
  #udp: dgram.Socket | undefined;
  #tcp: net.Server | undefined;
  #streamsOut = 0;

  constructor(options: GossipTransportOptions, modules: GossipTransportModules) {
    this.#options = options;
    this.#modules = modules;
  }

  get hasKeys(): boolean {
    return !this.#keys.empty;
  }

  setKeys(keys: readonly GossipKey[]): void {
    this.#keys.set(keys);
  }

  /** @throws WaggleError failed-precondition when the port is taken. */
  async start(): Promise<void> {
    const { bindAddress, port } = this.#options;
    const udp = dgram.createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
    const tcp = net.createServer((socket) => this.#accept(socket));
    try {
      await listening(udp, () => udp.bind(port, bindAddress));
      await listening(tcp, () => tcp.listen(port, bindAddress));
    } catch (error) {
      udp.close();
      throw new WaggleError(
        'failed-precondition',
        `cannot listen on ${bindAddress}:${port} for gossip (tcp and udp): ${messageOf(error)}. Stop the program that has this port: ss -lntup sport = :${port}`,
        { cause: error },
      );
    }
    udp.on('message', (bytes, from) => this.#open(bytes, { host: from.address, port: from.port }));
    udp.on('error', (error) => this.#modules.log.warn({ error: error.message }, 'gossip socket failed'));
    tcp.on('error', (error) => this.#modules.log.warn({ error: error.message }, 'gossip listener failed'));
    this.#udp = udp;
    this.#tcp = tcp;
  }

  async stop(): Promise<void> {
    const udp = this.#udp;
    const tcp = this.#tcp;
    this.#udp = undefined;
    this.#tcp = undefined;
    for (const socket of this.#streams) socket.destroy();
    if (udp !== undefined) await new Promise<void>((resolve) => udp.close(() => resolve()));
    if (tcp !== undefined) await new Promise<void>((resolve) => tcp.close(() => resolve()));
  }

  send(host: string, port: number, message: Message): void {
    const sealed = this.#keys.seal(encodeMessage(message));
    if (sealed === undefined || this.#udp === undefined) return;
    if (sealed.length > DATAGRAM_BYTES) return this.#stream(host, port, sealed);
    this.#udp.send(sealed, port, host, (error) => {
      if (error !== null) this.drops.unsent += 1;
    });
  }

  #stream(host: string, port: number, sealed: Buffer): void {
    if (sealed.length > STREAM_BYTES) {
      this.drops.tooLarge += 1;
      return;
    }
    if (this.#streamsOut >= STREAMS_OUT) {
      this.drops.overload += 1;
      return;
    }
    const socket = net.connect({ host, port, localAddress: this.#options.bindAddress });
    this.#streamsOut += 1;
    this.#guard(socket, () => {
      this.#streamsOut -= 1;
    });
    socket.on('error', () => {
      this.drops.unsent += 1;
    });
    socket.resume();
    socket.end(sealed);
  }

  #accept(socket: net.Socket): void {
    if (this.#streams.size >= STREAMS_IN) {
      this.drops.overload += 1;
      socket.destroy();
      return;
    }
    const parts: Buffer[] = [];
    let bytes = 0;
    this.#guard(socket, () => undefined);
    socket.on('error', () => undefined);
    socket.on('data', (part) => {
      bytes += part.length;
      if (bytes > STREAM_BYTES) {
        this.drops.tooLarge += 1;
        socket.destroy();
      } else parts.push(part);
    });
    const host = socket.remoteAddress ?? '';
    socket.on('end', () => this.#open(Buffer.concat(parts), { host, port: this.#options.port }));
  }

  /** Ends a stream that takes too long, and forgets it when it has ended. */
  #guard(socket: net.Socket, onClose: () => void): void {
    this.#streams.add(socket);
    const cancel = this.#modules.clock.after(STREAM_MS, () => socket.destroy());
    socket.on('close', () => {
      cancel();
      this.#streams.delete(socket);
      onClose();
    });
  }

  #open(sealed: Buffer, source: { host: string; port: number }): void {
    const content = this.#keys.open(sealed);
    if (content === undefined) {
      this.drops.unauthenticated += 1;
      return;
    }
    let message: Message;
    try {
      message = decodeMessage(content);
    } catch (error) {
      this.drops.malformed += 1;
      this.#modules.log.debug({ source, error: String(error) }, 'malformed gossip message dropped');
      return;
    }
    this.#modules.onMessage(message, source);
  }
}

/** Resolves when `begin` has led to `listening`, rejects on an error before. */
function listening(emitter: dgram.Socket | net.Server, begin: () => void): Promise<void> {
  const some: NodeJS.EventEmitter = emitter;
  return new Promise((resolve, reject) => {
    some.once('error', reject);
    some.once('listening', () => {
      some.removeListener('error', reject);
      resolve();
    });
    begin();
  });
}
