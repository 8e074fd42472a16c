import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export interface GossipKey {
  /** Order of its making; the highest is the newest. */
  tag: number;
  /** 16 bytes. */
  key: Uint8Array;
}

const VERSION = 1;
const NONCE_BYTES = 12;
const HEADER_BYTES = 1 + 4 + NONCE_BYTES;
const TAG_BYTES = 16;

/** Bytes that sealing adds. */
export const SEAL_BYTES = HEADER_BYTES + TAG_BYTES;

/**
 * AES-128-GCM (NIST SP 800-38D) with keys that rotate in three phases, as Docker has it: the newest only opens, until the next
 * rotation, 12 h later, when every node has it; the second newest seals; the third still opens what is under way or comes from
 * a node that missed a rotation. One key alone does everything. Wire: version (1), key tag (4), nonce (12), content, tag (16);
 * the header is authenticated. Nonces are random: at 2^32 packets per key (years at our rates) a rotation is due.
 */
export class KeyRing {
  #keys = new Map<number, Uint8Array>();
  #primary = -1;

  /** @throws RangeError when a key is not 16 bytes long. */
  set(keys: readonly GossipKey[]): void {
    for (const { key } of keys) if (key.length !== 16) throw new RangeError('a gossip key has 16 bytes');
    this.#keys = new Map(keys.map(({ tag, key }) => [tag, key]));
    const [newest, second] = [...this.#keys.keys()].toSorted((a, b) => b - a);
    this.#primary = second ?? newest ?? -1;
  }

  get empty(): boolean {
    return this.#keys.size === 0;
  }

  /** Whether it is sealed, be it rightly, with a key of this ring. */
  knowsKeyOf(sealed: Buffer): boolean {
    return sealed.length >= SEAL_BYTES && sealed.readUInt8(0) === VERSION && this.#keys.has(sealed.readUInt32BE(1));
  }

  /** @returns undefined while there is no key. */
  seal(content: Uint8Array): Buffer | undefined {
    const key = this.#keys.get(this.#primary);
    if (key === undefined) return undefined;
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt8(VERSION, 0);
    header.writeUInt32BE(this.#primary, 1);
    const nonce = randomBytes(NONCE_BYTES);
    nonce.copy(header, 5);
    const cipher = createCipheriv('aes-128-gcm', key, nonce);
    cipher.setAAD(header);
    return Buffer.concat([header, cipher.update(content), cipher.final(), cipher.getAuthTag()]);
  }

  /** @returns undefined when the bytes are not from someone with one of the keys. */
  open(sealed: Buffer): Buffer | undefined {
    if (sealed.length < SEAL_BYTES || sealed.readUInt8(0) !== VERSION) return undefined;
    const key = this.#keys.get(sealed.readUInt32BE(1));
    if (key === undefined) return undefined;
    const decipher = createDecipheriv('aes-128-gcm', key, sealed.subarray(5, HEADER_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(sealed.subarray(0, HEADER_BYTES));
    decipher.setAuthTag(sealed.subarray(sealed.length - TAG_BYTES));
    const content = decipher.update(sealed.subarray(HEADER_BYTES, sealed.length - TAG_BYTES));
    try {
      return Buffer.concat([content, decipher.final()]);
    } catch {
      return undefined;
    }
  }
}
