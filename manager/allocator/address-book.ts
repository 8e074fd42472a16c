import type { AllocatedSubnet } from '../../proto/objects/network.ts';
import { AddressSpace } from './address-space.ts';
import {
  type Cidr,
  endsOf,
  type Family,
  familyOf,
  formatAddress,
  lastOf,
  parseAddress,
  parsePrefix,
  prefixLength,
  withoutPrefix,
} from './cidr.ts';

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

const FAMILIES: readonly Family[] = [4, 6];

type BookKey = `${string}/${Family}`;

interface Subnet {
  block: Cidr;
  space: AddressSpace;
  /** Taken for good, whoever claims them. */
  reserved: ReadonlySet<bigint>;
}

/** The addresses of one family of one network. */
interface Book {
  networkId: string;
  /** As defined, to see whether a new definition says anything new. */
  definition: string;
  subnets: Subnet[];
  /** The first holder owns the address; others are there by mistake and keep it from being given away. */
  holders: Map<bigint, Holder[]>;
}

/**
 * Every address of every network and who holds it: at most one address a holder, network and family. Kept in memory on the
 * leader; the store is the truth, and what is given here is a reservation until the holder's row is committed. An
 * address is free again once its last holder is gone, however often that is said. Synchronous throughout, so
 * that no two callers can get the same address.
 */
export class AddressBook {
  readonly #books = new Map<BookKey, Book>();
  readonly #byHolder = new Map<Holder, Map<BookKey, bigint>>();
  readonly #pinned = new Set<Holder>();
  #onFree: (networkId: string) => void = () => undefined;

  /** Idempotent. Network, broadcast, gateway and auxiliary addresses are never given out. */
  define(networkId: string, subnets: readonly AllocatedSubnet[]): void {
    for (const family of FAMILIES) {
      const key = keyOf(networkId, family);
      const ofFamily = subnets.filter(({ Subnet }) => Subnet.includes(':') === (family === 6));
      const definition = JSON.stringify(ofFamily);
      if (this.#books.get(key)?.definition === definition) continue;
      this.#drop(key);
      if (ofFamily.length === 0) continue;
      this.#books.set(key, { networkId, definition, subnets: ofFamily.flatMap(subnetOf), holders: new Map() });
    }
  }

  /** Forgets the network and everything held in it. */
  drop(networkId: string): void {
    for (const family of FAMILIES) this.#drop(keyOf(networkId, family));
  }

  /** Those of which the network has addresses. */
  families(networkId: string): Family[] {
    return FAMILIES.filter((family) => this.#books.has(keyOf(networkId, family)));
  }

  /**
   * Gives the holder an address, the same as before when it owns one already.
   * @param wanted this very address, with or without prefix length; it decides the family.
   * @param family of any address, the first subnet first that has room.
   */
  give(networkId: string, holder: Holder, wanted?: string, family: Family = 4): Grant {
    if (this.families(networkId).length === 0) return { ok: false, reason: 'unknown-network' };
    const address = wanted === undefined ? undefined : parseAddress(withoutPrefix(wanted));
    if (wanted !== undefined && address === undefined) return { ok: false, reason: 'malformed' };
    const key = keyOf(networkId, address === undefined ? family : familyOf(address));
    const book = this.#books.get(key);
    if (book === undefined) return { ok: false, reason: 'out-of-range' };
    const held = this.#owned(key, holder);
    if (address !== undefined) return this.#giveThis(book, key, holder, address, held);
    if (held !== undefined) return { ok: true, address: cidrOf(book, held) };
    for (const { space } of book.subnets) {
      const next = space.takeNext();
      if (next === undefined) continue;
      this.#hold(book, key, holder, next);
      return { ok: true, address: cidrOf(book, next) };
    }
    return { ok: false, reason: 'exhausted' };
  }

  /**
   * Records what the store says. @returns the owner when that is somebody else: the address is held twice.
   * Addresses outside the network are ignored.
   */
  claim(networkId: string, holder: Holder, cidr: string): Holder | undefined {
    const address = parseAddress(withoutPrefix(cidr));
    if (address === undefined) return undefined;
    const key = keyOf(networkId, familyOf(address));
    const book = this.#books.get(key);
    if (book === undefined) return undefined;
    const subnet = book.subnets.find(({ space }) => space.includes(address));
    if (subnet === undefined) return undefined;
    if (this.#byHolder.get(holder)?.get(key) !== address) {
      this.#releaseIn(key, holder);
      subnet.space.take(address);
      this.#hold(book, key, holder, address);
    }
    const [owner] = book.holders.get(address) ?? [];
    return owner === holder ? undefined : owner;
  }

  /** Takes the holder's addresses away, in one network or in all. @returns the networks in which it had any. */
  release(holder: Holder, networkId?: string): string[] {
    const networks = this.networksOf(holder).filter((id) => networkId === undefined || id === networkId);
    for (const id of networks) for (const family of FAMILIES) this.#releaseIn(keyOf(id, family), holder);
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
  addressOf(networkId: string, holder: Holder, family: Family = 4): string | undefined {
    const key = keyOf(networkId, family);
    const book = this.#books.get(key);
    const address = this.#owned(key, holder);
    return book === undefined || address === undefined ? undefined : cidrOf(book, address);
  }

  /** Whether it holds, rightly or by mistake, an address there of the family of this one. */
  holdsLike(networkId: string, holder: Holder, cidr: string): boolean {
    return this.#byHolder.get(holder)?.has(keyOf(networkId, cidr.includes(':') ? 6 : 4)) === true;
  }

  /** Networks in which the holder has an address. */
  networksOf(holder: Holder): string[] {
    const keys = [...(this.#byHolder.get(holder)?.keys() ?? [])];
    return [...new Set(keys.flatMap((key) => this.#books.get(key)?.networkId ?? []))];
  }

  networkIds(): string[] {
    return [...new Set([...this.#books.values()].map(({ networkId }) => networkId))];
  }

  holdings(): Holding[] {
    return this.#byHolder
      .entries()
      .flatMap(([holder, held]) =>
        [...held].flatMap(([key, address]) => {
          const book = this.#books.get(key);
          return book === undefined ? [] : [{ holder, networkId: book.networkId, address: cidrOf(book, address) }];
        }),
      )
      .toArray();
  }

  /** Addresses that can still be given out without being asked for. */
  freeCount(networkId: string, family: Family = 4): number {
    return (this.#books.get(keyOf(networkId, family))?.subnets ?? []).reduce(
      (sum, { space }) => sum + space.freeCount,
      0,
    );
  }

  /** Makes each network go on after the highest address held: what was given last is not known any more. */
  resumeAfterHighest(): void {
    for (const { subnets, holders } of this.#books.values()) {
      for (const { space } of subnets) {
        let highest = -1n;
        for (const address of holders.keys()) if (space.includes(address) && address > highest) highest = address;
        if (highest >= 0n) space.resumeAfter(highest);
      }
    }
  }

  #giveThis(book: Book, key: BookKey, holder: Holder, address: bigint, held: bigint | undefined): Grant {
    if (address === held) return { ok: true, address: cidrOf(book, address) };
    const subnet = book.subnets.find(({ space }) => space.includes(address));
    if (subnet === undefined) return { ok: false, reason: 'out-of-range' };
    if (!subnet.space.take(address)) return { ok: false, reason: 'taken' };
    this.#hold(book, key, holder, address);
    return { ok: true, address: cidrOf(book, address) };
  }

  #owned(key: BookKey, holder: Holder): bigint | undefined {
    const address = this.#byHolder.get(holder)?.get(key);
    return address !== undefined && this.#books.get(key)?.holders.get(address)?.[0] === holder ? address : undefined;
  }

  #hold(book: Book, key: BookKey, holder: Holder, address: bigint): void {
    // Whatever it had there, rightly or by mistake with another, it gives up.
    this.#releaseIn(key, holder);
    book.holders.set(address, [...(book.holders.get(address) ?? []), holder]);
    const held = this.#byHolder.get(holder) ?? new Map<BookKey, bigint>();
    this.#byHolder.set(holder, held.set(key, address));
  }

  #drop(key: BookKey): void {
    for (const holder of [...(this.#books.get(key)?.holders.values() ?? [])].flat()) this.#releaseIn(key, holder);
    this.#books.delete(key);
  }

  #releaseIn(key: BookKey, holder: Holder): void {
    const held = this.#byHolder.get(holder);
    const address = held?.get(key);
    if (held === undefined || address === undefined) return;
    held.delete(key);
    if (held.size === 0) this.#byHolder.delete(holder);
    const book = this.#books.get(key);
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
    this.#onFree(book.networkId);
  }
}

function subnetOf(allocated: AllocatedSubnet): Subnet[] {
  const subnet = parsePrefix(allocated.Subnet)?.block;
  const range = parsePrefix(allocated.IPRange)?.block ?? subnet;
  if (subnet === undefined || range === undefined) return [];
  const bounds = { first: subnet.base, last: lastOf(subnet), from: range.base, to: lastOf(range) };
  const space = new AddressSpace(bounds);
  const fixed = [allocated.Gateway, ...Object.values(allocated.AuxiliaryAddresses ?? {})].map(parseAddress);
  const reserved = new Set([...endsOf(subnet), ...fixed.filter((address) => address !== undefined)]);
  for (const address of reserved) space.take(address);
  return [{ block: subnet, space, reserved }];
}

function keyOf(networkId: string, family: Family): BookKey {
  return `${networkId}/${family}`;
}

function cidrOf(book: Book, address: bigint): string {
  const subnet = book.subnets.find(({ space }) => space.includes(address));
  return subnet === undefined ? formatAddress(address) : `${formatAddress(address)}/${prefixLength(subnet.block)}`;
}
