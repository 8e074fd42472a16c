import type { ServerResponse } from 'node:http';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { sendJson } from './exchange.ts';

/** Said for what has no answer when the time for answers is over. */
const STOPPED = 'the daemon is stopping: the request may or may not have been carried out';

/**
 * What clients wait for, and how it comes to an end when the server stops: streams without an end of their own are ended as if they had one,
 * all else has a moment for its answer, and what then still has none is told so.
 */
export class OpenExchanges {
  readonly #clock: Clock;
  readonly #responses = new Set<ServerResponse>();
  readonly #joined = new Set<object>();
  readonly #endless = new Set<() => void>();
  #isEnding = false;
  #onSettled: (() => void) | undefined;

  constructor(modules: { clock: Clock }) {
    this.#clock = modules.clock;
  }

  /** Of a server that starts, once more perhaps. */
  open(): void {
    this.#isEnding = false;
  }

  add(res: ServerResponse): void {
    this.#responses.add(res);
    if (this.#isEnding) res.shouldKeepAlive = false;
    res.once('close', () => {
      this.#responses.delete(res);
      this.#look();
    });
  }

  /** A connection that is joined with one to the engine. @returns says that it has ended. */
  join(): () => void {
    const joined = {};
    this.#joined.add(joined);
    return () => {
      this.#joined.delete(joined);
      this.#look();
    };
  }

  /** @param end ends an answer that would go on for as long as the client likes; called at once when the time has come. */
  addEndless(res: ServerResponse, end: () => void): void {
    if (this.#isEnding) return end();
    this.#endless.add(end);
    res.once('close', () => this.#endless.delete(end));
  }

  /** From now on every answer is the last one on its connection, and nothing goes on without end. */
  beginToEnd(): void {
    this.#isEnding = true;
    for (const res of this.#responses) if (!res.headersSent) res.shouldKeepAlive = false;
    for (const end of [...this.#endless]) end();
  }

  /** Resolves when everything has been answered, with the truth that there is no answer if need be, after `timeoutMs` at the latest. */
  async ended(timeoutMs: number): Promise<void> {
    const settled = new Promise<void>((resolve) => (this.#onSettled = resolve));
    const late = new AbortController();
    this.#look();
    await Promise.race([settled, sleep(this.#clock, timeoutMs, late.signal).catch(() => undefined)]);
    late.abort(new Error('everything is answered'));
    this.#onSettled = undefined;
    for (const res of this.#responses) sendJson(res, 503, { message: STOPPED });
  }

  #look(): void {
    if (this.#responses.size === 0 && this.#joined.size === 0) this.#onSettled?.();
  }
}
