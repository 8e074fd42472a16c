import { existsSync, readFileSync } from 'node:fs';
import { CorruptLogError } from './log-store.ts';

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC = 0x377f0682;

/**
 * SQLite takes a damaged frame of its write-ahead log for the torn end of it and drops everything behind in silence (SQLite
 * file format, 4.4), acknowledged transactions included. Every commit is synced before the next one begins, so a crash can
 * tear no more than one: two commits behind a bad frame mean that the file was damaged.
 * @throws CorruptLogError naming the frame.
 */
export function checkWriteAheadLog(file: string): void {
  if (!existsSync(file)) return;
  const bytes = readFileSync(file);
  if (bytes.length < HEADER_BYTES) return;
  const isBigEndian = (bytes.readUInt32BE(0) & 1) === 1;
  const pageBytes = bytes.readUInt32BE(8);
  const frameBytes = FRAME_HEADER_BYTES + pageBytes;
  const salts = bytes.subarray(16, 24);
  let sum = checksum(bytes.subarray(0, 24), [0, 0], isBigEndian);
  const hasHeader = (bytes.readUInt32BE(0) & ~1) === MAGIC && matches(bytes, 24, sum);
  let bad = hasHeader ? -1 : 0;
  let lost = 0;
  for (let frame = 0; HEADER_BYTES + (frame + 1) * frameBytes <= bytes.length; frame++) {
    const at = HEADER_BYTES + frame * frameBytes;
    const isOfThisLog = bytes.subarray(at + 8, at + 16).equals(salts);
    if (bad < 0) {
      sum = checksum(bytes.subarray(at, at + 8), sum, isBigEndian);
      sum = checksum(bytes.subarray(at + FRAME_HEADER_BYTES, at + frameBytes), sum, isBigEndian);
      if (!isOfThisLog || !matches(bytes, at + 16, sum)) bad = frame;
    }
    const isCommit = bytes.readUInt32BE(at + 4) !== 0;
    if (bad >= 0 && isOfThisLog && isCommit) lost++;
  }
  if (lost > 1) throw new CorruptLogError(`${file}: frame ${bad} is damaged, ${lost} transactions behind it are lost`);
}

type Sum = readonly [number, number];

function checksum(bytes: Buffer, [a, b]: Sum, isBigEndian: boolean): Sum {
  let [first, second] = [a, b];
  for (let at = 0; at + 8 <= bytes.length; at += 8) {
    const x = isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at);
    const y = isBigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4);
    first = (first + x + second) >>> 0;
    second = (second + y + first) >>> 0;
  }
  return [first, second];
}

function matches(bytes: Buffer, at: number, [first, second]: Sum): boolean {
  return bytes.readUInt32BE(at) === first && bytes.readUInt32BE(at + 4) === second;
}
