export interface ConnectionLimitsOptions {
  /** From all addresses together. */
  total: number;
  perAddress: number;
}

/**
 * Places for connections that have proved nothing yet. What one address may hold is less than all there is, so that a
 * single host that opens connections and keeps them does not shut everybody else out.
 */
export class ConnectionLimits {
  readonly #options: ConnectionLimitsOptions;
  readonly #held = new Map<string, number>();
  #total = 0;

  constructor(options: ConnectionLimitsOptions) {
    this.#options = options;
  }

  /** @returns gives the place back, once however often it is called; undefined when there is none for this address. */
  admit(address: string): (() => void) | undefined {
    const held = this.#held.get(address) ?? 0;
    if (this.#total >= this.#options.total || held >= this.#options.perAddress) return undefined;
    this.#held.set(address, held + 1);
    this.#total += 1;
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.#total -= 1;
      const left = (this.#held.get(address) ?? 1) - 1;
      if (left > 0) this.#held.set(address, left);
      else this.#held.delete(address);
    };
  }
}
