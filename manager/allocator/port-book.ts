/** Dynamic range of swarmkit's port allocator. */
export const DYNAMIC_PORT_START = 30000;
const DYNAMIC_PORT_END = 32767;

type Key = `${string}/${number}`;

/** Which service publishes which port on the whole cluster (ingress mode), per protocol. */
export class PortBook {
  readonly #owners = new Map<Key, string>();
  readonly #keysOf = new Map<string, Set<Key>>();
  #next = DYNAMIC_PORT_START;

  /** @returns the service that has the port when it is another one. */
  take(serviceId: string, protocol: string, port: number): string | undefined {
    const key: Key = `${protocol}/${port}`;
    const owner = this.#owners.get(key);
    if (owner !== undefined) return owner === serviceId ? undefined : owner;
    this.#owners.set(key, serviceId);
    const keys = this.#keysOf.get(serviceId) ?? new Set<Key>();
    this.#keysOf.set(serviceId, keys.add(key));
    return undefined;
  }

  /** A free port of the dynamic range, serially. @returns undefined when all are taken. */
  takeDynamic(serviceId: string, protocol: string): number | undefined {
    const size = DYNAMIC_PORT_END - DYNAMIC_PORT_START + 1;
    for (let tries = 0; tries < size; tries++) {
      const port = this.#next;
      this.#next = port === DYNAMIC_PORT_END ? DYNAMIC_PORT_START : port + 1;
      if (this.#owners.has(`${protocol}/${port}`)) continue;
      this.take(serviceId, protocol, port);
      return port;
    }
    return undefined;
  }

  /** Gives back all ports of the service but `keep` (`tcp/80`). @returns true when one became free. */
  releaseExcept(serviceId: string, keep: ReadonlySet<string> = new Set()): boolean {
    const keys = this.#keysOf.get(serviceId) ?? new Set<Key>();
    const dropped = [...keys].filter((key) => !keep.has(key));
    for (const key of dropped) {
      keys.delete(key);
      this.#owners.delete(key);
    }
    if (keys.size === 0) this.#keysOf.delete(serviceId);
    return dropped.length > 0;
  }

  /** Services that have a port. */
  services(): string[] {
    return [...this.#keysOf.keys()];
  }

  /** `tcp/80` for every port that it has. */
  of(serviceId: string): string[] {
    return [...(this.#keysOf.get(serviceId) ?? [])];
  }

  get size(): number {
    return this.#owners.size;
  }
}
