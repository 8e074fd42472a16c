/** Addresses kept in one word group; groups exist only once something in them was taken. */
const CHUNK = 1024;
const CHUNK_BITS = 10n;

interface Chunk {
  bits: Uint32Array;
  taken: number;
}

/**
 * Which addresses of a block are taken. Free ones are given out serially: the next after the last one given,
 * wrapping, so that an address rests as long as possible before it is used again. Memory and time do not depend
 * on the size of the block beyond one step per full group of 1024.
 */
export class AddressSpace {
  readonly #first: bigint;
  readonly #last: bigint;
  readonly #from: bigint;
  readonly #to: bigint;
  readonly #chunks = new Map<bigint, Chunk>();
  #takenInRange = 0;
  #next: bigint;

  /** Inclusive bounds of all addresses, and of the range that `takeNext` gives from. */
  constructor(options: { first: bigint; last: bigint; from: bigint; to: bigint }) {
    this.#first = options.first;
    this.#last = options.last;
    this.#from = options.from;
    this.#to = options.to;
    this.#next = options.from;
  }

  /** Addresses that `takeNext` can still give; not exact above 2^53. */
  get freeCount(): number {
    return Number(this.#to - this.#from + 1n - BigInt(this.#takenInRange));
  }

  includes(address: bigint): boolean {
    return address >= this.#first && address <= this.#last;
  }

  has(address: bigint): boolean {
    const chunk = this.#chunks.get(address >> CHUNK_BITS);
    const at = within(address);
    return chunk !== undefined && (((chunk.bits[at >> 5] ?? 0) >>> (at & 31)) & 1) === 1;
  }

  /** @returns false when it is taken or not of this space. */
  take(address: bigint): boolean {
    if (!this.includes(address) || this.has(address)) return false;
    const key = address >> CHUNK_BITS;
    const chunk = this.#chunks.get(key) ?? { bits: new Uint32Array(CHUNK / 32), taken: 0 };
    this.#chunks.set(key, chunk);
    const at = within(address);
    chunk.bits[at >> 5] = (chunk.bits[at >> 5] ?? 0) | (1 << (at & 31));
    chunk.taken++;
    if (this.#inRange(address)) this.#takenInRange++;
    return true;
  }

  /** @returns undefined when none is free. */
  takeNext(): bigint | undefined {
    if (this.freeCount <= 0) return undefined;
    const found = this.#firstFree(this.#next, this.#to) ?? this.#firstFree(this.#from, this.#to);
    if (found === undefined) return undefined;
    this.take(found);
    this.#next = found === this.#to ? this.#from : found + 1n;
    return found;
  }

  /** @returns false when it was free. */
  free(address: bigint): boolean {
    if (!this.has(address)) return false;
    const key = address >> CHUNK_BITS;
    const chunk = this.#chunks.get(key);
    if (chunk === undefined) return false;
    const at = within(address);
    chunk.bits[at >> 5] = (chunk.bits[at >> 5] ?? 0) & ~(1 << (at & 31));
    chunk.taken--;
    if (chunk.taken === 0) this.#chunks.delete(key);
    if (this.#inRange(address)) this.#takenInRange--;
    return true;
  }

  /** Makes `takeNext` go on after this address. */
  resumeAfter(address: bigint): void {
    if (this.#inRange(address)) this.#next = address === this.#to ? this.#from : address + 1n;
  }

  #inRange(address: bigint): boolean {
    return address >= this.#from && address <= this.#to;
  }

  #firstFree(from: bigint, to: bigint): bigint | undefined {
    for (let address = from; address <= to; ) {
      const chunk = this.#chunks.get(address >> CHUNK_BITS);
      if (chunk === undefined) return address;
      if (chunk.taken === CHUNK) address = ((address >> CHUNK_BITS) + 1n) << CHUNK_BITS;
      else if (this.has(address)) address += 1n;
      else return address;
    }
    return undefined;
  }
}

function within(address: bigint): number {
  return Number(address & ((1n << CHUNK_BITS) - 1n));
}
