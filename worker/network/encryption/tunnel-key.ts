import { createPrivateKey, createPublicKey, randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { makeFolder } from '../../../proto/runtime/folder.ts';

/** DER of an X25519 private key in PKCS #8, up to the 32 bytes (RFC 8410 section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b656e04220420', 'hex');
const KEY_BYTES = 32;
const NEXT = '.next';

/** A private key in a file that only root can read, and the public key to it. */
export interface TunnelKey {
  file: string;
  /** base64. */
  publicKey: string;
}

/** The host's keys: the one in use, and the one that is to follow it once the other hosts know it. */
export interface TunnelKeys {
  current: TunnelKey;
  next?: TunnelKey;
}

/**
 * The host's keys in the folder; one is made when there is none. The folder is to be lost with the host's run (tmpfs), so that no key
 * is ever on a disk. It outlives the daemon, whose containers go on talking without it.
 * @param nodeId of whom they are; a host that joins as another node has another key.
 */
export async function loadTunnelKeys(folder: string, nodeId: string): Promise<TunnelKeys> {
  makeFolder(folder, 0o700);
  const file = path.join(folder, nodeId);
  const current = (await readTunnelKey(file)) ?? (await makeTunnelKey(file));
  const next = await readTunnelKey(`${file}${NEXT}`);
  return { current, ...(next === undefined ? {} : { next }) };
}

/** Makes the key that is to follow `current`. */
export function makeNextTunnelKey(current: TunnelKey): Promise<TunnelKey> {
  return makeTunnelKey(`${current.file}${NEXT}`);
}

/** The next key takes the place of the current one, which is gone. */
export async function replaceTunnelKey(current: TunnelKey, next: TunnelKey): Promise<TunnelKey> {
  await rename(next.file, current.file);
  return { file: current.file, publicKey: next.publicKey };
}

async function readTunnelKey(file: string): Promise<TunnelKey | undefined> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  const secret = Buffer.from(text, 'base64');
  return secret.length === KEY_BYTES ? { file, publicKey: publicKeyOf(secret) } : undefined;
}

/** Removes the host's key, for leaving a swarm. Gone already is no error. */
export async function removeTunnelKeys(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
}

async function makeTunnelKey(file: string): Promise<TunnelKey> {
  const secret = randomBytes(KEY_BYTES);
  const temporary = `${file}.new`;
  await rm(temporary, { force: true });
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(`${secret.toString('base64')}\n`);
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  return { file, publicKey: publicKeyOf(secret) };
}

/** X25519 clamps the private key as WireGuard does (RFC 7748 section 5). */
export function publicKeyOf(secret: Buffer): string {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, secret]), format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  if (x === undefined) throw new WaggleError('internal', 'the tunnel key has no public key');
  return Buffer.from(x, 'base64url').toString('base64');
}
