import { systemClock } from '../../proto/runtime/clock.ts';
import { eventually } from '../lab/eventually.ts';
import type { Bench, BenchContext } from './bench.ts';
import type { RoundCase } from './rounds.ts';
import type { Side } from './side.ts';
import { SocketApi } from './socket-api.ts';
import { eachSide } from './stage.ts';

const MANAGERS = 3;
const METRIC = { name: 'leader frozen, first write accepted', unit: 'ms', better: 'less' } as const;

/** How long the swarm takes no writes when its leader hangs. */
export const failover: Bench = {
  name: 'failover',
  summary: `the leader's whole host stopped (SIGSTOP) until another of ${MANAGERS} managers has accepted a write`,
  weight: 20,
  async run(context) {
    const sides = eachSide(await context.stage.dissolve());
    const cases: RoundCase[] = sides.map(([name, side]) => ({
      id: `failover ${name}`,
      measure: (round) => measure(context, side, round),
    }));
    await context.interleave(cases);
  },
};

async function measure({ ledger, say }: BenchContext, side: Side, round: number): Promise<void> {
  await side.form(MANAGERS, 0);
  const leader = await side.leader();
  const other = side.lab.hosts.find((host) => host !== leader);
  if (other === undefined) throw new Error('there is one host only');
  const api = new SocketApi(side.socketPath(other));
  const write = (name: string): Promise<unknown> =>
    api.post('/configs/create', { Name: name, Labels: {}, Data: 'eA==' });
  try {
    await write(`before-${round}`);
    const began = systemClock.monotonic();
    leader.freeze();
    let attempt = 0;
    // Each under a name of its own: one whose outcome is unknown may have been made.
    await eventually('a write to be accepted', () => write(`after-${round}-${attempt++}`), {
      timeoutMs: 60_000,
      everyMs: 10,
    });
    const elapsed = systemClock.monotonic() - began;
    ledger.add(METRIC, side.name, elapsed);
    say(`${side.name}: ${elapsed.toFixed(0)} ms, ${attempt} attempts`);
  } finally {
    api.close();
    leader.thaw();
    await side.dissolve();
  }
}
