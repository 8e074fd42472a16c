import type { ClientWritableStream } from '@grpc/grpc-js';
import type { waggle } from '../../proto/gen/raft.js';
import type { Message } from './core/message.ts';
import { entryBytes } from './core/entry.ts';
import { toWire } from './wire.ts';

type Batch = waggle.raft.IMessageBatch;

export interface PeerSenderOptions {
  /** Beyond either, the oldest messages are dropped: what Raft still needs of them, it sends again. */
  maxQueued: number;
  maxQueuedBytes: number;
  /** One message of the stream holds about this much. */
  maxBatchBytes: number;
  /** host:port at which this member is reached: the first message of each stream tells the peer. */
  address?: string;
}

export const DEFAULT_PEER_SENDER_OPTIONS: PeerSenderOptions = {
  maxQueued: 4096,
  maxQueuedBytes: 32 * 1024 * 1024,
  maxBatchBytes: 1024 * 1024,
};

const ENVELOPE_BYTES = 64;

/**
 * One stream of messages to one peer: a bounded queue in front of a gRPC client stream, emptied as fast as the peer takes it.
 * A stream that broke is opened again with the next message; what was queued before that is dropped with it.
 */
export class PeerSender {
  readonly #options: PeerSenderOptions;
  readonly #open: (onEnd: (error: Error | null) => void) => ClientWritableStream<Batch>;
  readonly #onBroken: (error: Error) => void;
  #queue: { message: Message; bytes: number }[] = [];
  #queuedBytes = 0;
  #stream: ClientWritableStream<Batch> | undefined;
  #blocked = false;
  #dropped = 0;

  /** @param open begins the call. @param onBroken told each time that a stream breaks. */
  constructor(
    options: PeerSenderOptions,
    open: (onEnd: (error: Error | null) => void) => ClientWritableStream<Batch>,
    onBroken: (error: Error) => void,
  ) {
    this.#options = options;
    this.#open = open;
    this.#onBroken = onBroken;
  }

  /** Messages that were never sent, for the metrics. */
  get dropped(): number {
    return this.#dropped;
  }

  send(message: Message): void {
    const entries = message.type === 'append' ? message.entries : [];
    const bytes = entries.reduce((sum, entry) => sum + entryBytes(entry), ENVELOPE_BYTES);
    this.#queue.push({ message, bytes });
    this.#queuedBytes += bytes;
    while (this.#queue.length > this.#options.maxQueued || this.#queuedBytes > this.#options.maxQueuedBytes) {
      const oldest = this.#queue.shift();
      if (oldest === undefined) break;
      this.#queuedBytes -= oldest.bytes;
      this.#dropped++;
    }
    this.#flush();
  }

  close(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#clear();
    stream?.cancel();
  }

  #flush(): void {
    while (!this.#blocked && this.#queue.length > 0) {
      const isFirst = this.#stream === undefined;
      const stream = (this.#stream ??= this.#begin());
      const batch: Batch = { messages: this.#takeBatch().map(toWire) };
      if (isFirst && this.#options.address !== undefined) batch.address = this.#options.address;
      if (!stream.write(batch)) this.#blocked = true;
    }
  }

  #takeBatch(): Message[] {
    let bytes = 0;
    let count = 0;
    for (const queued of this.#queue) {
      bytes += queued.bytes;
      if (count > 0 && bytes > this.#options.maxBatchBytes) break;
      count++;
    }
    const batch = this.#queue.splice(0, count);
    this.#queuedBytes -= batch.reduce((sum, queued) => sum + queued.bytes, 0);
    return batch.map(({ message }) => message);
  }

  #begin(): ClientWritableStream<Batch> {
    const stream = this.#open((error) => this.#ended(stream, error ?? new Error('the peer ended the stream')));
    stream.on('error', (error: Error) => this.#ended(stream, error));
    stream.on('drain', () => {
      if (this.#stream !== stream) return;
      this.#blocked = false;
      this.#flush();
    });
    return stream;
  }

  #ended(stream: ClientWritableStream<Batch>, error: Error): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#clear();
    this.#onBroken(error);
  }

  #clear(): void {
    this.#dropped += this.#queue.length;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#blocked = false;
  }
}
