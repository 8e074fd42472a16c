import { EventEmitter } from 'node:events';
import type { ClientWritableStream } from '@grpc/grpc-js';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../../../manager/raft/core/message.ts';
import { PeerSender, type PeerSenderOptions } from '../../../../manager/raft/peer-sender.ts';
import type { waggle } from '../../../../proto/gen/raft.js';
import { entry } from './core/core-fixture.ts';

type Batch = waggle.raft.IMessageBatch;

/** A gRPC stream that takes what it is told to. */
class FakeStream extends EventEmitter {
  readonly written: Batch[] = [];
  takes = Number.POSITIVE_INFINITY;
  cancelled = false;

  write(batch: Batch): boolean {
    this.written.push(batch);
    return this.written.length < this.takes;
  }

  cancel(): void {
    this.cancelled = true;
  }

  /** The peer takes `more` again. */
  drain(more: number): void {
    this.takes = this.written.length + more;
    this.emit('drain');
  }
}

const beat = (context: number): Message => ({ type: 'heartbeat', from: 1, to: 2, term: 1, commit: 0, context });
const append = (index: number, bytes: number): Message => ({
  type: 'append',
  from: 1,
  to: 2,
  term: 1,
  prevIndex: index - 1,
  prevTerm: 1,
  commit: 0,
  entries: [{ ...entry(index, 1), data: Buffer.alloc(bytes) }],
});

function sender(options: Partial<PeerSenderOptions> = {}, takes = Number.POSITIVE_INFINITY) {
  const streams: FakeStream[] = [];
  const ends: ((error: Error | null) => void)[] = [];
  const broken: string[] = [];
  const made = new PeerSender(
    { maxQueued: 4, maxQueuedBytes: 10_000, maxBatchBytes: 3000, ...options },
    (onEnd) => {
      const stream = new FakeStream();
      stream.takes = takes;
      streams.push(stream);
      ends.push(onEnd);
      return stream as unknown as ClientWritableStream<Batch>;
    },
    (error) => broken.push(error.message),
  );
  const sent = (): (number | null | undefined)[] =>
    streams.flatMap(({ written }) =>
      written.flatMap(({ messages }) => messages?.map(({ context, index }) => context || index) ?? []),
    );
  return { made, streams, ends, broken, sent };
}

describe('PeerSender', () => {
  it('opens one stream and keeps the order', () => {
    const { made, streams, sent } = sender();
    for (const context of [1, 2, 3]) made.send(beat(context));
    expect([streams.length, sent()]).toEqual([1, [1, 2, 3]]);
  });

  it('drops the oldest messages while the peer takes none', () => {
    const { made, streams, sent } = sender({}, 1);
    for (const context of [1, 2, 3, 4, 5, 6, 7]) made.send(beat(context));
    expect([sent(), made.dropped]).toEqual([[1], 2]);
    streams[0]?.drain(10);
    expect(sent()).toEqual([1, 4, 5, 6, 7]);
  });

  it('bounds the bytes that wait as well', () => {
    const { made, streams, sent } = sender({ maxQueued: 100 }, 1);
    for (const index of [1, 2, 3, 4, 5, 6]) made.send(append(index, 2900));
    expect(made.dropped).toBe(2);
    streams[0]?.drain(10);
    expect(sent()).toEqual([0, 3, 4, 5]);
  });

  it('puts what waits together, up to a limit, and one message at least', () => {
    const { made, streams } = sender({ maxQueued: 100, maxQueuedBytes: 100_000 }, 1);
    made.send(beat(1));
    for (const index of [1, 2, 3]) made.send(append(index, 1000));
    made.send(append(4, 8000));
    streams[0]?.drain(10);
    expect(streams[0]?.written.map(({ messages }) => messages?.length)).toEqual([1, 2, 1, 1]);
  });

  it('tells that a stream broke, once, drops what waited, and opens another one for the next message', () => {
    const { made, streams, ends, broken, sent } = sender({}, 1);
    for (const context of [1, 2, 3]) made.send(beat(context));
    streams[0]?.emit('error', new Error('reset'));
    ends[0]?.(new Error('again'));
    expect([broken, made.dropped]).toEqual([['reset'], 2]);
    made.send(beat(9));
    expect([streams.length, sent()]).toEqual([2, [1, 9]]);
  });

  it('takes the end of a stream for a break: the peer has no reason to end it', () => {
    const { made, ends, broken } = sender();
    made.send(beat(1));
    ends[0]?.(null);
    expect(broken.length).toBe(1);
  });

  it('does not mind what becomes of a stream that it has closed', () => {
    const { made, streams, broken } = sender();
    made.send(beat(1));
    made.close();
    streams[0]?.emit('error', new Error('cancelled'));
    expect([streams[0]?.cancelled, broken]).toEqual([true, []]);
  });

  it('says in the first message of each stream where the sender is', () => {
    const { made, streams } = sender({ address: 'here:2377' });
    made.send(beat(1));
    made.send(beat(2));
    streams[0]?.emit('error', new Error('reset'));
    made.send(beat(3));
    expect(streams.map(({ written }) => written.map(({ address }) => address))).toEqual([
      ['here:2377', undefined],
      ['here:2377'],
    ]);
  });
});
