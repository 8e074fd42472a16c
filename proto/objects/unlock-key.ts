import { WaggleError } from '../runtime/errors.ts';
import type { RandomBytes } from './naming.ts';

const PREFIX = 'SWMKEY-1-';
export const UNLOCK_KEY_BYTES = 32;

/** What managers lock their keys on disk with. */
export interface ManagerLock {
  /** As users see it, `SWMKEY-1-…`; empty while managers are not locked. */
  key: string;
  /** Of the cluster object that it was read from: a later version wins. */
  version: number;
}

/** As swarmkit shows it (manager/encryption): 32 bytes, base64 without padding. */
export function newUnlockKey(random: RandomBytes): string {
  return `${PREFIX}${Buffer.from(random(UNLOCK_KEY_BYTES)).toString('base64').replace(/=+$/, '')}`;
}

/** The bytes of a key as users type it. @throws WaggleError invalid-argument for what cannot be one. */
export function parseUnlockKey(text: string): Uint8Array {
  const base64 = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
  const bytes = Buffer.from(base64, 'base64');
  if (base64 === '' || bytes.toString('base64').replace(/=+$/, '') !== base64) {
    throw new WaggleError('invalid-argument', 'invalid key string');
  }
  return bytes;
}
