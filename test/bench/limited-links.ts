import type { Host } from '../lab/host.ts';
import { run } from '../lab/run.ts';

/** Of several packets of 64 KiB: the kernel hands on as one what it segments later (tc-tbf(8)). */
const BURST = '1mb';
const QUEUE = '5ms';

/** Runs the work while the links from the switch to these hosts carry no more than so much, as real ones do. */
export async function withLimitedLinks<T>(
  hosts: readonly Host[],
  gigabits: number,
  work: () => Promise<T>,
): Promise<T> {
  try {
    const limit = ['tbf', 'rate', `${gigabits}gbit`, 'burst', BURST, 'latency', QUEUE];
    for (const host of hosts) await queue(host, 'replace', limit);
    return await work();
  } finally {
    for (const host of hosts) await queue(host, 'del', []);
  }
}

async function queue({ options }: Host, verb: string, discipline: readonly string[]): Promise<void> {
  const { switchNamespace, port } = options;
  const check = verb !== 'del';
  await run('tc', ['-n', switchNamespace, 'qdisc', verb, 'dev', port, 'root', ...discipline], { check });
}
