import type { AllocatedSubnet } from '../../proto/objects/network.ts';
import { AddressSpace } from './address-space.ts';
import { type Cidr, formatAddress, lastOf, parseAddress, parsePrefix, withoutPrefix } from './cidr.ts';

/** Who has an address: `task/ID`, `service/ID` or `attachment/ID`. */
export type Holder = string;

export type Grant =
  | { ok: true /** CIDR. */; address: string }
  | { ok: false; reason: 'unknown-network' | 'malformed' | 'out-of-range' | 'taken' | 'exhausted' };

export interface Holding {
  holder: Holder;
  networkId: string;
  /** CIDR. */
  address: string;
}

interface Subnet {
  block: Cidr;
  space: AddressSpace;
  /** Taken for good, whoever claims them. */
  reserved: ReadonlySet<number>;
}

interface Book {
  /** As defined, to see whether a new definition says anything new. */
  definition: string;
  subnets: Subnet[];
  /** The first holder owns the address; others are there by mistake and keep it from being given away. */
  holders: Map<number, Holder[]>;
}

/**
 * Every address of every network and who holds it: at most one address a holder and network. Kept in memory on the
 * leader; the store is the truth, and what is given here is a reservation until the holder's row is committed. An
 * address is free again once its last holder is gone, however often that is said. Synchronous throughout, so
 * that no two callers can get the same address.
 */
export class AddressBook {
  readonly #networks = new Map<string, Book>();
  readonly #byHolder = new Map<Holder, Map<string, number>>();
  readonly #pinned = new Set<Holder>();
  #onFree: (networkId: string) => void = () => undefined;

  /** Idempotent. Network, broadcast, gateway and auxiliary addresses are never given out. */
  define(networkId: string, subnets: readonly AllocatedSubnet[]): void {
    const definition = JSON.stringify(subnets);
    if (this.#networks.get(networkId)?.definition === definition) return;
    this.drop(networkId);
    this.#networks.set(networkId, { definition, subnets: subnets.flatMap(subnetOf), holders: new Map() });
  }

  /** Forgets the network and everything held in it. */
  drop(networkId: string): void {
    for (const holder of [...(this.#networks.get(networkId)?.holders.values() ?? [])].flat()) {
      this.release(holder, networkId);
    }
    this.#networks.delete(networkId);
  }

  /**
   * Gives the holder an address, the same as before when it owns one already.
   * @param wanted this very address, with or without prefix length.
   */
  give(networkId: string, holder: Holder, wanted?: string): Grant {
    const book = this.#networks.get(networkId);
    if (book === undefined) return { ok: false, reason: 'unknown-network' };
    const held = this.#owned(book, networkId, holder);
    if (wanted !== undefined) return this.#giveThis(book, networkId, holder, wanted, held);
    if (held !== undefined) return { ok: true, address: cidrOf(book, held) };
    for (const { space } of book.subnets) {
      const address = space.takeNext();
      if (address === undefined) continue;
      this.#hold(book, networkId, holder, address);
      return { ok: true, address: cidrOf(book, address) };
    }
    return { ok: false, reason: 'exhausted' };
  }

  /**
   * Records what the store says. @returns the owner when that is somebody else: the address is held twice.
   * Addresses outside the network are ignored.
   */
  claim(networkId: string, holder: Holder, cidr: string): Holder | undefined {
    const book = this.#networks.get(networkId);
    const address = parseAddress(withoutPrefix(cidr));
    if (book === undefined || address === undefined) return undefined;
    const subnet = book.subnets.find(({ space }) => space.includes(address));
    if (subnet === undefined) return undefined;
    if (this.#byHolder.get(holder)?.get(networkId) !== address) {
      this.release(holder, networkId);
      subnet.space.take(address);
      this.#hold(book, networkId, holder, address);
    }
    const [owner] = book.holders.get(address) ?? [];
    return owner === holder ? undefined : owner;
  }

  /** Takes the holder's address away, in one network or in all. @returns the networks in which it had one. */
  release(holder: Holder, networkId?: string): string[] {
    const held = this.#byHolder.get(holder);
    if (held === undefined) return [];
    const networks = networkId === undefined ? [...held.keys()] : [networkId].filter((id) => held.has(id));
    for (const id of networks) this.#releaseIn(id, holder, held.get(id) ?? -1);
    return networks;
  }

  /** Says that a row of this holder may yet be committed: a reload of the book must not take its address away. */
  pin(holder: Holder): void {
    this.#pinned.add(holder);
  }

  unpin(holder: Holder): void {
    this.#pinned.delete(holder);
  }

  isPinned(holder: Holder): boolean {
    return this.#pinned.has(holder);
  }

  /** Called, synchronously, whenever an address of a network can be given out again. */
  onFree(listener: (networkId: string) => void): void {
    this.#onFree = listener;
  }

  /** The address that the holder owns there, as CIDR. */
  addressOf(networkId: string, holder: Holder): string | undefined {
    const book = this.#networks.get(networkId);
    const address = book === undefined ? undefined : this.#owned(book, networkId, holder);
    return book === undefined || address === undefined ? undefined : cidrOf(book, address);
  }

  /** Networks in which the holder has an address. */
  networksOf(holder: Holder): string[] {
    return [...(this.#byHolder.get(holder)?.keys() ?? [])];
  }

  networkIds(): string[] {
    return [...this.#networks.keys()];
  }

  holdings(): Holding[] {
    return this.#byHolder
      .entries()
      .flatMap(([holder, held]) =>
        [...held].flatMap(([networkId, address]) => {
          const book = this.#networks.get(networkId);
          return book === undefined ? [] : [{ holder, networkId, address: cidrOf(book, address) }];
        }),
      )
      .toArray();
  }

  /** Addresses that can still be given out without being asked for. */
  freeCount(networkId: string): number {
    return (this.#networks.get(networkId)?.subnets ?? []).reduce((sum, { space }) => sum + space.freeCount, 0);
  }

  /** Makes each network go on after the highest address held: what was given last is not known any more. */
  resumeAfterHighest(): void {
    for (const { subnets, holders } of this.#networks.values()) {
      for (const { space } of subnets) {
        let highest = -1;
        for (const address of holders.keys()) if (space.includes(address) && address > highest) highest = address;
        if (highest >= 0) space.resumeAfter(highest);
      }
    }
  }

  #giveThis(book: Book, networkId: string, holder: Holder, wanted: string, held: number | undefined): Grant {
    const address = parseAddress(withoutPrefix(wanted));
    if (address === undefined) return { ok: false, reason: 'malformed' };
    if (address === held) return { ok: true, address: cidrOf(book, address) };
    const subnet = book.subnets.find(({ space }) => space.includes(address));
    if (subnet === undefined) return { ok: false, reason: 'out-of-range' };
    if (!subnet.space.take(address)) return { ok: false, reason: 'taken' };
    this.release(holder, networkId);
    this.#hold(book, networkId, holder, address);
    return { ok: true, address: cidrOf(book, address) };
  }

  #owned(book: Book, networkId: string, holder: Holder): number | undefined {
    const address = this.#byHolder.get(holder)?.get(networkId);
    return address !== undefined && book.holders.get(address)?.[0] === holder ? address : undefined;
  }

  #hold(book: Book, networkId: string, holder: Holder, address: number): void {
    // One that holds it by mistake with another gives that up.
    if (this.#byHolder.get(holder)?.has(networkId) === true) this.release(holder, networkId);
    book.holders.set(address, [...(book.holders.get(address) ?? []), holder]);
    const held = this.#byHolder.get(holder) ?? new Map<string, number>();
    this.#byHolder.set(holder, held.set(networkId, address));
  }

  #releaseIn(networkId: string, holder: Holder, address: number): void {
    const held = this.#byHolder.get(holder);
    held?.delete(networkId);
    if (held?.size === 0) this.#byHolder.delete(holder);
    const book = this.#networks.get(networkId);
    if (book === undefined) return;
    const left = (book.holders.get(address) ?? []).filter((other) => other !== holder);
    if (left.length > 0) {
      book.holders.set(address, left);
      return;
    }
    book.holders.delete(address);
    const subnet = book.subnets.find(({ space }) => space.includes(address));
    if (subnet?.reserved.has(address) !== false) return;
    subnet.space.free(address);
    this.#onFree(networkId);
  }
}

function subnetOf(allocated: AllocatedSubnet): Subnet[] {
  const subnet = parsePrefix(allocated.Subnet)?.block;
  const range = parsePrefix(allocated.IPRange)?.block ?? subnet;
  if (subnet === undefined || range === undefined) return [];
  const bounds = { first: subnet.base, last: lastOf(subnet), from: range.base, to: lastOf(range) };
  const space = new AddressSpace(bounds);
  const fixed = [allocated.Gateway, ...Object.values(allocated.AuxiliaryAddresses ?? {})].map(parseAddress);
  const reserved = new Set([bounds.first, bounds.last, ...fixed.filter((address) => address !== undefined)]);
  for (const address of reserved) space.take(address);
  return [{ block: subnet, space, reserved }];
}

function cidrOf(book: Book, address: number): string {
  const subnet = book.subnets.find(({ space }) => space.includes(address));
  return `${formatAddress(address)}/${subnet?.block.bits ?? 32}`;
}
