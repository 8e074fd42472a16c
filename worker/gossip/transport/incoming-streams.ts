import type net from 'node:net';
import type { Clock } from '../../../proto/runtime/clock.ts';
import type { DropCounts } from './drop-counts.ts';
import { FrameReader } from './frame.ts';

export interface IncomingStreamsModules {
  clock: Clock;
  drops: DropCounts;
  /** @returns false when the frame is not from someone with a key of the swarm. */
  open: (frame: Buffer, host: string) => boolean;
}

const STREAMS = 64;
/** A node sends what it has for another in one turn by one stream. */
const STREAMS_PER_HOST = 16;
/** An honest one sends its first frame at once. */
const FIRST_FRAME_MS = 3_000;
const STREAM_MS = 10_000;
/** What all streams together may hold that is not yet authenticated. */
const HELD_BYTES = 32 * 1024 * 1024;

interface Stream {
  socket: net.Socket;
  host: string;
  heldBytes: number;
  /** It has sent a frame that authenticates. */
  proven: boolean;
  cancels: (() => void)[];
}

/**
 * Streams that others open, before anybody knows who they are. Bounded in number, in number from one address, in time and in memory. When
 * there are too many the one that has said nothing authentic for longest gives way, so silent strangers cannot keep nodes out.
 */
export class IncomingStreams {
  readonly #modules: IncomingStreamsModules;
  /** Oldest first. */
  readonly #streams = new Set<Stream>();
  #heldBytes = 0;

  constructor(modules: IncomingStreamsModules) {
    this.#modules = modules;
  }

  get size(): number {
    return this.#streams.size;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  accept(socket: net.Socket): void {
    const { clock, drops } = this.#modules;
    socket.on('error', () => undefined);
    const host = socket.remoteAddress ?? '';
    if (!this.#hasRoomFor(host)) {
      drops.overload += 1;
      socket.destroy();
      return;
    }
    const stream: Stream = { socket, host, heldBytes: 0, proven: false, cancels: [] };
    this.#streams.add(stream);
    const tooSlow = (): void => {
      drops.slow += 1;
      this.#end(stream);
    };
    stream.cancels.push(
      clock.after(FIRST_FRAME_MS, () => stream.proven || tooSlow()),
      clock.after(STREAM_MS, tooSlow),
    );
    socket.on('close', () => this.#end(stream));
    socket.on('end', () => socket.end());
    const reader = new FrameReader();
    socket.on('data', (part) => this.#read(stream, reader, part));
  }

  end(): void {
    for (const stream of this.#streams) this.#end(stream);
  }

  #hasRoomFor(host: string): boolean {
    let fromHost = 0;
    let silent: Stream | undefined;
    for (const stream of this.#streams) {
      if (stream.host === host) fromHost += 1;
      if (!stream.proven) silent ??= stream;
    }
    if (fromHost >= STREAMS_PER_HOST) return false;
    if (this.#streams.size < STREAMS) return true;
    if (silent === undefined) return false;
    this.#modules.drops.overload += 1;
    this.#end(silent);
    return true;
  }

  #read(stream: Stream, reader: FrameReader, part: Buffer): void {
    if (!this.#streams.has(stream)) return;
    const { drops, open } = this.#modules;
    const frames = reader.push(part);
    this.#hold(stream, reader.heldBytes);
    if (frames === undefined) drops.tooLarge += 1;
    else if (this.#heldBytes > HELD_BYTES) drops.overload += 1;
    else if (frames.every((frame) => open(frame, stream.host))) {
      stream.proven ||= frames.length > 0;
      return;
    }
    this.#end(stream);
  }

  #hold(stream: Stream, bytes: number): void {
    this.#heldBytes += bytes - stream.heldBytes;
    stream.heldBytes = bytes;
  }

  #end(stream: Stream): void {
    if (!this.#streams.delete(stream)) return;
    this.#hold(stream, 0);
    for (const cancel of stream.cancels) cancel();
    stream.socket.destroy();
  }
}
