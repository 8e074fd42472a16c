import { systemClock } from '../../proto/runtime/clock.ts';
import type { Bench, BenchContext } from './bench.ts';
import type { Metric } from './ledger.ts';
import type { RoundCase } from './rounds.ts';
import type { Side, SideName } from './side.ts';
import { SocketApi, SocketApiError } from './socket-api.ts';
import { eachSide } from './stage.ts';
import { runWriteLoad, type WriteLoadReport } from './write-load.ts';

const CLIENTS = [1, 32] as const;
const DATA = Buffer.alloc(100, 'x').toString('base64');

/** Writes that the API has acknowledged. */
export const writes: Bench = {
  name: 'writes',
  summary: `POST /configs/create at the leader with 100 bytes each, ${CLIENTS.join(' and ')} clients; every round on a new swarm`,
  weight: 30,
  async run(context) {
    const sides = eachSide(await context.stage.dissolve());
    const cases: RoundCase[] = [];
    for (const managers of context.options.managers) {
      if (!(await waggleForms(context, managers))) continue;
      for (const [name, side] of sides) {
        cases.push({ id: `writes ${managers} managers ${name}`, measure: () => measure(context, side, managers) });
      }
    }
    await context.interleave(cases);
  },
};

/** Tries the size, and says so when Waggle does not take several managers. */
async function waggleForms({ stage, ledger, say, options }: BenchContext, managers: number): Promise<boolean> {
  const { waggle } = await stage.hosts();
  if (managers > waggle.apis.length) {
    throw new Error(`--managers ${options.managers.join(',')}: there are ${waggle.apis.length} hosts`);
  }
  if (managers === 1) return true;
  try {
    await waggle.form(managers, 0);
    return true;
  } catch (error) {
    // Anything but a refusal is a failure, which the rounds will meet and count.
    if (!(error instanceof SocketApiError)) return true;
    const line = `writes with ${managers} managers: not yet (${error.message})`;
    ledger.note(line);
    say(line);
    return false;
  } finally {
    await waggle.dissolve();
  }
}

async function measure(context: BenchContext, side: Side, managers: number): Promise<void> {
  try {
    await side.form(managers, 0);
    for (const clients of CLIENTS) {
      const leader = await side.leader();
      const report = await load(side.socketPath(leader), clients, context.options.writeSeconds);
      if ((await side.leader()) !== leader)
        context.ledger.note(`writes: the leader of ${side.name} changed under load`);
      record(context, side.name, `writes ${plural(managers, 'manager')}, ${plural(clients, 'client')}`, report);
    }
  } finally {
    await side.dissolve();
  }
}

async function load(socketPath: string, clients: number, seconds: number): Promise<WriteLoadReport> {
  const connection = new SocketApi(socketPath, clients);
  const write = async (index: number): Promise<void> => {
    await connection.post('/configs/create', { Name: `bench-${clients}-${index}`, Labels: {}, Data: DATA });
  };
  try {
    return await runWriteLoad({ clients, durationMs: seconds * 1000, write }, systemClock);
  } finally {
    connection.close();
  }
}

function record({ ledger, say }: BenchContext, name: SideName, what: string, report: WriteLoadReport): void {
  const { perSecond, p50Ms, p99Ms } = report;
  ledger.add(metric(`${what}, rate`, '1/s', 'more'), name, perSecond);
  ledger.add(metric(`${what}, p50`, 'ms', 'less'), name, p50Ms);
  ledger.add(metric(`${what}, p99`, 'ms', 'less'), name, p99Ms);
  say(`${name}: ${what}: ${perSecond.toFixed(0)}/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`);
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

function metric(name: string, unit: string, better: Metric['better']): Metric {
  return { name, unit, better };
}
