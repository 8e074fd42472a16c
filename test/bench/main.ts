/** `npm run bench [-- NAME… --rounds N --json FILE]`: Waggle beside Docker Swarm mode on this machine, in one run. */
import { writeFileSync } from 'node:fs';
import os from 'node:os';
import { systemClock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Bench, BenchContext } from './bench.ts';
import { isInterrupted, undoWhenFailed } from '../lab/interruption.ts';
import { bulk } from './bulk.ts';
import { cli } from './cli.ts';
import { dns } from './dns.ts';
import { endpoints } from './endpoints.ts';
import { failover } from './failover.ts';
import { latency } from './latency.ts';
import { losses } from './losses.ts';
import { Ledger } from './ledger.ts';
import { type BenchOptions, parseOptions, USAGE } from './options.ts';
import { reach } from './reach.ts';
import { replicas } from './replicas.ts';
import { interleave, type RoundCase } from './rounds.ts';
import { Stage } from './stage.ts';
import { renderTable } from './table.ts';
import { throughput } from './throughput.ts';
import { writes } from './writes.ts';

/**
 * In this order: time that a bench leaves unused goes to the next ones, so the long ones are last; and the last four take the
 * swarms apart that the others share.
 */
const BENCHES: readonly Bench[] = [
  endpoints,
  throughput,
  latency,
  cli,
  dns,
  reach,
  replicas,
  writes,
  failover,
  losses,
  bulk,
];
const MINUTE_MS = 60_000;

const began = systemClock.monotonic();
const failures: string[] = [];

function say(line: string): void {
  const seconds = ((systemClock.monotonic() - began) / 1000).toFixed(0).padStart(4);
  process.stdout.write(`${seconds} s  ${line}\n`);
}

function optionsOrUsage(): BenchOptions | undefined {
  try {
    return parseOptions(
      process.argv.slice(2),
      BENCHES.map(({ name }) => name),
    );
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n${USAGE}\n`);
    return undefined;
  }
}

async function runBench(bench: Bench, share: number, context: Omit<BenchContext, 'interleave'>): Promise<void> {
  const { options } = context;
  say(`${bench.name}: ${bench.summary}`);
  const told = (line: string): void => say(`  ${line}`);
  try {
    await bench.run({
      ...context,
      say: told,
      async interleave(cases) {
        const leftMs = Math.max(0, options.budgetMinutes * MINUTE_MS - (systemClock.monotonic() - began));
        const limits = { rounds: options.rounds, budgetMs: share * leftMs };
        const outcome = await interleave(limits, heedInterruption(cases), { clock: systemClock, say: told });
        failures.push(...outcome.failures.map(({ id, round, reason }) => `${id}, round ${round}: ${reason}`));
        if (outcome.rounds < options.rounds) {
          context.ledger.note(`${bench.name}: ${outcome.rounds} of ${options.rounds} rounds, for lack of time`);
        }
      },
    });
  } catch (error) {
    failures.push(`${bench.name}: ${messageOf(error)}`);
    told(`FAILED: ${messageOf(error)}`);
  }
}

function report(options: BenchOptions, ledger: Ledger): void {
  const results = ledger.results();
  process.stdout.write(`\n${renderTable(results).join('\n')}\n\n`);
  const loads = os.loadavg().map((load) => load.toFixed(1));
  const machine = `${os.cpus().length} processors, Linux ${os.release()}, load at the end ${loads.join(' ')}`;
  const lines = [
    `medians of ${options.rounds} interleaved rounds (min to max); ${machine}`,
    'the hosts of both swarms were up all the time, one of the two under load at a time',
    ...ledger.notes,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
  for (const failure of failures) process.stdout.write(`FAILED ${failure}\n`);
  if (options.json === undefined) return;
  const when = new Date(systemClock.now()).toISOString();
  const { names: _names, json: _json, ...settings } = options;
  const all = { when, machine, settings, notes: ledger.notes, failures, results };
  writeFileSync(options.json, `${JSON.stringify(all, undefined, 2)}\n`);
}

async function main(options: BenchOptions): Promise<void> {
  const chosen = BENCHES.filter(({ name }) => options.names.length === 0 || options.names.includes(name));
  const stage = new Stage(say);
  const ledger = new Ledger();
  undoWhenFailed();
  try {
    for (const [index, bench] of chosen.entries()) {
      const weightLeft = chosen.slice(index).reduce((sum, { weight }) => sum + weight, 0);
      await runBench(bench, bench.weight / weightLeft, { stage, ledger, options, say });
    }
  } finally {
    say('removing the hosts');
    await stage.destroy();
  }
  report(options, ledger);
  if (failures.length > 0) process.exitCode = 1;
}

/** After an interruption nothing more may start on the hosts that are being removed: the case waits until the process ends. */
function heedInterruption(cases: readonly RoundCase[]): RoundCase[] {
  return cases.map(({ id, measure }) => ({
    id,
    measure: (round) => (isInterrupted() ? new Promise<void>(() => undefined) : measure(round)),
  }));
}

const options = optionsOrUsage();
if (options === undefined) process.exitCode = 2;
else await main(options);
