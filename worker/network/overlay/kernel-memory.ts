import type { Observation } from './overlay-kernel.ts';
import type { ObservedOverlay } from './overlay-state.ts';

/** What a look has found, until it is adopted. */
export interface Look {
  /** Undefined when the kernel has what it had at the last look. */
  found: Observation | undefined;
  /** What was done while it looked and since, in order: may be in what it has found, or not. */
  changes: readonly Change[];
}

/** Does to the memory what was done to the kernel. */
export type Change = (observed: ObservedOverlay) => void;

/**
 * What the kernel has of one overlay, as far as is known: what was seen last, and what was done since. A look may run beside changes:
 * each change says where its rows are afterwards, so what is done meanwhile is done again to what was seen. Invariant: a stamp is
 * kept only while nothing was changed since the look that gave it.
 */
export class KernelMemory {
  #state: ObservedOverlay | undefined;
  #stamp: string | undefined;
  #changes: Change[] | undefined;

  /** Undefined when it must be looked at first. Changed by `change` alone. */
  get state(): ObservedOverlay | undefined {
    return this.#state;
  }

  /** True when the kernel was seen to have just this, and nothing was changed since. */
  get verified(): boolean {
    return this.#state !== undefined && this.#stamp !== undefined;
  }

  learn(observed: ObservedOverlay): ObservedOverlay {
    this.#state = observed;
    this.#stamp = undefined;
    return observed;
  }

  /** After a failure it is not known what the kernel has. Not to be called while somebody works with the state. */
  forget(): void {
    this.#state = undefined;
    this.#stamp = undefined;
  }

  /** The kernel has been changed. */
  change(change: Change): void {
    if (this.#state !== undefined) change(this.#state);
    this.#changes?.push(change);
    this.#stamp = undefined;
  }

  /** Looks at the kernel; one at a time, until what it has found is adopted or dropped. @throws what `look` throws. */
  async look(look: (known: string | undefined) => Promise<Observation | undefined>): Promise<Look> {
    const changes: Change[] = [];
    this.#changes = changes;
    try {
      return { found: await look(this.#stamp), changes };
    } catch (error) {
      this.drop();
      throw error;
    }
  }

  /** What the kernel has by that look. */
  static replay({ found, changes }: Look): ObservedOverlay | undefined {
    if (found !== undefined) for (const change of changes) change(found.observed);
    return found?.observed;
  }

  /** Takes the look, after its `replay`, for what the kernel has. */
  adopt({ found, changes }: Look): void {
    this.drop();
    if (found === undefined) return;
    this.#state = found.observed;
    this.#stamp = changes.length === 0 ? found.stamp : undefined;
  }

  drop(): void {
    this.#changes = undefined;
  }
}
