import type { RaftId } from '../../../manager/raft/core/entry.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface NetworkFaults {
  /** 0..1 of all messages. */
  loss: number;
  duplicate: number;
  /** Share of messages that take up to a hundred times as long: they arrive out of order, or after an election or two. */
  late: number;
}

const DELAY_MS = { min: 1, max: 8 };
const LATE = [5, 10, 100];

/** Which messages arrive, when and how often. Links are cut one way at a time, so partitions may be asymmetric. */
export class ModelNetwork {
  readonly #random: SeededRandom;
  #faults: NetworkFaults;
  readonly #cut = new Set<string>();

  constructor(faults: NetworkFaults, modules: { random: SeededRandom }) {
    this.#faults = faults;
    this.#random = modules.random;
  }

  /** Delays of each copy that arrives. */
  copies(from: RaftId, to: RaftId): number[] {
    const { loss, duplicate } = this.#faults;
    if (this.isCut(from, to) || this.#random.chance(loss)) return [];
    return this.#random.chance(duplicate) ? [this.delay(), this.delay()] : [this.delay()];
  }

  delay(): number {
    const factor = this.#random.chance(this.#faults.late) ? this.#random.pick(LATE) : 1;
    return this.#random.int(DELAY_MS.min, DELAY_MS.max * (factor ?? 1));
  }

  isCut(from: RaftId, to: RaftId): boolean {
    return this.#cut.has(`${from}>${to}`);
  }

  /** One of: two halves, `victim` alone, single links; each of them perhaps one way only. */
  partition(members: readonly RaftId[], victim: RaftId): void {
    this.heal();
    const kind = this.#random.int(0, 2);
    const oneWay = this.#random.chance(0.4);
    const side = new Map(members.map((id) => [id, kind === 0 ? this.#random.chance(0.5) : id === victim]));
    for (const from of members) {
      for (const to of members) {
        const isCut = kind === 2 ? this.#random.chance(0.3) : side.get(from) !== side.get(to);
        if (isCut && !(oneWay && side.get(from) === true)) this.#cut.add(`${from}>${to}`);
      }
    }
  }

  heal(): void {
    this.#cut.clear();
  }

  /** From now on nothing is lost. */
  calm(): void {
    this.heal();
    this.#faults = { loss: 0, duplicate: 0, late: 0 };
  }
}
