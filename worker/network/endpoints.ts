import type { Clock } from '../../proto/runtime/clock.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { FileTable } from '../storage/file-table.ts';
import { DurableRows } from './durable-rows.ts';
import type { LocalNetworkEndpoint } from './local-endpoint.ts';

/** Called after the endpoints of a network have changed. */
export type EndpointsListener = (networkId: string, endpointId: string) => void;

/** The endpoints of this host, on disk: the engine does not repeat them after either of us restarts. */
export class Endpoints {
  readonly #rows: DurableRows<LocalNetworkEndpoint>;
  readonly #listeners = new Set<EndpointsListener>();

  constructor(table: FileTable<LocalNetworkEndpoint>, modules: { clock: Clock; log: Log }) {
    this.#rows = new DurableRows(table, modules);
  }

  open(): Promise<void> {
    return this.#rows.open();
  }

  close(): void {
    this.#rows.close();
  }

  get(endpointId: string): LocalNetworkEndpoint | undefined {
    return this.#rows.get(endpointId);
  }

  all(): LocalNetworkEndpoint[] {
    return [...this.#rows.values()];
  }

  onNetwork(networkId: string): LocalNetworkEndpoint[] {
    return this.all().filter((endpoint) => endpoint.networkId === networkId);
  }

  /** Listeners are told before it is on disk, which is when this resolves. @throws what the file system says. */
  async put(endpoint: LocalNetworkEndpoint): Promise<void> {
    const written = this.#rows.put(endpoint.endpointId, endpoint);
    this.#announce(endpoint);
    try {
      await written;
    } catch (error) {
      this.#announce(endpoint);
      throw error;
    }
  }

  /** Not there is no error. */
  remove(endpointId: string): void {
    const endpoint = this.#rows.get(endpointId);
    if (endpoint === undefined) return;
    this.#rows.delete(endpointId);
    this.#announce(endpoint);
  }

  /** Returns the unsubscribe. */
  onChange(listener: EndpointsListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #announce(endpoint: LocalNetworkEndpoint): void {
    for (const listener of this.#listeners) listener(endpoint.networkId, endpoint.endpointId);
  }
}
