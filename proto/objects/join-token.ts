import { createHash } from 'node:crypto';
import { WaggleError } from '../runtime/errors.ts';

const PREFIX = 'SWMTKN-1';
const DIGEST_LENGTH = 50;
const SECRET_LENGTH = 25;
const SECRET_BYTES = 16;
const TOKEN = /^SWMTKN-1-([0-9a-z]{50})-([0-9a-z]{25})$/;

/** The two parts of a join token: whom to trust, and the right to join. */
export interface JoinToken {
  /** SHA-256 of the root certificate's PEM bytes, 64 hex digits. */
  digest: string;
  /** 25 characters of base 36. */
  secret: string;
}

/** Docker's words for a token that lets nobody in. */
export const TOKEN_NEEDED =
  'rpc error: code = InvalidArgument desc = A valid join token is necessary to join this cluster';

/** SHA-256 of the PEM bytes, in hex. */
export function rootDigest(rootCertificate: string | Uint8Array): string {
  return createHash('sha256').update(rootCertificate).digest('hex');
}

/** `SWMTKN-1-<root digest, 50 base 36>-<secret, 25 base 36>` (swarmkit ca/config.go). @param secret 16 random bytes. */
export function formatJoinToken(rootCertificate: string | Uint8Array, secret: Uint8Array): string {
  if (secret.length !== SECRET_BYTES) throw new RangeError(`a join secret has ${SECRET_BYTES} bytes`);
  const digest = base36(rootDigest(rootCertificate), DIGEST_LENGTH);
  return `${PREFIX}-${digest}-${base36(Buffer.from(secret).toString('hex'), SECRET_LENGTH)}`;
}

/** @throws WaggleError invalid-argument, in Docker's words. */
export function parseJoinToken(token: string): JoinToken {
  const [, digest, secret] = TOKEN.exec(token) ?? [];
  if (digest === undefined || secret === undefined) throw new WaggleError('invalid-argument', 'invalid join token');
  let number = 0n;
  for (const digit of digest) number = number * 36n + BigInt(Number.parseInt(digit, 36));
  const hex = number.toString(16).padStart(64, '0');
  // 50 digits of base 36 hold a little more than 256 bits.
  if (hex.length > 64) throw new WaggleError('invalid-argument', 'invalid join token');
  return { digest: hex, secret };
}

function base36(hex: string, length: number): string {
  return BigInt(`0x${hex}`).toString(36).padStart(length, '0');
}
