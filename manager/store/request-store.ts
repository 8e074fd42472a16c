import type { TableName } from './tables.ts';
import type { ReadTx, Store, StoreUpdateOptions, Watch, WriteTx } from './transaction.ts';

/**
 * The store as one request sees it: its first change is remembered under the request's name, and cannot be made twice, nor in
 * another term of leadership than that in which it was asked for. What follows the first one belongs to what was made.
 */
export class RequestStore implements Store {
  readonly #store: Store;
  readonly #term: number;
  #request: string | undefined;
  #hasProposed = false;

  constructor(store: Store, { request, term }: { request: string; term: number }) {
    this.#store = store;
    this.#request = request;
    this.#term = term;
  }

  /** The request's first change was made through this very store. */
  get hasChanged(): boolean {
    return this.#request === undefined;
  }

  /** A change was proposed through this very store; what became of it is another question. */
  get hasProposed(): boolean {
    return this.#hasProposed;
  }

  view<R>(read: (tx: ReadTx) => R): R {
    return this.#store.view(read);
  }

  async update<R>(write: (tx: WriteTx) => R, options?: StoreUpdateOptions): Promise<R> {
    const request = this.#request;
    if (request === undefined) return await this.#store.update(write, options);
    const proposing = (tx: WriteTx): R => {
      const result = write(tx);
      this.#hasProposed = true;
      return result;
    };
    const result = await this.#store.update(proposing, { ...options, request, term: this.#term });
    this.#request = undefined;
    return result;
  }

  watch(tables?: readonly TableName[]): Watch {
    return this.#store.watch(tables);
  }

  viewAndWatch<R>(read: (tx: ReadTx) => R, tables?: readonly TableName[]): { view: R; watch: Watch } {
    return this.#store.viewAndWatch(read, tables);
  }
}
