import type { Contender, MetricResult } from './ledger.ts';
import type { Spread } from './percentiles.ts';

const HEADINGS = ['metric', 'unit', 'Waggle', 'Swarm', 'bare', 'Waggle to Swarm', 'Waggle to bare'] as const;
/** Only where something was measured on a routed network. */
const ROUTED_HEADINGS = ['routed', 'routed to Waggle', 'routed to bare'] as const;

/** The results as lines of aligned columns; each cell is `median (min to max)`, the range left out for one sample. */
export function renderTable(results: readonly MetricResult[]): string[] {
  const routed = results.some(({ spreads }) => spreads.routed !== undefined);
  const headings: string[] = [...HEADINGS, ...(routed ? ROUTED_HEADINGS : [])];
  const rows = [headings, ...results.map((result) => [...rowOf(result), ...(routed ? routedCells(result) : [])])];
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  return lines.toSpliced(1, 0, widths.map((width) => '-'.repeat(width)).join('  '));
}

/** Four significant digits at most, and no more than two after the point. */
export function figure(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** How the first compares to the second: the quotient, and whether that is good. */
export function comparison(result: MetricResult, one: Contender, other: Contender): string {
  const [mine, theirs] = [result.spreads[one]?.median, result.spreads[other]?.median];
  if (mine === undefined || theirs === undefined || theirs === 0) return '';
  const quotient = mine / theirs;
  const text = quotient.toFixed(2);
  if (text === '1.00') return `${text} same`;
  return `${text} ${quotient > 1 === (result.better === 'more') ? 'better' : 'worse'}`;
}

function rowOf(result: MetricResult): string[] {
  const { waggle, swarm, bare } = result.spreads;
  return [
    result.name,
    result.unit,
    cell(waggle),
    cell(swarm),
    cell(bare),
    comparison(result, 'waggle', 'swarm'),
    comparison(result, 'waggle', 'bare'),
  ];
}

function routedCells(result: MetricResult): string[] {
  return [cell(result.spreads.routed), comparison(result, 'routed', 'waggle'), comparison(result, 'routed', 'bare')];
}

function cell(spread: Spread | undefined): string {
  if (spread === undefined) return '-';
  if (spread.count === 1) return figure(spread.median);
  return `${figure(spread.median)} (${figure(spread.min)} to ${figure(spread.max)})`;
}
