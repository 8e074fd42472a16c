import type { Bench, BenchContext } from './bench.ts';
import type { Contender, Metric } from './ledger.ts';
import type { PlacePair, StopServer } from './place.ts';
import { OWN_PROCESSORS, probe, serveProbe } from './probe/probe-report.ts';
import type { RoundCase } from './rounds.ts';

const PORT = 9000;
const ROUND_TRIPS = 20_000;
const CONNECT_SECONDS = 2;

const P50: Metric = { name: 'latency tcp round trip, p50', unit: 'us', better: 'less' };
const P99: Metric = { name: 'latency tcp round trip, p99', unit: 'us', better: 'less' };
const CONNECTIONS: Metric = { name: 'latency connections', unit: '1/s', better: 'more' };

/** One byte there and back across two hosts. */
export const latency: Bench = {
  name: 'latency',
  summary: `${ROUND_TRIPS} one-byte TCP round trips on one connection, and connect + one round trip + reset for ${CONNECT_SECONDS} s`,
  weight: 10,
  async run(context) {
    const stops: StopServer[] = [];
    try {
      const pairs = await context.stage.pairs();
      for (const [, { server }] of pairs) stops.push(await serveProbe(server, PORT, OWN_PROCESSORS.server));
      const caseOf = ([contender, pair]: readonly [Contender, PlacePair]): RoundCase => ({
        id: `latency ${contender}`,
        measure: () => measure(context, contender, pair),
      });
      await context.interleave(pairs.map(caseOf));
      await context.stage.withOwnPair('routed', async (routed) => {
        stops.push(await serveProbe(routed.server, PORT, OWN_PROCESSORS.server));
        const bare = pairs.filter(([contender]) => contender === 'bare');
        await context.interleave([['routed', routed] as const, ...bare].map(caseOf));
      });
    } finally {
      for (const stop of stops) await stop();
    }
  },
};

async function measure({ ledger, say }: BenchContext, contender: Contender, pair: PlacePair): Promise<void> {
  const { client, server } = pair;
  const processor = OWN_PROCESSORS.client;
  const trips = await probe(client, ['round-trips', server.address, PORT, ROUND_TRIPS], processor);
  ledger.add(P50, contender, trips.p50Us);
  ledger.add(P99, contender, trips.p99Us);
  const connections = await probe(client, ['connections', server.address, PORT, CONNECT_SECONDS], processor);
  ledger.add(CONNECTIONS, contender, connections.perSecond);
  const times = `p50 ${trips.p50Us.toFixed(1)} us, p99 ${trips.p99Us.toFixed(1)} us`;
  say(`${contender}: round trip ${times}; ${connections.perSecond.toFixed(0)} connections/s`);
}
