/** That an address has another MAC from now on. */
export interface Announcement {
  address: string;
  mac: string;
}

/** Far more than a network's containers talk with; one that was forgotten is asked for anew by its peers after some seconds. */
const MAX_ADDRESSES = 10_000;

/**
 * What the containers of one network on this host may have in their own neighbour tables, and what is to be told to them: an address
 * that came to another container has, mostly, the same MAC (02:42 and the IPv4 address), but not where a MAC was chosen by hand, nor
 * for an IPv6 address, whose MAC is that of the IPv4 address beside it. Without word they would send to the former MAC for up to a minute.
 */
export class MovedAddresses {
  readonly #macs = new Map<string, string>();
  readonly #untold = new Map<string, string>();
  #hasBegun = false;

  /** What an earlier life of the daemon has told the kernel, and the kernel the containers. Counts once. */
  recall(neighbours: ReadonlyMap<string, { mac: string }>): void {
    if (this.#hasBegun) return;
    this.#hasBegun = true;
    for (const [address, { mac }] of neighbours) this.#keep(address, mac);
  }

  /** The address has this MAC now. */
  note(address: string, mac: string): void {
    const before = this.#macs.get(address);
    if (before === mac) return;
    this.#keep(address, mac);
    if (before !== undefined) this.#untold.set(address, mac);
  }

  /** What is still to be told; empty when nothing is. */
  untold(): Announcement[] {
    return Array.from(this.#untold, ([address, mac]) => ({ address, mac }));
  }

  told(announcements: readonly Announcement[]): void {
    for (const { address, mac } of announcements) if (this.#untold.get(address) === mac) this.#untold.delete(address);
  }

  #keep(address: string, mac: string): void {
    // The one that changed last is forgotten last.
    this.#macs.delete(address);
    this.#macs.set(address, mac);
    const [oldest] = this.#macs.keys();
    if (this.#macs.size > MAX_ADDRESSES && oldest !== undefined) this.#macs.delete(oldest);
  }
}
