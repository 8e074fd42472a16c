/** Things that cannot go on until something else happens, by what they wait for. */
export class WaitingList {
  readonly #byKey = new Map<string, Set<string>>();
  readonly #keysOf = new Map<string, readonly string[]>();

  get size(): number {
    return this.#keysOf.size;
  }

  has(item: string): boolean {
    return this.#keysOf.has(item);
  }

  put(item: string, keys: readonly string[]): void {
    this.remove(item);
    this.#keysOf.set(item, keys);
    for (const key of keys) this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(item));
  }

  remove(item: string): void {
    for (const key of this.#keysOf.get(item) ?? []) {
      const items = this.#byKey.get(key);
      items?.delete(item);
      if (items?.size === 0) this.#byKey.delete(key);
    }
    this.#keysOf.delete(item);
  }

  /** Takes out what waited for `key`, in the order it came. */
  wake(key: string): string[] {
    const items = [...(this.#byKey.get(key) ?? [])];
    for (const item of items) this.remove(item);
    return items;
  }

  clear(): void {
    this.#byKey.clear();
    this.#keysOf.clear();
  }
}
