/** Most that one frame of a stream holds. */
export const MOST_FRAME_BYTES = 1024 * 1024;
const LENGTH_BYTES = 4;

/** Wire: length (4, big-endian), content. */
export function framed(content: Buffer): [Buffer, Buffer] {
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32BE(content.length);
  return [length, content];
}

/** Cuts a stream into frames. Holds at most one frame that is not complete. */
export class FrameReader {
  #parts: Buffer[] = [];
  #heldBytes = 0;

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** @returns frames that are complete now; undefined when the next one is announced larger than allowed. */
  push(part: Buffer): Buffer[] | undefined {
    this.#parts.push(part);
    this.#heldBytes += part.length;
    const frames: Buffer[] = [];
    for (;;) {
      const length = this.#announced();
      if (length === undefined) return frames;
      if (length > MOST_FRAME_BYTES) return undefined;
      if (this.#heldBytes < LENGTH_BYTES + length) return frames;
      const whole = Buffer.concat(this.#parts);
      frames.push(whole.subarray(LENGTH_BYTES, LENGTH_BYTES + length));
      this.#parts = [whole.subarray(LENGTH_BYTES + length)];
      this.#heldBytes -= LENGTH_BYTES + length;
    }
  }

  #announced(): number | undefined {
    if (this.#heldBytes < LENGTH_BYTES) return undefined;
    const [first] = this.#parts;
    if (first !== undefined && first.length >= LENGTH_BYTES) return first.readUInt32BE(0);
    this.#parts = [Buffer.concat(this.#parts)];
    return this.#parts[0]?.readUInt32BE(0);
  }
}
