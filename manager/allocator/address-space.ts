/** Addresses kept in one word group; groups exist only once something in them was taken. */
const CHUNK = 1024;

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
  readonly #first: number;
  readonly #last: number;
  readonly #from: number;
  readonly #to: number;
  readonly #chunks = new Map<number, Chunk>();
  #takenInRange = 0;
  #next: number;

  /** Inclusive bounds of all addresses, and of the range that `takeNext` gives from. */
  constructor(options: { first: number; last: number; from: number; to: number }) {
    this.#first = options.first;
    this.#last = options.last;
    this.#from = options.from;
    this.#to = options.to;
    this.#next = options.from;
  }

  /** Addresses that `takeNext` can still give. */
  get freeCount(): number {
    return this.#to - this.#from + 1 - this.#takenInRange;
  }

  includes(address: number): boolean {
    return address >= this.#first && address <= this.#last;
  }

  has(address: number): boolean {
    const chunk = this.#chunks.get(Math.floor(address / CHUNK));
    const at = address % CHUNK;
    return chunk !== undefined && (((chunk.bits[at >> 5] ?? 0) >>> (at & 31)) & 1) === 1;
  }

  /** @returns false when it is taken or not of this space. */
  take(address: number): boolean {
    if (!this.includes(address) || this.has(address)) return false;
    const key = Math.floor(address / CHUNK);
    const chunk = this.#chunks.get(key) ?? { bits: new Uint32Array(CHUNK / 32), taken: 0 };
    this.#chunks.set(key, chunk);
    const at = address % CHUNK;
    chunk.bits[at >> 5] = (chunk.bits[at >> 5] ?? 0) | (1 << (at & 31));
    chunk.taken++;
    if (this.#inRange(address)) this.#takenInRange++;
    return true;
  }

  /** @returns undefined when none is free. */
  takeNext(): number | undefined {
    if (this.freeCount <= 0) return undefined;
    const found = this.#firstFree(this.#next, this.#to) ?? this.#firstFree(this.#from, this.#to);
    if (found === undefined) return undefined;
    this.take(found);
    this.#next = found === this.#to ? this.#from : found + 1;
    return found;
  }

  /** @returns false when it was free. */
  free(address: number): boolean {
    if (!this.has(address)) return false;
    const key = Math.floor(address / CHUNK);
    const chunk = this.#chunks.get(key);
    if (chunk === undefined) return false;
    const at = address % CHUNK;
    chunk.bits[at >> 5] = (chunk.bits[at >> 5] ?? 0) & ~(1 << (at & 31));
    chunk.taken--;
    if (chunk.taken === 0) this.#chunks.delete(key);
    if (this.#inRange(address)) this.#takenInRange--;
    return true;
  }

  /** Makes `takeNext` go on after this address. */
  resumeAfter(address: number): void {
    if (this.#inRange(address)) this.#next = address === this.#to ? this.#from : address + 1;
  }

  #inRange(address: number): boolean {
    return address >= this.#from && address <= this.#to;
  }

  #firstFree(from: number, to: number): number | undefined {
    for (let address = from; address <= to; ) {
      const chunk = this.#chunks.get(Math.floor(address / CHUNK));
      if (chunk === undefined) return address;
      if (chunk.taken === CHUNK) address = (Math.floor(address / CHUNK) + 1) * CHUNK;
      else if (this.has(address)) address++;
      else return address;
    }
    return undefined;
  }
}
