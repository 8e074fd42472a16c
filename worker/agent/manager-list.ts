import path from 'node:path';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { FileTable } from '../storage/file-table.ts';

const ROW = 'managers';

/** Addresses (host:port) of managers, best first, kept over restarts. */
export class ManagerList {
  readonly #table: FileTable<string[]>;
  readonly #log: Log;
  #addresses: string[];
  #saved = '';

  /** @param options.seeds used until a manager has told us all. */
  constructor(options: { dataDir: string; seeds: readonly string[] }, modules: { log: Log }) {
    this.#table = new FileTable(path.join(options.dataDir, 'agent', 'managers'));
    this.#addresses = [...options.seeds];
    this.#log = modules.log;
  }

  async load(): Promise<void> {
    const rows = await this.#table.open();
    this.#saved = JSON.stringify(rows.get(ROW) ?? []);
    this.#addresses = [...new Set([...(rows.get(ROW) ?? []), ...this.#addresses])];
  }

  get addresses(): readonly string[] {
    return this.#addresses;
  }

  /** What a manager says; the first one leads. An empty list says nothing. */
  async set(addresses: readonly string[]): Promise<void> {
    const usable = addresses.filter((address) => address !== '');
    if (usable.length > 0) this.#addresses = [...new Set(usable)];
    const text = JSON.stringify(this.#addresses);
    if (text === this.#saved) return;
    try {
      await this.#table.put(ROW, this.#addresses);
      this.#saved = text;
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'list of managers not on disk, tried again with the next message');
    }
  }

  /** It could not be reached or does not lead: the next one comes first. */
  failed(address: string): void {
    if (!this.#addresses.includes(address)) return;
    this.#addresses = [...this.#addresses.filter((other) => other !== address), address];
  }

  destroy(): Promise<void> {
    return this.#table.destroy();
  }
}
