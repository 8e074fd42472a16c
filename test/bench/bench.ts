import type { Ledger } from './ledger.ts';
import type { BenchOptions } from './options.ts';
import type { RoundCase } from './rounds.ts';
import type { Stage } from './stage.ts';

/** What a bench is given. */
export interface BenchContext {
  stage: Stage;
  ledger: Ledger;
  options: BenchOptions;
  say: (line: string) => void;
  /** Runs the cases in interleaved rounds within this bench's share of the time. */
  interleave: (cases: readonly RoundCase[]) => Promise<void>;
}

export interface Bench {
  name: string;
  /** One line: what is timed, from when to when. */
  summary: string;
  /** Share of the time budget, relative to the other benches. */
  weight: number;
  /** Leaves nothing of its own behind, also when it throws. */
  run: (context: BenchContext) => Promise<void>;
}
