/** Runs one seed again, or many: `node test/sim/raft/replay.ts SCENARIO SEED [COUNT]`; prints what it found. */
import { Raft } from '../../../manager/raft/core/raft.ts';
import { Cluster } from './cluster.ts';
import { SCENARIOS } from './scenarios.ts';

const [name = 'everything-5', seed = '1', count = '1'] = process.argv.slice(2);
const scenario = SCENARIOS[name];
if (scenario === undefined) throw new Error(`scenarios: ${Object.keys(SCENARIOS).join(', ')}`);
const begun = performance.now();
let steps = 0;
let committed = 0;
let answered = 0;
let terms = 0;
for (let at = Number(seed); at < Number(seed) + Number(count); at++) {
  try {
    const outcome = new Cluster(at, scenario, { core: Raft }).run();
    steps += outcome.steps;
    committed += outcome.committed;
    answered += outcome.answered;
    terms += outcome.terms;
  } catch (error) {
    process.stdout.write(`seed ${at}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
    break;
  }
}
const seconds = (performance.now() - begun) / 1000;
process.stdout.write(
  `${name}: ${steps} steps in ${seconds.toFixed(1)} s, ${Math.round(steps / seconds)}/s, ${committed} entries committed, ${answered} answers, ${terms} terms\n`,
);
