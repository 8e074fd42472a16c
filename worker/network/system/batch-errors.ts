/** A line of a chunk that failed, by its place in the chunk, in the tool's words. */
export interface LineFailure {
  index: number;
  message: string;
}

const FAILED = /^Command failed -:(\d+)$/;

/**
 * Reads what `ip -force -batch -` writes to standard error: the words of a failure, then `Command failed -:LINE`,
 * lines counted from 1 over the life of the process.
 */
export class BatchErrors {
  #text = '';
  #words: string[] = [];
  #failures: LineFailure[] = [];
  /** Number of the line before the chunk's first one. */
  #before = 0;
  #count = 0;

  /** A chunk of so many lines goes to the tool now, with one line after it that fails. */
  expect(lines: number): void {
    this.#before += this.#count === 0 ? 0 : this.#count + 1;
    this.#count = lines;
    this.#failures = [];
    this.#words = [];
  }

  /** @returns the chunk's failures once its acknowledgement has been read. */
  push(text: string): LineFailure[] | undefined {
    const lines = (this.#text + text).split('\n');
    this.#text = lines.pop() ?? '';
    for (const line of lines) {
      const number = FAILED.exec(line)?.[1];
      if (number === undefined) {
        if (line !== '') this.#words.push(line);
        continue;
      }
      const index = Number(number) - this.#before - 1;
      if (index === this.#count) return this.#failures;
      this.#failures.push({ index, message: this.#words.join('; ') || 'failed' });
      this.#words = [];
    }
    return undefined;
  }

  /** What was said and not yet attributed. */
  rest(): string {
    return [...this.#words, this.#text].filter((word) => word !== '').join('; ');
  }

  /** Failures of a chunk that was never acknowledged: whatever line has none of its own may or may not be done. */
  unfinished(message: string): LineFailure[] {
    const known = new Map(this.#failures.map((failure) => [failure.index, failure]));
    return Array.from({ length: this.#count }, (_, index) => known.get(index) ?? { index, message });
  }
}
