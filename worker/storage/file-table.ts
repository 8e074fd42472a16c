import { type FileHandle, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { makeFolder } from '../../proto/runtime/folder.ts';

const SUFFIX = '.json';
const TEMPORARY = '.tmp-';
const CORRUPT = '.corrupt';
/** NAME_MAX of Linux file systems, less the suffixes that we add. */
const MAX_NAME_BYTES = 255 - 16;

export interface FileTableOptions {
  /**
   * False for rows that describe something which a restart of the host ends too: they outlive this process, killed or not, and need
   * not wait for the disk. Default true.
   */
  sync?: boolean;
}

/**
 * A small durable map: one JSON file per key (mode 0600) in a folder of its own. A write is on the disk when its
 * promise resolves (file and folder synced, unless `sync` is false), and a crash leaves either the old value or the new
 * one. Writes of one key happen in the order they were asked for.
 */
export class FileTable<T> {
  readonly #folder: string;
  readonly #sync: boolean;
  readonly #corrupt: string[] = [];
  /** Last write per key still under way. */
  readonly #writing = new Map<string, Promise<void>>();
  #temporaries = 0;
  #destroyed = false;

  constructor(folder: string, options: FileTableOptions = {}) {
    this.#folder = folder;
    this.#sync = options.sync !== false;
  }

  /** Files that were not JSON when the table was opened; they were set aside under the suffix `.corrupt`. */
  get corrupt(): readonly string[] {
    return this.#corrupt;
  }

  /** Makes the folder when it is missing and reads every row. What an interrupted write left is removed. */
  async open(): Promise<Map<string, T>> {
    makeFolder(this.#folder, 0o700);
    const rows = new Map<string, T>();
    for (const name of await readdir(this.#folder)) {
      const file = path.join(this.#folder, name);
      if (name.startsWith(TEMPORARY)) await rm(file, { force: true });
      if (name.startsWith(TEMPORARY) || !name.endsWith(SUFFIX)) continue;
      try {
        rows.set(decodeURIComponent(name.slice(0, -SUFFIX.length)), JSON.parse(await readFile(file, 'utf8')) as T);
      } catch (error) {
        // Deleted meanwhile, by a write of a former life that is just coming to its end.
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') continue;
        if (!(error instanceof SyntaxError) && !(error instanceof URIError)) throw error;
        await rename(file, `${file}${CORRUPT}`);
        this.#corrupt.push(file);
      }
    }
    return rows;
  }

  /** Makes or replaces the row. The folder is made again if it is gone. @throws what the file system says; the old row is then still there. */
  put(key: string, value: T): Promise<void> {
    const target = this.#fileOf(key);
    const text = JSON.stringify(value);
    return this.#inOrder(key, () => this.#replace(target, text));
  }

  /** A row that is not there is no error. */
  delete(key: string): Promise<void> {
    const target = this.#fileOf(key);
    return this.#inOrder(key, async () => {
      await rm(target, { force: true });
      if (this.#sync) await this.#syncFolder();
    });
  }

  /** Resolves when the writes that were asked for so far have ended, well or not. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#writing.values());
  }

  /** Removes every row and the folder. */
  async destroy(): Promise<void> {
    this.#destroyed = true;
    await this.settle();
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** A folder that somebody has removed is made again, or no row could ever be written until a restart. */
  async #replace(target: string, text: string): Promise<void> {
    try {
      await this.#write(target, text);
    } catch (error) {
      if (this.#destroyed || (error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      makeFolder(this.#folder, 0o700);
      await this.#write(target, text);
    }
  }

  async #write(target: string, text: string): Promise<void> {
    const temporary = path.join(this.#folder, `${TEMPORARY}${process.pid}-${this.#temporaries++}`);
    try {
      await withFile(temporary, 'wx', async (file) => {
        await file.writeFile(text);
        if (this.#sync) await file.sync();
      });
      await rename(temporary, target);
    } catch (error) {
      await rm(temporary, { force: true });
      throw error;
    }
    if (this.#sync) await this.#syncFolder();
  }

  #syncFolder(): Promise<void> {
    return withFile(this.#folder, 'r', (folder) => folder.sync());
  }

  #inOrder(key: string, write: () => Promise<void>): Promise<void> {
    const before = this.#writing.get(key) ?? Promise.resolve();
    const now = before.then(write, write);
    this.#writing.set(key, now);
    const forget = (): void => {
      if (this.#writing.get(key) === now) this.#writing.delete(key);
    };
    now.then(forget, forget);
    return now;
  }

  #fileOf(key: string): string {
    const name = encodeURIComponent(key);
    if (name === '' || name.length > MAX_NAME_BYTES) throw new RangeError(`not a usable key: ${JSON.stringify(key)}`);
    return path.join(this.#folder, `${name}${SUFFIX}`);
  }
}

async function withFile(file: string, flags: string, use: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(file, flags, 0o600);
  try {
    await use(handle);
  } finally {
    await handle.close();
  }
}
