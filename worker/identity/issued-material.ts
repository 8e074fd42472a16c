import type { ManagerLock } from '../../proto/objects/unlock-key.ts';
import type { TlsMaterial } from '../../proto/rpc/credentials.ts';

/** A certificate with its key, and for a manager the lock that both are to be written under. */
export interface IssuedMaterial {
  material: TlsMaterial;
  lock?: ManagerLock;
}

/** What a manager answered to a certificate request, put together with what only the asking node knows. */
export function issuedMaterial(
  answer: { certificate: Uint8Array; unlockKey: string; lockVersion: number },
  own: { key: string; root: string },
): IssuedMaterial {
  const material = { certificate: Buffer.from(answer.certificate).toString('utf8'), ...own };
  // An earlier version sends no version.
  if (answer.lockVersion === 0) return { material };
  return { material, lock: { key: answer.unlockKey, version: answer.lockVersion } };
}
