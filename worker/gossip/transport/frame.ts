/** Most that one frame of a stream holds. */
export const MOST_FRAME_BYTES = 1024 * 1024;
const LENGTH_BYTES = 4;

/** Wire: length (4, big-endian), content. */
export function framed(content: Buffer): [Buffer, Buffer] {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(content.length);
  return [length, content];
}

/**
 * Cuts a stream into frames. Holds at most one frame that is not complete, in one piece of memory at most twice what has come of it, however
 * small the parts; what it costs is proportional to what comes, however small the frames.
 */
export class FrameReader {
  #held = Buffer.alloc(0);
  #length = 0;

  /** Memory that is taken up by what is not complete. */
  get heldBytes(): number {
    return this.#held.length;
  }

  /** @returns frames that are complete now; undefined when the next one is announced larger than allowed. */
  push(part: Buffer): Buffer[] | undefined {
    this.#append(part);
    const frames: Buffer[] = [];
    let at = 0;
    while (this.#length - at >= LENGTH_BYTES) {
      const length = this.#held.readUInt32BE(at);
      if (length > MOST_FRAME_BYTES) return undefined;
      const end = at + LENGTH_BYTES + length;
      if (end > this.#length) break;
      frames.push(this.#held.subarray(at + LENGTH_BYTES, end));
      at = end;
    }
    // The frames keep the old memory; what remains is less than one frame.
    if (at > 0) {
      this.#held = Buffer.from(this.#held.subarray(at, this.#length));
      this.#length = this.#held.length;
    }
    return frames;
  }

  #append(part: Buffer): void {
    const needed = this.#length + part.length;
    if (needed > this.#held.length) {
      const most = LENGTH_BYTES + MOST_FRAME_BYTES;
      const larger = Buffer.alloc(Math.max(needed, Math.min(2 * this.#held.length, most)));
      this.#held.copy(larger, 0, 0, this.#length);
      this.#held = larger;
    }
    part.copy(this.#held, this.#length);
    this.#length = needed;
  }
}
