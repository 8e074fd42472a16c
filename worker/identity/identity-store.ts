import path from 'node:path';
import type { TlsMaterial } from '../../proto/rpc/credentials.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { FileTable } from '../storage/file-table.ts';
import { Identity } from './identity.ts';

const ROW = 'node';

/**
 * The identity on disk: `<data-dir>/identity/node.json` (mode 0600). Certificate, key and root are one file, so that
 * they are always of one renewal.
 */
export class IdentityStore {
  readonly #table: FileTable<TlsMaterial>;

  constructor(options: { dataDir: string }) {
    this.#table = new FileTable(path.join(options.dataDir, 'identity'));
  }

  /** Undefined when this node is in no swarm. @throws WaggleError when what is there cannot be used. */
  async load(): Promise<Identity | undefined> {
    const rows = await this.#table.open();
    const material = rows.get(ROW);
    const [corrupt] = this.#table.corrupt;
    if (material === undefined && corrupt !== undefined) {
      throw new WaggleError('internal', `the node's identity cannot be read: ${corrupt}`);
    }
    return material === undefined ? undefined : new Identity(material);
  }

  async save(material: TlsMaterial): Promise<void> {
    await this.#table.open();
    await this.#table.put(ROW, material);
  }

  /** Removes every trace, key included. */
  remove(): Promise<void> {
    return this.#table.destroy();
  }
}
