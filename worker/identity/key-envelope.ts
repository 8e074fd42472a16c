import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type ManagerLock, parseUnlockKey, UNLOCK_KEY_BYTES } from '../../proto/objects/unlock-key.ts';
import type { TlsMaterial } from '../../proto/rpc/credentials.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

/**
 * What a node keeps secret on its disk, and how: the key of its certificate and the keys of its Raft log are one row of one file, so
 * that they are always under the same lock (swarmkit design/raft_encryption.md). Locked: AES-256-GCM under the swarm's unlock key,
 * which is itself 32 random bytes.
 */

export interface StoredKey {
  id: string;
  /** base64, 32 bytes. */
  key: string;
}

/** A node's keys while they are at hand. */
export interface OpenNode {
  material: TlsMaterial;
  /** Newest first: the first one encrypts, the others are there until nothing on the disk needs them. Empty on a worker. */
  raftKeys: readonly StoredKey[];
  lock: ManagerLock;
  /** The certificate's key was on the disk without, or under another, lock: it is to give way to a new one. */
  renewalDue: boolean;
  /** So is the newest key of the Raft log. */
  rotationDue: boolean;
}

/** The row on the disk. An earlier version wrote the first three fields only. */
export interface StoredNode {
  certificate: string;
  root: string;
  /** PEM; absent when it is sealed. */
  key?: string;
  raftKeys?: readonly StoredKey[];
  /** base64: nonce, tag, and the two fields above. */
  sealed?: string;
  lockVersion?: number;
  renewalDue?: boolean;
  rotationDue?: boolean;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** As it is written: without a lock in the clear, with one sealed. */
export function sealNode(node: OpenNode): StoredNode {
  const { material, raftKeys, lock, renewalDue, rotationDue } = node;
  const open = { certificate: material.certificate, root: material.root };
  const facts = { lockVersion: lock.version, renewalDue, rotationDue };
  if (lock.key === '') return { ...open, ...facts, key: material.key, raftKeys };
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv('aes-256-gcm', parseUnlockKey(lock.key), nonce);
  cipher.setAAD(purposeOf(open));
  const secrets = JSON.stringify({ key: material.key, raftKeys });
  const text = [cipher.update(secrets, 'utf8'), cipher.final()];
  return { ...open, ...facts, sealed: Buffer.concat([nonce, cipher.getAuthTag(), ...text]).toString('base64') };
}

export function isSealed(stored: StoredNode): boolean {
  return stored.sealed !== undefined;
}

/**
 * @param unlockKey as users type it; not looked at when nothing is sealed.
 * @throws WaggleError in Docker's words: invalid-argument when it cannot be a key, unauthenticated when it is not the one.
 */
export function openNode(stored: StoredNode, unlockKey: string): OpenNode {
  const { certificate, root, sealed } = stored;
  const secrets = sealed === undefined ? stored : unseal(stored, Buffer.from(sealed, 'base64'), unlockKey);
  if (secrets.key === undefined) throw new WaggleError('internal', "the node's identity cannot be read: it has no key");
  return {
    material: { certificate, root, key: secrets.key },
    raftKeys: secrets.raftKeys ?? [],
    lock: { key: sealed === undefined ? '' : unlockKey, version: stored.lockVersion ?? 0 },
    renewalDue: stored.renewalDue ?? false,
    rotationDue: stored.rotationDue ?? false,
  };
}

function unseal(stored: StoredNode, sealed: Buffer, unlockKey: string): Pick<StoredNode, 'key' | 'raftKeys'> {
  const key = parseUnlockKey(unlockKey);
  if (key.length !== UNLOCK_KEY_BYTES) throw wrongKey();
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(purposeOf(stored));
    decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    const text = Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
    return JSON.parse(text.toString('utf8')) as Pick<StoredNode, 'key' | 'raftKeys'>;
  } catch (error) {
    throw wrongKey(error);
  }
}

function wrongKey(cause?: unknown): WaggleError {
  return new WaggleError('unauthenticated', 'swarm could not be unlocked: invalid key provided', { cause });
}

/** The keys belong to this very certificate. */
function purposeOf({ certificate, root }: Pick<StoredNode, 'certificate' | 'root'>): Buffer {
  return Buffer.from(JSON.stringify(['waggle node keys', certificate, root]));
}
