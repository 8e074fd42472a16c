import { systemClock } from '../../proto/runtime/clock.ts';
import type { RunResult } from '../lab/run.ts';
import type { Bench } from './bench.ts';
import type { Contender, Metric } from './ledger.ts';
import { median } from './percentiles.ts';

const RUNS = 5;

interface Command {
  metric: Metric;
  contender: Contender;
  run: () => Promise<RunResult>;
}

/** Command lines as a user waits for them. */
export const cli: Bench = {
  name: 'cli',
  summary: `wall time of \`node ls\` on a manager of three nodes; the median of ${RUNS} runs is one sample`,
  weight: 3,
  async run({ stage, interleave, ledger, say }) {
    const { waggle, swarm } = await stage.swarms();
    const [ours, theirs] = [waggle.lab.host(0), swarm.lab.host(0)];
    const list = ['node', 'ls'];
    const own: Metric = { name: 'cli own `node ls`', unit: 'ms', better: 'less' };
    const docker: Metric = { name: 'cli `docker node ls`', unit: 'ms', better: 'less' };
    const commands: Command[] = [
      { metric: own, contender: 'waggle', run: () => ours.waggle(list) },
      { metric: docker, contender: 'waggle', run: () => ours.swarmDocker(list) },
      { metric: docker, contender: 'swarm', run: () => theirs.docker(list) },
    ];
    for (const { run } of commands) await run();
    await interleave(
      commands.map(({ metric, contender, run }) => ({
        id: `${metric.name} ${contender}`,
        measure: async () => {
          const samples: number[] = [];
          for (let index = 0; index < RUNS; index++) samples.push(await wallTime(run));
          const value = median(samples);
          ledger.add(metric, contender, value);
          // Swarm's own command line is docker's: one measurement stands for both.
          if (contender === 'swarm') ledger.add(own, contender, value);
          say(`${contender}: ${metric.name} ${value.toFixed(0)} ms`);
        },
      })),
    );
  },
};

async function wallTime(run: () => Promise<unknown>): Promise<number> {
  const began = systemClock.monotonic();
  await run();
  return systemClock.monotonic() - began;
}
