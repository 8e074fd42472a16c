import { RepairCounts } from './repair-counts.ts';

/**
 * What somebody else has changed of something that is kept as it should be: how the kernel differs from what it was last brought to,
 * whatever is wanted by now. Counted once, by kind, however many passes its repair takes.
 */
export class Drift<Desired, Observed> {
  readonly #differences: (desired: Desired, observed: Observed) => readonly { kind: string }[];
  readonly #repairs = new RepairCounts();
  #reached: { desired: Desired } | undefined;

  /** @param differences how the kernel differs from what is desired; by kind. */
  constructor(differences: (desired: Desired, observed: Observed) => readonly { kind: string }[]) {
    this.#differences = differences;
  }

  /** The kernel is as is desired. */
  reached(desired: Desired): void {
    this.#reached = { desired };
  }

  /** What the kernel was last brought to; undefined when something else was seen in it since, or nothing was reached yet. */
  get last(): { desired: Desired } | undefined {
    return this.#reached;
  }

  /** The kernel is to be changed. @returns whether somebody else has changed it since `reached`. */
  note(observed: Observed): boolean {
    const differences = this.#reached === undefined ? [] : this.#differences(this.#reached.desired, observed);
    this.#reached = undefined;
    this.#repairs.add(differences.map(({ kind }) => kind));
    return differences.length > 0;
  }

  /** What was counted since the start. */
  get counts(): Record<string, number> {
    return this.#repairs.toRecord();
  }
}
