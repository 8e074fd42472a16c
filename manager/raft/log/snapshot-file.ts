import { closeSync, fsyncSync, openSync, readFileSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import type { SnapshotMeta } from '../core/entry.ts';
import { CorruptLogError, type StoredSnapshot } from './log-store.ts';

const NAME = /^snapshot-(\d{16})-(\d{16})$/;
const HEADER_BYTES = 8;

/**
 * One snapshot, one file: records of [length u32][crc32 u32][bytes], the first one the metadata in JSON, the last one empty.
 * Written beside its place, synced, then renamed, so a file under its own name is whole.
 */
export class SnapshotWriter {
  readonly #folder: string;
  readonly #name: string;
  readonly #file: number;

  constructor(folder: string, meta: SnapshotMeta) {
    this.#folder = folder;
    this.#name = `snapshot-${String(meta.term).padStart(16, '0')}-${String(meta.index).padStart(16, '0')}`;
    this.#file = openSync(path.join(folder, `${this.#name}.partial`), 'w', 0o600);
    this.write(Buffer.from(JSON.stringify(meta)));
  }

  write(chunk: Uint8Array): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(chunk.length, 0);
    header.writeUInt32LE(crc32(chunk), 4);
    writeWhole(this.#file, header);
    writeWhole(this.#file, chunk);
  }

  /** Makes it durable under its name. */
  finish(): void {
    this.write(new Uint8Array());
    fsyncSync(this.#file);
    closeSync(this.#file);
    renameSync(path.join(this.#folder, `${this.#name}.partial`), path.join(this.#folder, this.#name));
    const folder = openSync(this.#folder, 'r');
    fsyncSync(folder);
    closeSync(folder);
  }
}

/** The newest snapshot of the folder, or undefined. @throws CorruptLogError */
export function readNewestSnapshot(folder: string): StoredSnapshot | undefined {
  const newest = snapshotNames(folder).at(-1);
  if (newest === undefined) return undefined;
  const records = readRecords(path.join(folder, newest));
  const [meta, ...chunks] = records;
  if (meta === undefined) throw new CorruptLogError(`${newest}: no metadata`);
  return { meta: JSON.parse(Buffer.from(meta).toString()) as SnapshotMeta, chunks };
}

/** Removes what was never finished, and all finished ones but the newest and `keepOld` more. */
export function removeOldSnapshots(folder: string, keepOld: number): void {
  const names = snapshotNames(folder);
  const old = names.slice(0, Math.max(0, names.length - 1 - keepOld));
  const partial = readdirSync(folder).filter((name) => name.endsWith('.partial'));
  for (const name of [...old, ...partial]) rmSync(path.join(folder, name), { force: true });
}

function snapshotNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => NAME.test(name))
    .toSorted();
}

function readRecords(file: string): Uint8Array[] {
  const bytes = readFileSync(file);
  const records: Uint8Array[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    const record = bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + length);
    if (record.length !== length || crc32(record) !== bytes.readUInt32LE(at + 4)) {
      throw new CorruptLogError(`${file}: record at byte ${at} is damaged`);
    }
    if (length === 0) return records;
    records.push(record);
    at += HEADER_BYTES + length;
  }
  throw new CorruptLogError(`${file}: it ends too early`);
}

function writeWhole(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
