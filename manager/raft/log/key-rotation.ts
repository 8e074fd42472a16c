import { randomBytes } from 'node:crypto';
import type { BackoffOptions } from '../../../proto/runtime/backoff.ts';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import { RepairLoop } from '../../../proto/runtime/repair-loop.ts';
import { type DataKey, type DataKeys, KEY_BYTES } from './data-cipher.ts';
import type { SqliteLog } from './sqlite-log.ts';

const BACKOFF: BackoffOptions = { minMs: 500, maxMs: 30_000, factor: 2, jitter: 0.2 };
const ID_BYTES = 8;

/** Where the keys of the log are kept. */
export interface DataKeyFile {
  /** Newest first; `key` is base64. */
  readonly raftKeys: readonly { id: string; key: string }[];
  /** The newest key is to give way to another one. */
  readonly rotationDue: boolean;
  /** Durable when it resolves. @param replaces a new first key: no rotation is due any more. */
  saveRaftKeys(keys: readonly { id: string; key: string }[], how: { replaces: boolean }): Promise<void>;
  /** @returns the unsubscribe. */
  onChange(listener: () => void): () => void;
}

export interface KeyRotationModules {
  file: DataKeyFile;
  log: Pick<SqliteLog, 'rotate' | 'reseal' | 'keysInUse'>;
  clock: Clock;
  random: Random;
  logger: Log;
}

/**
 * Keeps the Raft log under the newest of its keys. A new key is in the file before anything is written with it, and an old one
 * leaves the file only when nothing on the disk needs it: after a crash at any point the file opens all there is. At most two keys
 * are in use; a rotation that is asked for meanwhile comes after the one under way (swarmkit design/raft_encryption.md).
 */
export class KeyRotation implements Startable {
  readonly #modules: KeyRotationModules;
  readonly #loop: RepairLoop;
  #unsubscribe: (() => void) | undefined;

  constructor(modules: KeyRotationModules) {
    this.#modules = modules;
    this.#loop = new RepairLoop({
      backoff: BACKOFF,
      clock: modules.clock,
      random: modules.random,
      pass: () => this.#pass(),
      failed: (error, retryMs) => {
        if (retryMs !== undefined)
          modules.logger.warn({ error, retryMs }, 'the keys of the Raft log are not in order yet');
      },
    });
  }

  /** Before the log is opened: a new manager's first key is made and on the disk when it resolves. */
  async prepare(): Promise<void> {
    const { file } = this.#modules;
    if (file.raftKeys.length === 0) await file.saveRaftKeys([newKey()], { replaces: true });
  }

  /** @throws WaggleError failed-precondition before `prepare`. */
  keys(): DataKeys {
    const [current, ...older] = this.#modules.file.raftKeys.map(decoded);
    if (current === undefined) throw new WaggleError('failed-precondition', 'the Raft log has no key yet');
    return { current, older };
  }

  /** With the log open: finishes what an earlier life left, a log that was not encrypted included. Does not wait for it. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#modules.file.onChange(() => this.#loop.refresh());
    this.#loop.refresh();
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    await this.#loop.stop();
  }

  async #pass(): Promise<void> {
    const { file, log, logger } = this.#modules;
    if (file.rotationDue && file.raftKeys.length === 1) {
      await file.saveRaftKeys([newKey(), ...file.raftKeys], { replaces: true });
    }
    const isRotating = file.raftKeys.length > 1;
    if (isRotating) await log.rotate(this.keys());
    await log.reseal();
    if (!isRotating) return;
    const inUse = new Set(await log.keysInUse());
    const needed = file.raftKeys.filter(({ id }, at) => at === 0 || inUse.has(id));
    await file.saveRaftKeys(needed, { replaces: false });
    if (needed.length === 1) logger.info({}, 'Raft log is under a new key');
  }
}

function newKey(): { id: string; key: string } {
  return { id: randomBytes(ID_BYTES).toString('hex'), key: randomBytes(KEY_BYTES).toString('base64') };
}

function decoded({ id, key }: { id: string; key: string }): DataKey {
  return { id, key: new Uint8Array(Buffer.from(key, 'base64')) };
}
