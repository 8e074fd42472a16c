import type { SnapshotMeta } from '../core/entry.ts';
import type { DataCipher } from './data-cipher.ts';
import { INCOMING, SnapshotWriter } from './snapshot-file.ts';

export type StageRequest =
  | { kind: 'stage-begin'; id: number; meta: SnapshotMeta }
  | { kind: 'stage-chunk'; id: number; chunk: Uint8Array }
  | { kind: 'stage-finish'; id: number }
  | { kind: 'stage-discard'; id: number };

/** Snapshots of a leader's: at most one that is coming in, and those that are whole and wait to be installed or discarded. */
export class StagingArea {
  readonly #folder: string;
  readonly #whole = new Map<number, SnapshotWriter>();
  #coming: { id: number; writer: SnapshotWriter } | undefined;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns false when the snapshot was given up for a newer one. */
  handle(request: StageRequest, cipher: DataCipher): boolean {
    const { id } = request;
    if (request.kind === 'stage-begin') {
      this.giveUp();
      const writer = new SnapshotWriter(this.#folder, request.meta, cipher, `.${id}${INCOMING}`);
      this.#coming = { id, writer };
      return true;
    }
    if (request.kind === 'stage-discard') {
      if (this.#coming?.id === id) this.giveUp();
      this.#whole.get(id)?.abandon();
      this.#whole.delete(id);
      return true;
    }
    if (this.#coming?.id !== id) return false;
    const { writer } = this.#coming;
    if (request.kind === 'stage-chunk') {
      writer.write(request.chunk);
    } else {
      writer.seal();
      this.#coming = undefined;
      this.#whole.set(id, writer);
    }
    return true;
  }

  /** Gives the snapshot its name. @throws Error when it is not here. */
  publish(id: number): void {
    const writer = this.#whole.get(id);
    if (writer === undefined) throw new Error('the snapshot to install is not staged');
    writer.publish();
    this.#whole.delete(id);
  }

  /** The one that is coming in. */
  giveUp(): void {
    this.#coming?.writer.abandon();
    this.#coming = undefined;
  }
}
