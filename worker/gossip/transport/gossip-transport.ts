import dgram from 'node:dgram';
import net from 'node:net';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { ConnectionLimits } from '../../../proto/runtime/connection-limits.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import type { Content, Envelope } from './envelope.ts';
import { FrameReader, framed, MOST_FRAME_BYTES } from './frame.ts';
import { type GossipKey, KeyRing } from './key-ring.ts';
import { decodeEnvelope, encodeEnvelope } from './message-codec.ts';
import { ReplayWindow } from './replay-window.ts';
import { SendCounters } from './send-counters.ts';

export interface GossipTransportOptions {
  nodeId: string;
  bindAddress: string;
  /** UDP and TCP. */
  port: number;
}

export interface GossipTransportModules {
  clock: Clock;
  log: Log;
  random: Random;
  /** Called for everything that authenticates and comes for the first time. */
  onContent: (from: string, content: Content, source: { host: string; port: number }) => void;
}

/** Dropped packets and streams by reason, since the start. */
export interface DropCounts {
  /** Sealed with a key that this node does not have, or not sealed at all. */
  unknownKey: number;
  /** Sealed wrongly, or changed on the way. */
  unauthenticated: number;
  malformed: number;
  /** Authentic, and came before. */
  replayed: number;
  tooLarge: number;
  overload: number;
  unsent: number;
}

const DATAGRAM_BYTES = 1_400;
/** What all incoming streams together may hold that is not yet authenticated. */
const BUFFERED_BYTES = 32 * 1024 * 1024;
const STREAM_MS = 10_000;
/** A node needs one at a time; what it sends in one turn shares it. */
const STREAMS_IN = { total: 64, perAddress: 16 };
const STREAMS_OUT = 64;

/**
 * Sealed content over UDP, and as frames of a TCP stream when larger than a datagram of 1400 bytes or when it asks for one. What
 * is sent to one node in one turn shares a stream, so it arrives in order. Best effort: what cannot be sent is counted and
 * dropped; the cores repeat what matters. Without keys nothing is sent or accepted. A stream ends at its first frame that does not authenticate.
 */
export class GossipTransport implements Startable {
  readonly drops: DropCounts = {
    unknownKey: 0,
    unauthenticated: 0,
    malformed: 0,
    replayed: 0,
    tooLarge: 0,
    overload: 0,
    unsent: 0,
  };
  readonly #options: GossipTransportOptions;
  readonly #modules: GossipTransportModules;
  readonly #keys = new KeyRing();
  readonly #replays = new ReplayWindow();
  readonly #counters: SendCounters;
  readonly #streams = new Set<net.Socket>();
  readonly #framesTo = new Map<string, { host: string; port: number; frames: Buffer[] }>();
  readonly #streamsIn = new ConnectionLimits(STREAMS_IN);
  #bufferedBytes = 0;
  #udp: dgram.Socket | undefined;
  #tcp: net.Server | undefined;
  #streamsOut = 0;

  constructor(options: GossipTransportOptions, modules: GossipTransportModules) {
    this.#options = options;
    this.#modules = modules;
    this.#counters = new SendCounters(modules.random);
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
    udp.on('message', (bytes, from) => this.#open(bytes, 'datagram', { host: from.address, port: from.port }));
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

  send(host: string, port: number, content: Content): void {
    if (this.#keys.empty || this.#udp === undefined) return;
    const wanted = 'swim' in content && content.swim.stream;
    if (!wanted) {
      const sealed = this.#seal(host, port, 'datagram', content);
      if (sealed !== undefined && sealed.length <= DATAGRAM_BYTES) {
        return this.#udp.send(sealed, port, host, (error) => {
          if (error !== null) this.drops.unsent += 1;
        });
      }
    }
    const sealed = this.#seal(host, port, 'stream', content);
    if (sealed !== undefined) this.#queueFrame(host, port, sealed);
  }

  #seal(host: string, port: number, way: 'datagram' | 'stream', content: Content): Buffer | undefined {
    const stamp = this.#counters.next(`${way} ${host} ${port}`);
    return this.#keys.seal(encodeEnvelope({ from: this.#options.nodeId, ...stamp, content }));
  }

  #queueFrame(host: string, port: number, sealed: Buffer): void {
    if (sealed.length > MOST_FRAME_BYTES) {
      this.drops.tooLarge += 1;
      return;
    }
    const to = `${host} ${port}`;
    const open = this.#framesTo.get(to);
    if (open !== undefined) {
      open.frames.push(sealed);
      return;
    }
    const queue = { host, port, frames: [sealed] };
    this.#framesTo.set(to, queue);
    queueMicrotask(() => {
      this.#framesTo.delete(to);
      this.#stream(queue.host, queue.port, queue.frames);
    });
  }

  #stream(host: string, port: number, frames: readonly Buffer[]): void {
    if (this.#udp === undefined) return;
    if (this.#streamsOut >= STREAMS_OUT) {
      this.drops.overload += frames.length;
      return;
    }
    const socket = net.connect({ host, port, localAddress: this.#options.bindAddress });
    this.#streamsOut += 1;
    this.#guard(socket, () => {
      this.#streamsOut -= 1;
    });
    socket.on('error', () => {
      this.drops.unsent += frames.length;
    });
    socket.resume();
    for (const frame of frames) for (const part of framed(frame)) socket.write(part);
    socket.end();
  }

  #accept(socket: net.Socket): void {
    const release = this.#streamsIn.admit(socket.remoteAddress ?? '');
    if (release === undefined) {
      this.drops.overload += 1;
      socket.destroy();
      return;
    }
    const reader = new FrameReader();
    let heldBytes = 0;
    const hold = (bytes: number): void => {
      this.#bufferedBytes += bytes - heldBytes;
      heldBytes = bytes;
    };
    this.#guard(socket, () => {
      hold(0);
      release();
    });
    socket.on('error', () => undefined);
    const source = { host: socket.remoteAddress ?? '', port: this.#options.port };
    socket.on('data', (part) => {
      const frames = reader.push(part);
      hold(reader.heldBytes);
      if (frames === undefined) this.drops.tooLarge += 1;
      else if (this.#bufferedBytes > BUFFERED_BYTES) this.drops.overload += 1;
      else if (frames.every((frame) => this.#open(frame, 'stream', source))) return;
      socket.destroy();
    });
    socket.on('end', () => socket.end());
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

  /** @returns false when the bytes are not from someone with a key of the swarm. */
  #open(sealed: Buffer, way: 'datagram' | 'stream', source: { host: string; port: number }): boolean {
    const bytes = this.#keys.open(sealed);
    if (bytes === undefined) {
      if (this.#keys.knowsKeyOf(sealed)) this.drops.unauthenticated += 1;
      else this.drops.unknownKey += 1;
      return false;
    }
    let envelope: Envelope;
    try {
      envelope = decodeEnvelope(bytes);
    } catch (error) {
      this.drops.malformed += 1;
      this.#modules.log.debug({ source, error: String(error) }, 'malformed gossip message dropped');
      return true;
    }
    const { from, session, counter, content } = envelope;
    if (this.#replays.accept(`${way} ${from} ${session}`, counter)) this.#modules.onContent(from, content, source);
    else this.drops.replayed += 1;
    return true;
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
