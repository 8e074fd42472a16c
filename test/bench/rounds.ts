import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';

/** One thing to measure for one contender; called once a round. */
export interface RoundCase {
  id: string;
  measure: (round: number) => Promise<void>;
}

export interface RoundsOptions {
  rounds: number;
  /** No round begins that would probably end later than this after the first one began; the first always runs. */
  budgetMs: number;
}

export interface RoundsOutcome {
  rounds: number;
  /** Cases that threw, with why; such a case is left out from then on. */
  failures: readonly { id: string; round: number; reason: string }[];
}

/**
 * Runs the cases one after another, round by round, every second round backwards (A B C, C B A, A B C …): slow drift of the machine
 * meets all alike, and none is always the first, or always right after the one that works the machine hardest.
 */
export async function interleave(
  options: RoundsOptions,
  cases: readonly RoundCase[],
  modules: { clock: Clock; say: (line: string) => void },
): Promise<RoundsOutcome> {
  const { clock, say } = modules;
  const failures: { id: string; round: number; reason: string }[] = [];
  const began = clock.monotonic();
  let longest = 0;
  let round = 0;
  while (round < options.rounds) {
    const roundBegan = clock.monotonic();
    if (round > 0 && roundBegan - began + longest > options.budgetMs) {
      say(`no time for more than ${round} of ${options.rounds} rounds`);
      break;
    }
    round++;
    const working = cases.filter(({ id }) => !failures.some((failure) => failure.id === id));
    for (const each of round % 2 === 1 ? working : working.toReversed()) {
      try {
        await each.measure(round);
      } catch (error) {
        failures.push({ id: each.id, round, reason: messageOf(error) });
        say(`${each.id}, round ${round}: FAILED: ${messageOf(error)}`);
      }
    }
    longest = Math.max(longest, clock.monotonic() - roundBegan);
  }
  return { rounds: round, failures };
}
