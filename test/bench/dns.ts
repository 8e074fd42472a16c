import type { Bench, BenchContext } from './bench.ts';
import type { Metric } from './ledger.ts';
import type { Place } from './place.ts';
import { eventually } from '../lab/eventually.ts';
import { probe } from './probe/probe-report.ts';
import { createService, removeService } from './services.ts';
import type { SideName } from './side.ts';
import { eachSide, NETWORK } from './stage.ts';

const SERVICE = 'bench-dns';
const REPLICAS = 3;
const LOOKUPS = 2_000;
const NAMES = [SERVICE, `tasks.${SERVICE}`];

/** Names of a service, asked from a container. */
export const dns: Bench = {
  name: 'dns',
  summary: `${LOOKUPS} look-ups of a service's names from a container on its network: socket, query to 127.0.0.11, answer, close`,
  weight: 5,
  async run(context) {
    const sides = eachSide(await context.stage.swarms());
    const pairs = new Map(await context.stage.pairs());
    try {
      for (const [, side] of sides) {
        await removeService(side, SERVICE);
        await createService(side, { name: SERVICE, replicas: REPLICAS, network: NETWORK });
      }
      const clients = sides.flatMap(([name]) => {
        const client = pairs.get(name)?.client;
        return client === undefined ? [] : [{ name, client }];
      });
      for (const { name, client } of clients) {
        await eventually(`names of ${name}`, () =>
          Promise.all(NAMES.map((each) => probe(client, ['lookups', each, 1]))),
        );
      }
      await context.interleave(
        clients.map(({ name, client }) => ({ id: `dns ${name}`, measure: () => measure(context, name, client) })),
      );
    } finally {
      for (const [, side] of sides) await removeService(side, SERVICE);
    }
  },
};

async function measure({ ledger, say }: BenchContext, contender: SideName, client: Place): Promise<void> {
  for (const name of NAMES) {
    const { p50Us, p99Us } = await probe(client, ['lookups', name, LOOKUPS]);
    const kind = name === SERVICE ? 'service' : 'tasks.service';
    ledger.add(metric(`dns ${kind}, p50`), contender, p50Us);
    ledger.add(metric(`dns ${kind}, p99`), contender, p99Us);
    say(`${contender}: ${kind} p50 ${p50Us.toFixed(0)} us, p99 ${p99Us.toFixed(0)} us`);
  }
}

function metric(name: string): Metric {
  return { name, unit: 'us', better: 'less' };
}
