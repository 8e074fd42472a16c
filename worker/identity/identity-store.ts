import path from 'node:path';
import type { ManagerLock } from '../../proto/objects/unlock-key.ts';
import type { TlsMaterial } from '../../proto/rpc/credentials.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { FileTable } from '../storage/file-table.ts';
import { Identity, roleOf } from './identity.ts';
import { isSealed, openNode, type OpenNode, sealNode, type StoredKey, type StoredNode } from './key-envelope.ts';

const ROW = 'node';
const NOT_LOCKED: ManagerLock = { key: '', version: 0 };

/**
 * The identity on disk: `<data-dir>/identity/node.json` (mode 0600). Certificate, key and root are one file, so that
 * they are always of one renewal, and a manager's keys of its Raft log are in it too, so that all are under one lock. Changes are
 * made one after the other; each is on the disk when its promise resolves, and after a failure everything is as it was.
 */
export class IdentityStore {
  readonly #table: FileTable<StoredNode>;
  readonly #listeners = new Set<() => void>();
  #node: OpenNode | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: { dataDir: string }) {
    this.#table = new FileTable(path.join(options.dataDir, 'identity'));
  }

  /**
   * Undefined when this node is in no swarm; a locked one when its keys are sealed and have not been unlocked.
   * @throws WaggleError when what is there cannot be used.
   */
  async load(): Promise<Identity | undefined> {
    const stored = await this.#read();
    if (stored === undefined) return undefined;
    if (!isSealed(stored)) this.#node = openNode(stored, '');
    else if (this.#node === undefined) return Identity.locked(stored);
    return new Identity(openNode(stored, this.#node.lock.key).material);
  }

  /** The keys of a locked node. @throws WaggleError invalid-argument or unauthenticated, in Docker's words, for another key. */
  unlock(unlockKey: string): Promise<TlsMaterial> {
    return this.#inTurn(async () => {
      const stored = await this.#read();
      if (stored === undefined) throw new WaggleError('failed-precondition', 'this node has no identity');
      this.#node = openNode(stored, unlockKey);
      return this.#node.material;
    });
  }

  /** @param lock that the manager sent along; absent: the present one stays. A worker's keys are not locked. */
  save(material: TlsMaterial, lock?: ManagerLock): Promise<void> {
    return this.#inTurn(async () => {
      const present = this.#node ?? { material, raftKeys: [], lock: NOT_LOCKED, renewalDue: false, rotationDue: false };
      const isNewKey = present.material.key !== material.key;
      await this.#write({
        material,
        raftKeys: present.raftKeys,
        lock: roleOf(material) === 'manager' ? newer(present.lock, lock) : NOT_LOCKED,
        renewalDue: present.renewalDue && !isNewKey,
        rotationDue: present.raftKeys.length > 0 && (present.rotationDue || isNewKey),
      });
    });
  }

  /** The version of the lock that the keys are under. */
  get lockVersion(): number {
    return this.#node?.lock.version ?? 0;
  }

  /**
   * Puts a manager's keys under a lock, or takes it away; an older one than the present changes nothing. Keys that were under
   * another lock, or none, are then due to be replaced.
   */
  relock(lock: ManagerLock): Promise<void> {
    return this.#change((node) => {
      const next = newer(node.lock, lock);
      if (next === node.lock || roleOf(node.material) === 'worker') return node;
      const isLocked = next.key !== '';
      return {
        ...node,
        lock: next,
        renewalDue: node.renewalDue || isLocked,
        rotationDue: node.raftKeys.length > 0 && (node.rotationDue || isLocked),
      };
    });
  }

  /** The certificate's key has been on the disk for others to read. */
  get renewalDue(): boolean {
    return this.#node?.renewalDue ?? false;
  }

  get raftKeys(): readonly StoredKey[] {
    return this.#node?.raftKeys ?? [];
  }

  get rotationDue(): boolean {
    return this.#node?.rotationDue ?? false;
  }

  /** @param replaces the newest one was given up: no rotation is due any more. */
  saveRaftKeys(keys: readonly StoredKey[], { replaces }: { replaces: boolean }): Promise<void> {
    return this.#change((node) => ({ ...node, raftKeys: keys, rotationDue: node.rotationDue && !replaces }));
  }

  /** Called after every change of the keys. @returns the unsubscribe. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Removes every trace, key included. */
  remove(): Promise<void> {
    return this.#inTurn(async () => {
      await this.#table.destroy();
      this.#node = undefined;
    });
  }

  #change(change: (node: OpenNode) => OpenNode): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#node === undefined)
        throw new WaggleError('failed-precondition', 'the keys of this node are not at hand');
      const changed = change(this.#node);
      if (changed !== this.#node) await this.#write(changed);
    });
  }

  async #write(node: OpenNode): Promise<void> {
    await this.#table.open();
    await this.#table.put(ROW, sealNode(node));
    this.#node = node;
    for (const listener of this.#listeners) listener();
  }

  async #read(): Promise<StoredNode | undefined> {
    const stored = (await this.#table.open()).get(ROW);
    const [corrupt] = this.#table.corrupt;
    if (stored === undefined && corrupt !== undefined) {
      throw new WaggleError('internal', `the node's identity cannot be read: ${corrupt}`);
    }
    return stored;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }
}

/** As swarmkit compares key-encryption keys: a log that is replayed must not bring back an old one (manager/deks.go). */
function newer(present: ManagerLock, given: ManagerLock | undefined): ManagerLock {
  return given === undefined || given.version <= present.version || given.key === present.key ? present : given;
}
