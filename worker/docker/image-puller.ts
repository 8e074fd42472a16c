import { StringDecoder } from 'node:string_decoder';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { isNotFound } from './engine-error.ts';
import type { Engine } from './engine.ts';
import { type ImageReference, imageReferenceText } from './image-reference.ts';

export interface ImagePullerOptions {
  /** A pull that reports nothing for so long is given up. */
  idleTimeoutMs: number;
}

export const DEFAULT_IMAGE_PULLER_OPTIONS: ImagePullerOptions = { idleTimeoutMs: 120_000 };

interface Flight {
  done: Promise<void>;
  controller: AbortController;
  waiters: number;
}

/** Pulls images; callers that want the same one with the same credentials share one pull. */
export class ImagePuller {
  readonly #options: ImagePullerOptions;
  readonly #engine: Engine;
  readonly #clock: Clock;
  readonly #flights = new Map<string, Flight>();

  constructor(options: ImagePullerOptions, modules: { engine: Engine; clock: Clock }) {
    this.#options = options;
    this.#engine = modules.engine;
    this.#clock = modules.clock;
  }

  /** True when the engine has this very image; with a digest, exactly that content. */
  async isLocal(reference: ImageReference, signal: AbortSignal): Promise<boolean> {
    const name =
      reference.digest === undefined ? imageReferenceText(reference) : `${reference.name}@${reference.digest}`;
    try {
      await this.#engine.call((docker) => docker.getImage(name).inspect(), { signal });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /**
   * @param registryAuth value of X-Registry-Auth.
   * @throws WaggleError in the engine's words; `unavailable` or `deadline-exceeded` when nobody knows how it ended.
   * The pull goes on as long as one caller is waiting for it.
   */
  async pull(reference: ImageReference, registryAuth: string | undefined, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const key = `${imageReferenceText(reference)} ${registryAuth ?? ''}`;
    const flight = this.#flights.get(key) ?? this.#begin(key, reference, registryAuth);
    flight.waiters++;
    let onAbort: () => void = () => undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(signal.reason as Error);
      signal.addEventListener('abort', onAbort, { once: true });
    });
    try {
      await Promise.race([flight.done, aborted]);
    } finally {
      signal.removeEventListener('abort', onAbort);
      flight.waiters--;
      if (flight.waiters === 0) flight.controller.abort(new WaggleError('aborted', 'nobody waits for this image'));
    }
  }

  #begin(key: string, reference: ImageReference, registryAuth: string | undefined): Flight {
    const controller = new AbortController();
    const done = this.#run(reference, registryAuth, controller.signal).finally(() => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    const flight: Flight = { done, controller, waiters: 0 };
    // A new caller must not join a pull that was given up.
    controller.signal.addEventListener('abort', () => {
      if (this.#flights.get(key) === flight) this.#flights.delete(key);
    });
    this.#flights.set(key, flight);
    return flight;
  }

  async #run(reference: ImageReference, registryAuth: string | undefined, signal: AbortSignal): Promise<void> {
    const query = { fromImage: reference.name, tag: reference.digest ?? reference.tag ?? 'latest' };
    const stream = await this.#engine.call(
      (docker, abortSignal) =>
        docker.createImage(registryAuth === undefined ? {} : { base64: registryAuth }, { ...query, abortSignal }),
      { signal, timeoutMs: this.#options.idleTimeoutMs },
    );
    await this.#follow(stream, signal);
  }

  /** The engine answers 200 at once; whether it went well is in the stream. */
  async #follow(stream: NodeJS.ReadableStream, signal: AbortSignal): Promise<void> {
    const lines = new ProgressLines();
    await new Promise<void>((resolve, reject) => {
      let cancel = (): void => undefined;
      const finish = (error?: unknown): void => {
        cancel();
        signal.removeEventListener('abort', onAbort);
        (stream as NodeJS.ReadableStream & { destroy(): void }).destroy();
        if (error === undefined) resolve();
        else reject(error as Error);
      };
      const onAbort = (): void => finish(signal.reason);
      const watch = (): void => {
        cancel();
        cancel = this.#clock.after(this.#options.idleTimeoutMs, () =>
          finish(new WaggleError('deadline-exceeded', 'the Docker Engine reports no progress of the pull')),
        );
      };
      signal.addEventListener('abort', onAbort, { once: true });
      stream.on('data', (chunk: Buffer) => {
        watch();
        lines.add(chunk);
      });
      stream.on('end', () => finish(lines.failure()));
      stream.on('error', (error: Error) => finish(broken(error.message)));
      stream.on('close', () => finish(broken('closed')));
      watch();
    });
  }
}

function broken(why: string): WaggleError {
  return new WaggleError('unavailable', `the connection to the Docker Engine broke during a pull: ${why}`);
}

/** JSON messages of a pull, one per line; only the last error among them matters. */
class ProgressLines {
  readonly #decoder = new StringDecoder('utf8');
  #rest = '';
  #error: string | undefined;

  add(chunk: Buffer): void {
    const lines = (this.#rest + this.#decoder.write(chunk)).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#read(line);
  }

  failure(): WaggleError | undefined {
    this.#read(this.#rest);
    return this.#error === undefined ? undefined : new WaggleError('not-found', this.#error);
  }

  #read(line: string): void {
    if (!line.includes('"error"')) return;
    const message = JSON.parse(line) as { error?: string };
    if (typeof message.error === 'string') this.#error = message.error;
  }
}
