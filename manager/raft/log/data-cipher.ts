import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';
import { CorruptLogError, LogKeyError } from './log-store.ts';

export interface DataKey {
  /** Names it beside what it encrypted; never used for another key. */
  id: string;
  /** 32 bytes. */
  key: Uint8Array;
}

/** What is written is encrypted with `current`; `older` ones only read what is there from before a rotation. */
export interface DataKeys {
  current: DataKey;
  older: readonly DataKey[];
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const KEY_BYTES = 32;
/** Stands for "not encrypted". */
const NO_KEY = '';

/** Encryption at rest: AES-256-GCM, a random nonce each time; what a record is for is authenticated with it (NIST SP 800-38D). */
export class DataCipher {
  readonly #current: DataKey | undefined;
  readonly #keys: ReadonlyMap<string, DataKey>;

  /** @param keys absent: nothing is encrypted. @throws LogKeyError for a key of another length. */
  constructor(keys: DataKeys | undefined) {
    const all = keys === undefined ? [] : [...keys.older, keys.current];
    for (const { id, key } of all) {
      if (key.length !== KEY_BYTES || id === NO_KEY)
        throw new LogKeyError(`data key "${id}" is not one of ${KEY_BYTES} bytes`);
    }
    this.#current = keys?.current;
    this.#keys = new Map(all.map((key) => [key.id, key]));
  }

  /** Of the key that `seal` uses; empty when there is none. */
  get keyId(): string {
    return this.#current?.id ?? NO_KEY;
  }

  /** Tells keys of one ID apart without telling the key; empty when there is none. */
  get fingerprint(): string {
    return this.#current === undefined ? '' : fingerprintOf(this.#current);
  }

  /** @param purpose what and where it is; `open` needs the same. */
  seal(plain: Uint8Array, purpose: string): Uint8Array {
    if (this.#current === undefined) return plain;
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#current.key, nonce);
    cipher.setAAD(Buffer.from(purpose));
    const text = [cipher.update(plain), cipher.final()];
    return Buffer.concat([nonce, cipher.getAuthTag(), ...text]);
  }

  /** @throws LogKeyError when the key is not there, CorruptLogError when the bytes are not what was sealed. */
  open(sealed: Uint8Array, keyId: string, purpose: string): Uint8Array {
    if (keyId === NO_KEY) return sealed;
    const found = this.#keys.get(keyId);
    if (found === undefined) throw new LogKeyError(`${purpose} is encrypted with key "${keyId}", which was not given`);
    const decipher = createDecipheriv('aes-256-gcm', found.key, sealed.subarray(0, NONCE_BYTES));
    decipher.setAAD(Buffer.from(purpose));
    try {
      decipher.setAuthTag(sealed.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
      return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()]);
    } catch (error) {
      throw new CorruptLogError(`${purpose} does not decrypt with key "${keyId}"`, { cause: error });
    }
  }

  /** @throws LogKeyError when the key of this ID is another one than wrote `fingerprint`. */
  check(keyId: string, fingerprint: string): void {
    const found = this.#keys.get(keyId);
    if (found === undefined) return;
    if (fingerprintOf(found) !== fingerprint)
      throw new LogKeyError(`key "${keyId}" is not the one that the Raft log was written with`);
  }
}

function fingerprintOf({ id, key }: DataKey): string {
  return createHash('sha256').update('waggle raft data key\0').update(`${id}\0`).update(key).digest('hex').slice(0, 32);
}
