import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { exists, namespaceInode } from './namespace-calls.ts';

export interface NamespaceWatchHooks {
  /** The namespace is mounted; called once, the path is then no longer watched. */
  onPresent: (path: string, seenAtMs: number) => void;
  onExpired: (path: string) => void;
}

/** Where inotify does not tell of new files. */
const IDLE_POLL_MS = 5;
/** Where it does: a file may still be missed, if the folder is made anew. */
const WATCHED_POLL_MS = 50;
/** Between the creation of the file (which inotify tells) and the mount over it (which it does not). */
const BUSY_POLL_MS = 0.5;
const BOUND_MS = 60_000;

/**
 * Waits for network namespaces to be mounted. inotify wakes it when the file appears; it also looks by itself, which needs no
 * folder to exist. While many containers start the processors are what they wait for, so that looking must cost little:
 * a path that is not there costs one system call, without an exception.
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
      const isThere = exists(target);
      if (isThere && namespaceInode(target) !== undefined) {
        this.#awaited.delete(target);
        this.#hooks.onPresent(target, seenAtMs);
      } else if (seenAtMs >= untilMs) {
        this.#awaited.delete(target);
        this.#hooks.onExpired(target);
      } else if (isThere) busy = true;
    }
    if (this.#awaited.size > 0) this.#cancel = this.#clock.after(this.#pollMs(busy), () => this.#look());
  }

  #pollMs(busy: boolean): number {
    if (busy) return BUSY_POLL_MS;
    const folders = [...this.#awaited.keys()].map((target) => path.dirname(target));
    return folders.every((folder) => this.#watchFolder(folder)) ? WATCHED_POLL_MS : IDLE_POLL_MS;
  }

  /** @returns whether it is watched, as far as this can be known. */
  #watchFolder(folder: string): boolean {
    if (this.#folders.has(folder)) return true;
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => {
        // A folder that is removed is told of under its own name.
        if (name === path.basename(folder) && !exists(folder)) forget();
        this.#look();
      });
      const forget = (): void => {
        watcher.close();
        this.#folders.delete(folder);
      };
      watcher.on('error', forget);
      this.#folders.set(folder, watcher);
      return true;
    } catch {
      // The folder does not exist before the first container; polling does until then.
      return false;
    }
  }
}
