import { describe, expect, it } from 'vitest';
import { type Contender, Ledger, type Metric } from '../../bench/ledger.ts';
import { comparison, figure, renderTable } from '../../bench/table.ts';

const SPEED: Metric = { name: 'speed', unit: '1/s', better: 'more' };
const TIME: Metric = { name: 'time', unit: 's', better: 'less' };

describe('figure', () => {
  const cases: [number, string][] = [
    [1234.56, '1235'],
    [100, '100'],
    [99.96, '100.0'],
    [12.34, '12.3'],
    [1.234, '1.23'],
    [0, '0.00'],
  ];
  for (const [value, is] of cases) it(`${value}`, () => expect(figure(value)).toBe(is));
});

describe('comparison', () => {
  const cases = [
    { id: 'more of a rate', metric: SPEED, waggle: 30, swarm: 20, is: '1.50 better' },
    { id: 'less of a rate', metric: SPEED, waggle: 10, swarm: 20, is: '0.50 worse' },
    { id: 'more time', metric: TIME, waggle: 30, swarm: 20, is: '1.50 worse' },
    { id: 'less time', metric: TIME, waggle: 10, swarm: 20, is: '0.50 better' },
    { id: 'as much as can be told', metric: TIME, waggle: 1000, swarm: 1001, is: '1.00 same' },
    { id: 'nothing to divide by', metric: TIME, waggle: 1, swarm: 0, is: '' },
  ];
  for (const { id, metric, waggle, swarm, is } of cases) {
    it(id, () =>
      expect(comparison(resultOf(metric, { waggle: [waggle], swarm: [swarm] }), 'waggle', 'swarm')).toBe(is),
    );
  }

  it('is of medians', () => {
    const result = resultOf(TIME, { waggle: [1, 2, 900], swarm: [4, 4, 0] });
    expect(comparison(result, 'waggle', 'swarm')).toBe('0.50 better');
  });

  it('says nothing about who was not measured', () => {
    expect(comparison(resultOf(TIME, { waggle: [1] }), 'waggle', 'bare')).toBe('');
  });
});

it('a table has a line for each metric in the order of their first samples, and a range where there are several', () => {
  const ledger = new Ledger();
  ledger.add(TIME, 'swarm', 2);
  ledger.add(SPEED, 'waggle', 100);
  ledger.add(TIME, 'waggle', 1);
  ledger.add(TIME, 'waggle', 3);
  expect(renderTable(ledger.results())).toEqual([
    'metric  unit  Waggle               Swarm  bare  Waggle to Swarm  Waggle to bare',
    '------  ----  -------------------  -----  ----  ---------------  --------------',
    'time    s     2.00 (1.00 to 3.00)  2.00   -     1.00 same',
    'speed   1/s   100                  -      -',
  ]);
});

it('a table has columns for a routed network where one was measured', () => {
  const ledger = new Ledger();
  ledger.add(SPEED, 'routed', 98);
  ledger.add(SPEED, 'waggle', 70);
  ledger.add(SPEED, 'bare', 100);
  ledger.add(TIME, 'waggle', 1);
  expect(renderTable(ledger.results())).toEqual([
    'metric  unit  Waggle  Swarm  bare  Waggle to Swarm  Waggle to bare  routed  routed to Waggle  routed to bare',
    '------  ----  ------  -----  ----  ---------------  --------------  ------  ----------------  --------------',
    'speed   1/s   70.0    -      100                    0.70 worse      98.0    1.40 better       0.98 worse',
    'time    s     1.00    -      -                                      -',
  ]);
});

it('a note is kept once', () => {
  const ledger = new Ledger();
  for (const text of ['one', 'two', 'one']) ledger.note(text);
  expect(ledger.notes).toEqual(['one', 'two']);
});

function resultOf(metric: Metric, samples: Partial<Record<Contender, number[]>>) {
  const ledger = new Ledger();
  for (const contender of ['waggle', 'swarm', 'bare'] as const) {
    for (const value of samples[contender] ?? []) ledger.add(metric, contender, value);
  }
  const [result] = ledger.results();
  if (result === undefined) throw new Error('no samples');
  return result;
}
