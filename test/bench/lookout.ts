import type { ChildProcessWithoutNullStreams } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { type CancelTimer, systemClock } from '../../proto/runtime/clock.ts';
import type { Place } from './place.ts';
import { type Sighting, sighting, WATCHING, type WatchKind } from './probe/watch-protocol.ts';

const PROGRAM = path.join(import.meta.dirname, 'probe/watch.ts');
const TIMEOUT_MS = 30_000;
const MOST_WORDS = 4_000;

interface Waiting {
  resolve: (atMs: number) => void;
  reject: (error: Error) => void;
  cancel: CancelTimer;
}

/** A program in a container's network that tells, to two milliseconds, when addresses and names come and go there. */
export class Lookout {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #closed: Promise<void>;
  readonly #waiting = new Map<string, Waiting>();
  #words = '';

  private constructor(child: ChildProcessWithoutNullStreams) {
    this.#child = child;
    child.stderr.on('data', (chunk: Buffer) => (this.#words = (this.#words + chunk.toString()).slice(-MOST_WORDS)));
    child.on('error', (error) => (this.#words += error.message));
    this.#closed = new Promise((resolve) => {
      child.on('close', () => {
        this.#failAll();
        resolve();
      });
    });
  }

  /** Resolves once it watches. @throws Error in the program's words. */
  static async open(place: Place): Promise<Lookout> {
    const child = place.open([process.execPath, '--disable-warning=ExperimentalWarning', PROGRAM]);
    const lookout = new Lookout(child);
    await new Promise<void>((resolve, reject) => {
      createInterface(child.stdout).on('line', (line) => {
        if (line === WATCHING) resolve();
        else lookout.#receive(sighting.parse(JSON.parse(line)));
      });
      void lookout.#closed.then(() => reject(new Error(`the lookout ended: ${lookout.#words}`)));
    });
    return lookout;
  }

  /** When it was seen, on the machine's monotonic clock (`machineMs`). One at a time of a kind and target. @throws Error after 30 s without. */
  watch(kind: WatchKind, target: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const key = keyOf({ kind, target });
      const cancel = systemClock.after(TIMEOUT_MS, () => {
        this.#waiting.delete(key);
        reject(new Error(`no ${kind} of ${target} in ${TIMEOUT_MS} ms`));
      });
      this.#waiting.set(key, { resolve, reject, cancel });
      this.#child.stdin.write(`${JSON.stringify({ kind, target })}\n`);
    });
  }

  async close(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
  }

  #receive({ kind, target, atMs }: Sighting): void {
    const waiting = this.#waiting.get(keyOf({ kind, target }));
    this.#waiting.delete(keyOf({ kind, target }));
    waiting?.cancel();
    waiting?.resolve(atMs);
  }

  #failAll(): void {
    for (const { cancel, reject } of this.#waiting.values()) {
      cancel();
      reject(new Error(`the lookout ended: ${this.#words}`));
    }
    this.#waiting.clear();
  }
}

function keyOf({ kind, target }: { kind: WatchKind; target: string }): string {
  return `${kind} ${target}`;
}
