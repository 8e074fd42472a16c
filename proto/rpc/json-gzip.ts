import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { WaggleError } from '../runtime/errors.ts';

const MAX_PLAIN_BYTES = 64 * 1024 * 1024;

const deflate = promisify(gzip);
const inflate = promisify(gunzip);

/** A value as compressed JSON. @throws WaggleError resource-exhausted when it is longer than `maxBytes`. */
export async function packJson(value: unknown, maxBytes: number): Promise<Buffer> {
  const packed = await deflate(Buffer.from(JSON.stringify(value)));
  if (packed.length <= maxBytes) return packed;
  throw new WaggleError(
    'resource-exhausted',
    `the answer has ${packed.length} bytes, more than the ${maxBytes} allowed`,
  );
}

/** The other way; at most 64 MiB come out, however small the input. @throws WaggleError invalid-argument. */
export async function unpackJson(packed: Uint8Array): Promise<unknown> {
  try {
    const plain = await inflate(packed, { maxOutputLength: MAX_PLAIN_BYTES });
    return JSON.parse(plain.toString('utf8')) as unknown;
  } catch (error) {
    throw new WaggleError('invalid-argument', 'not compressed JSON', { cause: error });
  }
}
