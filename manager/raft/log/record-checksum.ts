import { crc32 } from 'node:zlib';
import type { EntryType } from '../core/entry.ts';

export interface StoredRecord {
  index: number;
  term: number;
  type: EntryType;
  /** ID of the key that it is encrypted with. */
  key: string;
  /** As stored. */
  data: Uint8Array;
}

/** CRC-32 over a record as it is stored: SQLite itself does not notice a flipped byte. */
export function recordChecksum(record: StoredRecord): number {
  const head = Buffer.alloc(17);
  head.writeBigUInt64LE(BigInt(record.index), 0);
  head.writeBigUInt64LE(BigInt(record.term), 8);
  head.writeUInt8(record.type === 'normal' ? 0 : 1, 16);
  return crc32(record.data, crc32(record.key, crc32(head)));
}

export function textChecksum(text: string): number {
  return crc32(text);
}
