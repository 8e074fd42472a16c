import { describe, expect, it } from 'vitest';
import { ProposalQueue, type ProposalQueueOptions } from '../../../../manager/raft/proposal-queue.ts';

const queueOf = (options: Partial<ProposalQueueOptions> = {}): ProposalQueue =>
  new ProposalQueue({ maxWaiting: 10, maxWaitingBytes: 1000, maxBatchBytes: 100, maxBatches: 1, ...options });

const add = (queue: ProposalQueue, text: string, reject: (error: Error) => void = () => undefined): boolean =>
  queue.add({ data: Buffer.from(text), resolve: () => undefined, reject });

const texts = (queue: ProposalQueue): string[] => queue.take().map(({ data }) => Buffer.from(data).toString());

describe('ProposalQueue', () => {
  it('gathers what comes while a batch is on its way', () => {
    const queue = queueOf();
    add(queue, 'a');
    expect(texts(queue)).toEqual(['a']);
    queue.begun(5);
    add(queue, 'b');
    add(queue, 'c');
    expect(texts(queue)).toEqual([]);
    queue.applied(4);
    expect(texts(queue)).toEqual([]);
    queue.applied(5);
    expect(texts(queue)).toEqual(['b', 'c']);
  });

  it('lets as many batches go ahead as it may', () => {
    const queue = queueOf({ maxBatches: 2 });
    for (const [text, index] of [
      ['a', 5],
      ['b', 6],
    ] as const) {
      add(queue, text);
      expect(texts(queue)).toEqual([text]);
      queue.begun(index);
    }
    add(queue, 'c');
    expect(texts(queue)).toEqual([]);
    queue.applied(6);
    expect(texts(queue)).toEqual(['c']);
  });

  it('cuts batches by bytes, one proposal at least', () => {
    const queue = queueOf();
    for (const text of ['x'.repeat(300), 'y'.repeat(60), 'z'.repeat(40), 'w']) add(queue, text);
    expect([texts(queue), texts(queue), texts(queue)].map((batch) => batch.map((text) => text.length))).toEqual([
      [300],
      [60, 40],
      [1],
    ]);
  });

  it('takes no more than it may hold, but one proposal of any size', () => {
    const queue = queueOf({ maxWaiting: 3 });
    expect(add(queue, 'x'.repeat(2000))).toBe(true);
    expect(add(queue, 'a')).toBe(false);
    expect(queue.take()).toHaveLength(1);
    expect([add(queue, 'a'), add(queue, 'b'), add(queue, 'c'), add(queue, 'd')]).toEqual([true, true, true, false]);
    expect(queue.size).toBe(3);
  });

  it('forgets everything when it is abandoned, and says so to whoever waits', () => {
    const queue = queueOf();
    const errors: Error[] = [];
    add(queue, 'a');
    queue.take();
    queue.begun(9);
    add(queue, 'b', (error) => errors.push(error));
    queue.abandon(new Error('no leader'));
    expect(errors.map(({ message }) => message)).toEqual(['no leader']);
    add(queue, 'c');
    expect(texts(queue)).toEqual(['c']);
  });
});
