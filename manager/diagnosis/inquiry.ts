import { waggle } from '../../proto/gen/diagnosis.js';
import type { Question } from '../../proto/objects/diagnosis/question.ts';
import type { Caller } from '../../proto/rpc/caller.ts';
import type { ResponseStream } from '../../proto/rpc/gate.ts';
import { unpackJson } from '../../proto/rpc/json-gzip.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';

type QuestionMessage = waggle.diagnosis.Question;

/** Questions that may wait for one node; a swarm of users who check at the same time is refused before the node is. */
const MAX_OPEN_PER_NODE = 64;

export interface Answer {
  id: number;
  answerGzip: Uint8Array;
  error: string;
}

interface Waiting {
  nodeId: string;
  settle(outcome: { answer: Uint8Array } | { error: Error }): void;
}

/** A node's open stream: messages on their way to it, and how it ends. */
interface Listener {
  queue: QuestionMessage[];
  wake: () => void;
  end: Error | undefined;
}

/**
 * Questions to nodes over the streams that they keep open. Leader only: between `stop` and `start` nobody may listen
 * and nobody is asked. A node has at most one stream, the newest; a question is answered once, by the node it went to.
 */
export class Inquiry implements Startable {
  readonly #clock: Clock;
  readonly #listeners = new Map<string, Listener>();
  readonly #waiting = new Map<number, Waiting>();
  #running = false;
  #lastId = 0;

  constructor(modules: { clock: Clock }) {
    this.#clock = modules.clock;
  }

  start(): Promise<void> {
    this.#running = true;
    return Promise.resolve();
  }

  stop(): Promise<void> {
    this.#running = false;
    for (const listener of this.#listeners.values()) end(listener, notLeading());
    for (const waiting of [...this.#waiting.values()]) waiting.settle({ error: notLeading() });
    return Promise.resolve();
  }

  /** Sends the node its questions until it is gone; always throws in the end. */
  async listen(caller: Caller, stream: ResponseStream<QuestionMessage>): Promise<never> {
    if (!this.#running) throw notLeading();
    const { nodeId } = caller;
    const before = this.#listeners.get(nodeId);
    if (before !== undefined) end(before, new WaggleError('aborted', 'a newer stream of this node was opened'));
    const listener: Listener = { queue: [], wake: () => undefined, end: undefined };
    this.#listeners.set(nodeId, listener);
    const onAbort = (): void => end(listener, stream.signal.reason as Error);
    stream.signal.addEventListener('abort', onAbort, { once: true });
    if (stream.signal.aborted) onAbort();
    try {
      for (;;) {
        if (listener.end !== undefined) throw listener.end;
        const message = listener.queue.shift();
        if (message !== undefined) await stream.write(message);
        else await new Promise<void>((resolve) => (listener.wake = resolve));
      }
    } finally {
      stream.signal.removeEventListener('abort', onAbort);
      if (this.#listeners.get(nodeId) === listener) this.#forget(nodeId);
    }
  }

  /** A node's answer. Late ones, and those to questions that others were asked, are dropped. */
  answered(caller: Caller, answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined || waiting.nodeId !== caller.nodeId) return;
    if (answer.error === '') waiting.settle({ answer: answer.answerGzip });
    else waiting.settle({ error: new WaggleError('unknown', answer.error) });
  }

  /**
   * @returns the node's answer, not yet checked for its shape.
   * @throws WaggleError unavailable (not connected, or gone meanwhile), deadline-exceeded, resource-exhausted,
   * invalid-argument (no JSON), unknown with the node's own words.
   */
  async ask(nodeId: string, question: Question, timeoutMs: number): Promise<unknown> {
    const listener = this.#listeners.get(nodeId);
    if (!this.#running) throw notLeading();
    if (listener === undefined) throw new WaggleError('unavailable', 'the node has no session with the leader');
    const open = [...this.#waiting.values()].filter((waiting) => waiting.nodeId === nodeId).length;
    // What nobody waits for any more may still be on its way to a node that reads slowly.
    if (Math.max(open, listener.queue.length) >= MAX_OPEN_PER_NODE)
      throw new WaggleError('resource-exhausted', 'too many questions wait for the node');
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    let cancel: CancelTimer = () => undefined;
    this.#waiting.set(id, {
      nodeId,
      settle: (outcome) => {
        cancel();
        this.#waiting.delete(id);
        if ('answer' in outcome) resolve(outcome.answer);
        else reject(outcome.error);
      },
    });
    cancel = this.#clock.after(timeoutMs, () => {
      const error = new WaggleError('deadline-exceeded', `no answer within ${Math.round(timeoutMs / 1000)} s`);
      this.#waiting.get(id)?.settle({ error });
    });
    const questionJson = Buffer.from(JSON.stringify(question));
    listener.queue.push(waggle.diagnosis.Question.create({ id, questionJson }));
    listener.wake();
    return unpackJson(await promise);
  }

  #forget(nodeId: string): void {
    this.#listeners.delete(nodeId);
    const error = new WaggleError('unavailable', 'the node has lost its session with the leader');
    for (const waiting of [...this.#waiting.values()]) if (waiting.nodeId === nodeId) waiting.settle({ error });
  }
}

function end(listener: Listener, reason: Error): void {
  listener.end ??= reason;
  listener.wake();
}

function notLeading(): WaggleError {
  return new WaggleError('unavailable', 'this manager does not lead the swarm');
}
