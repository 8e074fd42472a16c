import type { ManagerLock } from '../../proto/objects/unlock-key.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { ControlLoop, type LoopBody } from '../store/control-loop.ts';
import type { ReadTx, Store } from '../store/transaction.ts';

/** Where a manager's keys are kept on its disk. */
export interface LockedFile {
  /** Of the lock that the keys are under. */
  readonly lockVersion: number;
  /** Durable when it resolves; a lock older than the present one changes nothing. */
  relock(lock: ManagerLock): Promise<void>;
}

/**
 * Keeps this manager's keys on disk under the swarm's present unlock key; runs on every manager. One that was down while the key
 * changed is unlocked with the old key and catches up (swarmkit manager.go updateKEK).
 */
export class LockKeeper implements Startable {
  readonly #loop: ControlLoop;

  constructor(modules: { store: Store; file: LockedFile; clock: Clock; log: Log }) {
    const { store, file } = modules;
    const body: LoopBody = {
      name: 'lock-keeper',
      tables: ['clusters'],
      debounceMs: 0,
      tick: async () => {
        const lock = store.view(lockOf);
        if (lock !== undefined && lock.version > file.lockVersion) await file.relock(lock);
        return undefined;
      },
    };
    this.#loop = new ControlLoop(body, modules);
  }

  start(): Promise<void> {
    return this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }
}

function lockOf(tx: ReadTx): ManagerLock | undefined {
  for (const { UnlockKey, Version } of tx.all('clusters')) return { key: UnlockKey ?? '', version: Version.Index };
  return undefined;
}
