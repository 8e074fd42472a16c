import { describe, expect, it } from 'vitest';
import { interleave, type RoundCase } from '../../bench/rounds.ts';
import { VirtualClock } from '../../fixtures/virtual-clock.ts';

const MANY = Number.POSITIVE_INFINITY;

describe('interleaved rounds', () => {
  it('take turns, every second one backwards', async () => {
    const { seen, outcome } = await play({ rounds: 3, budgetMs: MANY }, { a: 1, b: 1 });
    expect(seen).toEqual(['a1', 'b1', 'b2', 'a2', 'a3', 'b3']);
    expect(outcome).toEqual({ rounds: 3, failures: [] });
  });

  const budgets = [
    { id: 'time for all to the millisecond', budgetMs: 30, rounds: 3 },
    { id: 'a millisecond too few for the last', budgetMs: 29, rounds: 2 },
    { id: 'the first round runs without any time', budgetMs: 0, rounds: 1 },
  ];
  for (const { id, budgetMs, rounds } of budgets) {
    it(id, async () => {
      const { outcome, lines } = await play({ rounds: 3, budgetMs }, { a: 4, b: 6 });
      expect(outcome.rounds).toBe(rounds);
      expect(lines).toHaveLength(rounds < 3 ? 1 : 0);
    });
  }

  it('go on without a case that fails, and tell which and when', async () => {
    const { seen, outcome } = await play({ rounds: 3, budgetMs: MANY }, { a: 1, b: 1 }, 'a2');
    expect(seen).toEqual(['a1', 'b1', 'b2', 'a2', 'b3']);
    expect(outcome.failures).toEqual([{ id: 'a', round: 2, reason: 'a2 broke' }]);
  });
});

async function play(
  options: { rounds: number; budgetMs: number },
  costs: Readonly<Record<string, number>>,
  breaks?: string,
) {
  const clock = new VirtualClock();
  const seen: string[] = [];
  const lines: string[] = [];
  const cases: RoundCase[] = Object.entries(costs).map(([id, costMs]) => ({
    id,
    async measure(round) {
      seen.push(`${id}${round}`);
      await clock.advance(costMs);
      if (`${id}${round}` === breaks) throw new Error(`${breaks} broke`);
    },
  }));
  const outcome = await interleave(options, cases, { clock, say: (line) => void lines.push(line) });
  return { seen, lines, outcome };
}
