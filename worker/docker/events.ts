import { StringDecoder } from 'node:string_decoder';
import { type BackoffOptions, backoffDelayMs } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { Engine } from './engine.ts';

/** One line of `GET /events`, of a container or a network. */
export interface EngineEvent {
  type: string;
  /** `start`, `die`, `connect` …; for health `health_status: healthy`. */
  action: string;
  /** Of the container or network. */
  id: string;
  attributes: Record<string, string>;
  /** Nanoseconds since the epoch. */
  time: bigint;
}

export interface EventListener {
  event(event: EngineEvent): void;
  /** Events may have been missed: look at everything again. Called after each (re)connect, before newer events. */
  resync(): void;
}

export interface EngineEventsOptions {
  backoff: BackoffOptions;
}

export const DEFAULT_ENGINE_EVENTS_OPTIONS: EngineEventsOptions = {
  backoff: { minMs: 50, maxMs: 2_000, factor: 2, jitter: 0.3 },
};

type Stream = NodeJS.ReadableStream & { destroy(): void };

/** A line longer than this is no event; the connection is given up. */
const MAX_LINE = 1 << 20;

/**
 * The one event stream of this node's engine. It is reopened for as long as the engine is away, from the last event
 * seen on; what the engine forgot meanwhile is made good by `resync`. Events are hints to look, never the truth.
 */
export class EngineEvents implements Startable {
  readonly #options: EngineEventsOptions;
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #listeners = new Set<EventListener>();
  #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #connected = false;
  #last: bigint | undefined;

  constructor(options: EngineEventsOptions, modules: { engine: Engine; clock: Clock; random: Random; log: Log }) {
    this.#options = options;
    this.#engine = modules.engine;
    this.#clock = modules.clock;
    this.#random = modules.random;
    this.#log = modules.log.child({ module: 'worker/docker' });
  }

  /** True while the stream is open: the engine is there. */
  get connected(): boolean {
    return this.#connected;
  }

  /** @returns the unsubscribe. Listeners must not throw and must return at once. */
  subscribe(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Does not wait for the engine. */
  async start(): Promise<void> {
    if (this.#running !== undefined) return;
    this.#stopping = new AbortController();
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error('stopped'));
    await this.#running;
    this.#running = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      try {
        const stream = await this.#open(signal);
        failures = 0;
        this.#connected = true;
        this.#log.info({ engine: this.#engine.socketPath }, 'engine events connected');
        for (const listener of [...this.#listeners]) listener.resync();
        await this.#read(stream, signal);
      } catch (error) {
        if (!signal.aborted) this.#log.debug({ error: messageOf(error) }, 'engine events failed');
      }
      if (this.#connected) this.#log.warn({ engine: this.#engine.socketPath }, 'engine events disconnected');
      this.#connected = false;
      failures++;
      const delay = backoffDelayMs(this.#options.backoff, failures, this.#random());
      await sleep(this.#clock, delay, signal).catch(() => undefined);
    }
  }

  #open(signal: AbortSignal): Promise<Stream> {
    const since = this.#last === undefined ? {} : { since: secondsOf(this.#last) };
    return this.#engine.call(
      (docker, abortSignal) =>
        docker.getEvents({ ...since, filters: { type: ['container', 'network'] }, abortSignal }) as Promise<Stream>,
      { signal },
    );
  }

  async #read(stream: Stream, signal: AbortSignal): Promise<void> {
    const decoder = new StringDecoder('utf8');
    let rest = '';
    const onAbort = (): void => stream.destroy();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      for await (const chunk of stream) {
        const lines = (rest + decoder.write(chunk as Buffer)).split('\n');
        rest = lines.pop() ?? '';
        if (rest.length > MAX_LINE) throw new Error('an event has no end');
        for (const line of lines) if (line.trim() !== '') this.#emit(parseEvent(line));
      }
    } finally {
      signal.removeEventListener('abort', onAbort);
      stream.destroy();
    }
  }

  #emit(event: EngineEvent): void {
    if (this.#last === undefined || event.time > this.#last) this.#last = event.time;
    for (const listener of [...this.#listeners]) listener.event(event);
  }
}

/** @throws SyntaxError when the line is no JSON. */
export function parseEvent(line: string): EngineEvent {
  const raw = JSON.parse(line) as {
    Type?: string;
    Action?: string;
    Actor?: { ID?: string; Attributes?: Record<string, string> };
    time?: number;
  };
  return {
    type: raw.Type ?? '',
    action: raw.Action ?? '',
    id: raw.Actor?.ID ?? '',
    attributes: raw.Actor?.Attributes ?? {},
    time: timeOf(line, raw.time ?? 0),
  };
}

/** Nanoseconds do not fit into a double, so they are taken from the text. */
function timeOf(line: string, seconds: number): bigint {
  const nanos = /"timeNano":(\d+)/.exec(line)?.[1];
  return nanos === undefined ? BigInt(seconds) * 1_000_000_000n : BigInt(nanos);
}

/** What the engine takes for `since`, cut to the microseconds that a double holds: an event more is harmless. */
function secondsOf(time: bigint): number {
  return Number(time / 1_000n) / 1e6;
}
