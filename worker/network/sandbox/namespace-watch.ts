import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { exists, namespaceInode } from './namespace-calls.ts';

export interface NamespaceWatchHooks {
  /** The namespace is mounted; called once, the path is then no longer watched. */
  onPresent: (path: string, seenAtMs: number) => void;
  onExpired: (path: string) => void;
}

const IDLE_POLL_MS = 5;
/** Between the creation of the file (which inotify tells) and the mount over it (which it does not). */
const BUSY_POLL_MS = 0.5;
const BOUND_MS = 60_000;

/**
 * Waits for network namespaces to be mounted. inotify wakes it when the file appears; every 5 ms it looks by itself,
 * which costs some microseconds per path and needs no folder to exist.
 */
export class NamespaceWatch {
  readonly #clock: Clock;
  readonly #hooks: NamespaceWatchHooks;
  /** Path -> when it is given up. */
  readonly #awaited = new Map<string, number>();
  readonly #folders = new Map<string, FSWatcher>();
  #cancel: CancelTimer | undefined;

  constructor(clock: Clock, hooks: NamespaceWatchHooks) {
    this.#clock = clock;
    this.#hooks = hooks;
  }

  /** @returns true when it is there already; `onPresent` has then been called. */
  await(target: string): boolean {
    this.#awaited.set(target, this.#clock.monotonic() + BOUND_MS);
    this.#watchFolder(path.dirname(target));
    this.#look();
    return !this.#awaited.has(target);
  }

  forget(target: string): void {
    this.#awaited.delete(target);
  }

  #look(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    let busy = false;
    for (const [target, untilMs] of [...this.#awaited]) {
      const seenAtMs = this.#clock.monotonic();
      if (namespaceInode(target) !== undefined) {
        this.#awaited.delete(target);
        this.#hooks.onPresent(target, seenAtMs);
      } else if (seenAtMs >= untilMs) {
        this.#awaited.delete(target);
        this.#hooks.onExpired(target);
      } else if (exists(target)) busy = true;
    }
    if (this.#awaited.size > 0) {
      this.#cancel = this.#clock.after(busy ? BUSY_POLL_MS : IDLE_POLL_MS, () => this.#look());
    }
  }

  #watchFolder(folder: string): void {
    if (this.#folders.has(folder)) return;
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#look());
      const forget = (): void => {
        watcher.close();
        this.#folders.delete(folder);
      };
      watcher.on('error', forget);
      this.#folders.set(folder, watcher);
    } catch {
      // The folder does not exist before the first container; polling does until then.
    }
  }
}
