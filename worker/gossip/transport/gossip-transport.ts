import dgram from 'node:dgram';
import net from 'node:net';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import type { Content, Envelope } from './envelope.ts';
import { type DropCounts, noDrops } from './drop-counts.ts';
import { framed, MOST_FRAME_BYTES } from './frame.ts';
import { IncomingStreams } from './incoming-streams.ts';
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

const DATAGRAM_BYTES = 1_400;
const STREAM_MS = 10_000;
/** To nodes that are gone: with a probe in 125 ms there are 24 of them. */
const CONNECT_MS = 3_000;
const STREAMS_OUT = 64;

/**
 * Sealed content over UDP, and as frames of a TCP stream when larger than a datagram of 1400 bytes or when it asks for one. What
 * is sent to one node in one turn shares a stream, so it arrives in order. Best effort: what cannot be sent is counted and
 * dropped; the cores repeat what matters. Without keys nothing is sent or accepted. A stream ends at its first frame that does not authenticate.
 */
export class GossipTransport implements Startable {
  readonly drops: DropCounts = noDrops();
  readonly #options: GossipTransportOptions;
  readonly #modules: GossipTransportModules;
  readonly #keys = new KeyRing();
  readonly #replays = new ReplayWindow();
  readonly #counters: SendCounters;
  readonly #incoming: IncomingStreams;
  readonly #outgoing = new Set<net.Socket>();
  readonly #framesTo = new Map<string, { host: string; port: number; frames: Buffer[] }>();
  #udp: dgram.Socket | undefined;
  #tcp: net.Server | undefined;

  constructor(options: GossipTransportOptions, modules: GossipTransportModules) {
    this.#options = options;
    this.#modules = modules;
    this.#counters = new SendCounters(modules.random);
    const { port } = options;
    const open = (frame: Buffer, host: string): boolean => this.#open(frame, 'stream', { host, port });
    this.#incoming = new IncomingStreams({ clock: modules.clock, drops: this.drops, open });
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
    const tcp = net.createServer((socket) => this.#incoming.accept(socket));
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
    this.#incoming.end();
    for (const socket of this.#outgoing) socket.destroy();
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
    if (this.#outgoing.size >= STREAMS_OUT) {
      this.drops.overload += frames.length;
      return;
    }
    const socket = net.connect({ host, port, localAddress: this.#options.bindAddress });
    this.#outgoing.add(socket);
    const { clock } = this.#modules;
    const late = new Error('takes too long');
    const cancels = [
      clock.after(CONNECT_MS, () => socket.connecting && socket.destroy(late)),
      clock.after(STREAM_MS, () => socket.destroy(late)),
    ];
    socket.on('close', () => {
      for (const cancel of cancels) cancel();
      this.#outgoing.delete(socket);
    });
    socket.on('error', () => {
      this.drops.unsent += frames.length;
    });
    socket.resume();
    for (const frame of frames) for (const part of framed(frame)) socket.write(part);
    socket.end();
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
