import {
  closeSync,
  fsyncSync,
  openSync,
  readFileSync,
  readSync,
  readdirSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { messageOf } from '../../../proto/runtime/errors.ts';
import type { SnapshotMeta } from '../core/entry.ts';
import type { DataCipher } from './data-cipher.ts';
import { CorruptLogError, type StoredSnapshot } from './log-store.ts';

const NAME = /^snapshot-(\d{16})-(\d{16})$/;
const FORMAT = 2;
const PARTIAL = '.partial';
/** Of a leader's snapshot that is still coming in. */
export const INCOMING = '.incoming';
const HEADER_BYTES = 8;
const MAX_HEAD_BYTES = 4096;
/** So that the last fsync of a large snapshot does not hold up the log, which is written by the same thread. */
const SYNC_EVERY_BYTES = 4 * 1024 * 1024;

interface FileHead {
  format: number;
  /** ID and fingerprint of the key that the records after it are sealed with. */
  key: string;
  fingerprint: string;
}

/**
 * One snapshot, one file: records of [length u32][crc32 u32][bytes], the first one a FileHead, the second one the metadata
 * in JSON, the last one empty; all but the head are sealed. Written beside its place (the name with a suffix), synced, then
 * renamed, so a file under its own name is whole.
 */
export class SnapshotWriter {
  readonly #folder: string;
  readonly #name: string;
  readonly #suffix: string;
  readonly #file: number;
  readonly #cipher: DataCipher;
  #records = 0;
  #unsynced = 0;
  #isOpen = true;

  constructor(folder: string, meta: SnapshotMeta, cipher: DataCipher, suffix: string = PARTIAL) {
    this.#folder = folder;
    this.#suffix = suffix;
    this.#cipher = cipher;
    this.#name = `snapshot-${String(meta.term).padStart(16, '0')}-${String(meta.index).padStart(16, '0')}`;
    this.#file = openSync(this.#unfinished, 'w', 0o600);
    const head: FileHead = { format: FORMAT, key: cipher.keyId, fingerprint: cipher.fingerprint };
    this.#record(Buffer.from(JSON.stringify(head)));
    this.write(Buffer.from(JSON.stringify(meta)));
  }

  write(chunk: Uint8Array): void {
    // An empty record ends the file.
    if (chunk.length === 0) return;
    this.#record(this.#cipher.seal(chunk, purposeOf(this.#name, ++this.#records)));
  }

  /** Makes it durable under its name. */
  finish(): void {
    this.seal();
    this.publish();
  }

  /** Everything is written and synced; it has not its name yet. */
  seal(): void {
    // How many there are is sealed too, so that none can be left out at the end.
    this.write(Buffer.from(String(this.#records)));
    this.#record(new Uint8Array());
    fsyncSync(this.#file);
    this.#close();
  }

  publish(): void {
    renameSync(this.#unfinished, path.join(this.#folder, this.#name));
    const folder = openSync(this.#folder, 'r');
    fsyncSync(folder);
    closeSync(folder);
  }

  /** Nothing of it is left. */
  abandon(): void {
    this.#close();
    rmSync(this.#unfinished, { force: true });
  }

  get #unfinished(): string {
    return path.join(this.#folder, `${this.#name}${this.#suffix}`);
  }

  #close(): void {
    if (this.#isOpen) closeSync(this.#file);
    this.#isOpen = false;
  }

  #record(bytes: Uint8Array): void {
    const header = Buffer.alloc(HEADER_BYTES);
    header.writeUInt32LE(bytes.length, 0);
    header.writeUInt32LE(crc32(bytes), 4);
    writeWhole(this.#file, header);
    writeWhole(this.#file, bytes);
    this.#unsynced += bytes.length;
    if (this.#unsynced < SYNC_EVERY_BYTES) return;
    fsyncSync(this.#file);
    this.#unsynced = 0;
  }
}

/** The newest snapshot of the folder, or undefined. @throws CorruptLogError, LogKeyError */
export function readNewestSnapshot(folder: string, cipher: DataCipher): StoredSnapshot | undefined {
  const name = snapshotNames(folder).at(-1);
  return name === undefined ? undefined : readSnapshot(folder, name, cipher);
}

/** Writes one snapshot that is sealed with another key than `cipher`'s anew, in its place. @returns false when there is none. */
export function resealSnapshot(folder: string, cipher: DataCipher): boolean {
  const name = snapshotNames(folder).findLast((each) => snapshotKey(folder, each) !== cipher.keyId);
  if (name === undefined) return false;
  const { meta, chunks } = readSnapshot(folder, name, cipher);
  const writer = new SnapshotWriter(folder, meta, cipher);
  for (const chunk of chunks) writer.write(chunk);
  writer.finish();
  return true;
}

/** IDs of the keys that the folder's snapshots are sealed with; empty for one that is not. */
export function snapshotKeys(folder: string): string[] {
  return snapshotNames(folder).map((name) => snapshotKey(folder, name));
}

function snapshotKey(folder: string, name: string): string {
  const file = openSync(path.join(folder, name), 'r');
  try {
    const header = Buffer.alloc(HEADER_BYTES);
    readSync(file, header, 0, HEADER_BYTES, 0);
    const head = Buffer.alloc(Math.min(header.readUInt32LE(0), MAX_HEAD_BYTES));
    readSync(file, head, 0, head.length, HEADER_BYTES);
    return parse<FileHead>(head, name).key;
  } finally {
    closeSync(file);
  }
}

function readSnapshot(folder: string, name: string, cipher: DataCipher): StoredSnapshot {
  const [head, ...records] = readRecords(path.join(folder, name));
  const { format, key, fingerprint } = parse<FileHead>(head, name);
  if (format !== FORMAT)
    throw new CorruptLogError(
      `${path.join(folder, name)}: format ${format} is not known, this version writes ${FORMAT}: was it made by a newer one?`,
    );
  cipher.check(key, fingerprint);
  const [meta, ...chunks] = records.map((record, at) => cipher.open(record, key, purposeOf(name, at + 1)));
  const count = chunks.pop();
  if (meta === undefined || Number(Buffer.from(count ?? []).toString()) !== chunks.length + 1) {
    throw new CorruptLogError(`${name}: records are missing`);
  }
  return { meta: parse<SnapshotMeta>(meta, name), chunks };
}

/** Removes what an earlier life has left of a leader's snapshot. */
export function removeIncoming(folder: string): void {
  for (const name of readdirSync(folder)) if (name.endsWith(INCOMING)) rmSync(path.join(folder, name), { force: true });
}

/** Removes what was never finished, and all finished ones but the newest and `keepOld` more. */
export function removeOldSnapshots(folder: string, keepOld: number): void {
  const names = snapshotNames(folder);
  const old = names.slice(0, Math.max(0, names.length - 1 - keepOld));
  const partial = readdirSync(folder).filter((name) => name.endsWith(PARTIAL));
  for (const name of [...old, ...partial]) rmSync(path.join(folder, name), { force: true });
}

function snapshotNames(folder: string): string[] {
  return readdirSync(folder)
    .filter((name) => NAME.test(name))
    .toSorted();
}

function purposeOf(name: string, record: number): string {
  return `record ${record} of ${name}`;
}

function parse<T>(bytes: Uint8Array | undefined, name: string): T {
  try {
    return JSON.parse(Buffer.from(bytes ?? []).toString()) as T;
  } catch (error) {
    throw new CorruptLogError(`${name}: its head is damaged: ${messageOf(error)}`);
  }
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
