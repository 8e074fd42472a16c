import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ResponseStream } from '../../proto/rpc/gate.ts';

const MAX_WAITING = 1000;

/** Messages on their way to one stream, in order. A peer that reads too slowly loses the stream, not a message. */
export class Outbox<Message> {
  #waiting: Message[] = [];
  #wake: (() => void) | undefined;
  #ended: Error | undefined;

  put(message: Message): void {
    if (this.#waiting.length >= MAX_WAITING) {
      this.end(new WaggleError('resource-exhausted', 'the node reads its assignments too slowly'));
      return;
    }
    this.#waiting.push(message);
    this.#wake?.();
  }

  /** Makes `drainTo` fail with `reason`; what waits is dropped. */
  end(reason: Error): void {
    this.#ended ??= reason;
    this.#wake?.();
  }

  /** Writes until the peer is gone or `end` is called; always throws in the end. */
  async drainTo(stream: ResponseStream<Message>): Promise<never> {
    const onAbort = (): void => this.end(stream.signal.reason as Error);
    if (stream.signal.aborted) onAbort();
    stream.signal.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        if (this.#ended !== undefined) throw this.#ended;
        const message = this.#waiting.shift();
        if (message !== undefined) await stream.write(message);
        else await this.#somethingNew();
      }
    } finally {
      stream.signal.removeEventListener('abort', onAbort);
    }
  }

  #somethingNew(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = () => {
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
