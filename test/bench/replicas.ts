import { systemClock } from '../../proto/runtime/clock.ts';
import type { Bench, BenchContext } from './bench.ts';
import { removeContainer, runContainer } from './containers.ts';
import type { Contender, Metric } from './ledger.ts';
import type { RoundCase } from './rounds.ts';
import { createService, removeService } from './services.ts';
import type { Side } from './side.ts';
import type { SocketApi } from './socket-api.ts';
import { eachSide, NETWORK, type Sides } from './stage.ts';

const SERVICE = 'bench-replicas';
/** A bridge network of the plain engine: the nearest that it has to an overlay. */
const BRIDGE = 'bench-bridge';
const WARM_UP_REPLICAS = 6;

interface Run {
  engine: SocketApi;
  id: string;
}

/** A service with many tasks, and as many containers without one. */
export const replicas: Bench = {
  name: 'replicas',
  summary:
    'from POST /services/create to all tasks running as seen by GET /tasks every 50 ms; ' +
    'bare: create and start through the API of plain engines until the last is answered',
  weight: 35,
  async run(context) {
    const sides = await context.stage.swarms();
    const bridged: SocketApi[] = [];
    try {
      for (const engine of sides.swarm.engines) {
        await engine.post('/networks/create', { Name: BRIDGE, Driver: 'bridge' });
        bridged.push(engine);
      }
      await warmUp(context, sides);
      await context.interleave(casesOf(context, sides));
    } finally {
      for (const [, side] of eachSide(sides)) await removeService(side, SERVICE);
      for (const engine of bridged) await engine.delete(`/networks/${BRIDGE}`);
    }
  },
};

function casesOf(context: BenchContext, sides: Sides): RoundCase[] {
  const count = context.options.replicas;
  const services = [undefined, NETWORK].flatMap((network) =>
    eachSide(sides).map(([name, side]) => ({
      id: `${serviceMetric(count, network).name} ${name}`,
      measure: () => timeService(context, side, network),
    })),
  );
  const plain = sides.swarm.engines;
  const overlay = runMetric(count, 'at once on the overlay');
  return [
    ...services,
    runCase(context, serviceMetric(count, undefined), 'bare', () => atOnce(plain, count)),
    runCase(context, serviceMetric(count, NETWORK), 'bare', () => atOnce(plain, count, BRIDGE)),
    runCase(context, runMetric(count, 'one after another'), 'bare', () => inARow(plain, count)),
    ...eachSide(sides).map(([name, side]) =>
      runCase(context, overlay, name, () => atOnce(side.engines, count, NETWORK)),
    ),
  ];
}

/** So that no case pays for what is made once: images unpacked, networks on every host. */
async function warmUp({ say }: BenchContext, sides: Sides): Promise<void> {
  say('warming up');
  for (const [, side] of eachSide(sides)) {
    await removeService(side, SERVICE);
    await createService(side, { name: SERVICE, replicas: WARM_UP_REPLICAS, network: NETWORK });
    await removeService(side, SERVICE);
  }
}

async function timeService(context: BenchContext, side: Side, network: string | undefined): Promise<void> {
  const count = context.options.replicas;
  try {
    const tookMs = await createService(side, {
      name: SERVICE,
      replicas: count,
      ...(network === undefined ? {} : { network }),
    });
    record(context, serviceMetric(count, network), side.name, tookMs);
  } finally {
    await removeService(side, SERVICE);
  }
}

function runCase(
  context: BenchContext,
  metric: Metric,
  contender: Contender,
  begin: () => Promise<PromiseSettledResult<Run>[]>,
): RoundCase {
  return {
    id: `${metric.name} ${contender}`,
    async measure() {
      const began = systemClock.monotonic();
      const outcomes = await begin();
      const tookMs = systemClock.monotonic() - began;
      const runs = outcomes.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []));
      await Promise.all(runs.map(({ engine, id }) => removeContainer(engine, id)));
      for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
      record(context, metric, contender, tookMs);
    },
  };
}

/** All containers at the same time, spread over the engines. */
function atOnce(engines: readonly SocketApi[], count: number, network?: string): Promise<PromiseSettledResult<Run>[]> {
  return Promise.allSettled(spread(engines, count).flatMap((share) => share.map((engine) => start(engine, network))));
}

/** Each engine's containers one after another, the engines at the same time. */
async function inARow(engines: readonly SocketApi[], count: number): Promise<PromiseSettledResult<Run>[]> {
  const perEngine = await Promise.all(
    spread(engines, count).map(async (share) => {
      const outcomes: PromiseSettledResult<Run>[] = [];
      for (const engine of share) outcomes.push(...(await Promise.allSettled([start(engine)])));
      return outcomes;
    }),
  );
  return perEngine.flat();
}

async function start(engine: SocketApi, network?: string): Promise<Run> {
  return { engine, id: await runContainer(engine, network === undefined ? {} : { network }) };
}

/** Per engine, that engine as often as it gets a container. */
function spread(engines: readonly SocketApi[], count: number): SocketApi[][] {
  return engines.map((engine, index) =>
    Array.from({ length: Math.ceil((count - index) / engines.length) }, () => engine),
  );
}

function record({ ledger, say }: BenchContext, metric: Metric, contender: Contender, tookMs: number): void {
  ledger.add(metric, contender, tookMs / 1000);
  say(`${contender}: ${metric.name} ${(tookMs / 1000).toFixed(2)} s`);
}

function serviceMetric(count: number, network: string | undefined): Metric {
  const where = network === undefined ? 'no network' : 'overlay';
  return { name: `replicas ${count} tasks, ${where}`, unit: 's', better: 'less' };
}

function runMetric(count: number, how: string): Metric {
  return { name: `replicas ${count} \`docker run\` ${how}`, unit: 's', better: 'less' };
}
