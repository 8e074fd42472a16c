import { crc32 } from 'node:zlib';
import type { LogEntry } from '../core/entry.ts';

/** CRC-32 over index, term, type and data: SQLite itself does not notice a flipped byte. */
export function entryChecksum(entry: LogEntry): number {
  const head = Buffer.alloc(17);
  head.writeBigUInt64LE(BigInt(entry.index), 0);
  head.writeBigUInt64LE(BigInt(entry.term), 8);
  head.writeUInt8(entry.type === 'normal' ? 0 : 1, 16);
  return crc32(entry.data, crc32(head));
}

export function textChecksum(text: string): number {
  return crc32(Buffer.from(text));
}
