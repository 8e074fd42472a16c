import type Docker from 'dockerode';
import { isNotFound } from './engine-error.ts';
import type { Engine } from './engine.ts';

interface Entry {
  byNetwork: ReadonlyMap<string, readonly string[]>;
  /** False: still the best that is known, to be read again. */
  fresh: boolean;
  /** Nothing was read, and nothing is expected. */
  assumed?: boolean;
}

const NONE: readonly string[] = [];

/** The aliases that containers have on each network, which only an inspect tells. */
export class AliasCache {
  readonly #options: { inspectTimeoutMs: number };
  readonly #engine: Engine;
  readonly #entries = new Map<string, Entry>();
  readonly #loading = new Map<string, Promise<boolean>>();

  constructor(options: { inspectTimeoutMs: number }, modules: { engine: Engine }) {
    this.#options = options;
    this.#engine = modules.engine;
  }

  get(containerId: string, networkName: string): readonly string[] {
    return this.#entries.get(containerId)?.byNetwork.get(networkName) ?? NONE;
  }

  isFresh(containerId: string): boolean {
    return this.#entries.get(containerId)?.fresh === true;
  }

  /** Begins to read without anybody waiting; a failure leaves the entry to be read when it is needed. */
  prefetch(containerId: string): void {
    void this.load(containerId);
  }

  /** A container whose aliases are known elsewhere: it counts as having none, until `verify`. */
  assumeNone(containerId: string): void {
    this.#entries.set(containerId, { byNetwork: new Map(), fresh: true, assumed: true });
  }

  isAssumed(containerId: string): boolean {
    return this.#entries.get(containerId)?.assumed === true;
  }

  /** What was assumed is to be read when it is next needed. */
  verify(): void {
    for (const [id, { assumed }] of this.#entries) if (assumed === true) this.expire(id);
  }

  /** Reads once at a time for each container. Never throws. @returns false when the engine did not answer. */
  load(containerId: string): Promise<boolean> {
    const running = this.#loading.get(containerId);
    if (running !== undefined) return running;
    const load = this.#read(containerId).finally(() => this.#loading.delete(containerId));
    this.#loading.set(containerId, load);
    return load;
  }

  /** What is known may have changed. */
  expire(containerId: string): void {
    const entry = this.#entries.get(containerId);
    if (entry !== undefined) this.#entries.set(containerId, { byNetwork: entry.byNetwork, fresh: false });
  }

  forget(containerId: string): void {
    this.#entries.delete(containerId);
  }

  /** Events were missed, so no entry is sure any more. */
  expireAll(): void {
    for (const id of this.#entries.keys()) this.expire(id);
  }

  /** Drops what belongs to none of these containers: their end may have been missed. */
  retain(containerIds: ReadonlySet<string>): void {
    for (const id of this.#entries.keys()) if (!containerIds.has(id)) this.#entries.delete(id);
  }

  async #read(containerId: string): Promise<boolean> {
    try {
      const container = await this.#engine.call(
        (docker, abortSignal) => docker.getContainer(containerId).inspect({ abortSignal }),
        { timeoutMs: this.#options.inspectTimeoutMs },
      );
      this.#entries.set(containerId, { byNetwork: aliasesOf(container), fresh: true });
      return true;
    } catch (error) {
      if (!isNotFound(error)) return false;
      this.#entries.delete(containerId);
      return true;
    }
  }
}

function aliasesOf(container: Docker.ContainerInspectInfo): Map<string, readonly string[]> {
  const networks = Object.entries(container.NetworkSettings.Networks) as [string, { Aliases?: string[] | null }][];
  return new Map(networks.map(([name, settings]) => [name, settings.Aliases ?? []]));
}
