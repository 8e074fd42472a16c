import type { IncomingMessage, ServerResponse } from 'node:http';
import { StringDecoder } from 'node:string_decoder';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import type { NetworkMapping } from './backend.ts';
import type { EventLog } from './event-log.ts';
import { type EventMessage, encodeEvent } from './event-message.ts';
import { rewriteIds } from './id-rewriter.ts';
import { TWIN_DRIVER } from './swarm-networks.ts';

/** How long past messages wait for older ones of the engine, so that the two come out in order. */
const SETTLE_MS = 100;
/** Swarm messages kept for a client that does not read; beyond that it is cut off, and must ask again with `since`. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;

interface Options {
  res: ServerResponse;
  upstream: IncomingMessage;
  mappings: () => readonly NetworkMapping[];
}

/**
 * One client of `/events`. Writes whole lines only; reads the engine no faster than the client reads; ends with the
 * engine's stream (which knows `until`), and lets go of the engine when the client leaves.
 */
export class EventStream {
  readonly #res: ServerResponse;
  readonly #upstream: IncomingMessage;
  readonly #mappings: () => readonly NetworkMapping[];
  readonly #events: EventLog;
  readonly #clock: Clock;
  readonly #decoder = new StringDecoder('utf8');
  /** The start of a line whose end has not come yet. */
  #partial = '';
  /** Past swarm messages not yet written, oldest first. */
  #held: EventMessage[] = [];
  #release: (() => void) | undefined;

  constructor(options: Options, modules: { events: EventLog; clock: Clock }) {
    this.#res = options.res;
    this.#upstream = options.upstream;
    this.#mappings = options.mappings;
    this.#events = modules.events;
    this.#clock = modules.clock;
  }

  /** @param past whether messages from before now are wanted. */
  run(wanted: (event: EventMessage) => boolean, past: boolean): void {
    if (past) this.#held = this.#events.kept().filter(wanted);
    const unsubscribe = this.#events.subscribe((event) => {
      if (!wanted(event)) return;
      if (this.#held.length > 0) this.#held.push(event);
      else this.#write(encodeEvent(event));
    });
    const cancelTimer: CancelTimer = this.#clock.after(SETTLE_MS, () => this.#flushHeld(undefined));
    this.#release = () => {
      unsubscribe();
      cancelTimer();
      this.#held = [];
    };
    this.#upstream.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#upstream.on('end', () => this.end());
    this.#upstream.on('error', () => this.#res.destroy());
    this.#res.on('drain', () => this.#upstream.resume());
    this.#res.on('close', () => {
      this.#release?.();
      this.#upstream.destroy();
    });
  }

  #onData(chunk: Buffer): void {
    const lines = (this.#partial + this.#decoder.write(chunk)).split('\n');
    this.#partial = lines.pop() ?? '';
    for (const line of lines) this.#onLine(line);
  }

  #onLine(line: string): void {
    if (this.#held.length > 0) this.#flushHeld(nanosOfLine(line));
    const shown = rewriteLine(line, this.#mappings());
    if (shown !== undefined && !this.#write(`${shown}\n`)) this.#upstream.pause();
  }

  /** What has come so far is all. */
  end(): void {
    this.#flushHeld(undefined);
    this.#release?.();
    this.#res.end(this.#partial);
  }

  /** Writes what is not younger than `untilNanos`; everything when that is undefined. */
  #flushHeld(untilNanos: bigint | undefined): void {
    while (this.#held[0] !== undefined && (untilNanos === undefined || this.#held[0].timeNanos <= untilNanos)) {
      this.#write(encodeEvent(this.#held[0]));
      this.#held = this.#held.slice(1);
    }
  }

  #write(text: string): boolean {
    if (this.#res.writableLength > MAX_UNSENT_BYTES) this.#res.destroy();
    const isOpen = !this.#res.destroyed && !this.#res.writableEnded;
    return isOpen && this.#res.write(text);
  }
}

interface EngineEvent {
  Type?: string;
  Action?: string;
  Actor?: { ID?: string; Attributes?: Record<string, string> };
}

/**
 * A line of the engine's as the client may see it: local twins pass for the swarm's overlay networks. Undefined for
 * the making and unmaking of a twin that stands for nothing now.
 */
export function rewriteLine(line: string, mappings: readonly NetworkMapping[]): string | undefined {
  if (!line.includes(`"type":"${TWIN_DRIVER}"`)) return rewriteIds(line, mappings);
  const event = JSON.parse(line) as EngineEvent;
  if (event.Type !== 'network') return rewriteIds(line, mappings);
  const isKnown = mappings.some((mapping) => mapping.localId === event.Actor?.ID);
  if (!isKnown && (event.Action === 'create' || event.Action === 'destroy')) return undefined;
  return rewriteIds(line, mappings).replace(`"type":"${TWIN_DRIVER}"`, '"type":"overlay"');
}

function nanosOfLine(line: string): bigint | undefined {
  const digits = /"timeNano":(\d+)/.exec(line)?.[1];
  return digits === undefined ? 0n : BigInt(digits);
}
