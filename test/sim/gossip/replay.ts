/** Runs one history again, or many: `node test/sim/gossip/replay.ts SEED [COUNT]`; prints what it found. */
import { GossipCore } from '../../../worker/gossip/core/gossip-core.ts';
import { SwimCore } from '../../../worker/gossip/core/swim-core.ts';
import { runHistory } from './history.ts';

const [seed = '1', count = '1'] = process.argv.slice(2);
let changes = 0;
const healed: number[] = [];
let loudest = 0;
for (let at = Number(seed); at < Number(seed) + Number(count); at++) {
  try {
    const outcome = runHistory(at, { SwimCore, GossipCore });
    changes += outcome.changes;
    healed.push(outcome.healedMs);
    loudest = Math.max(loudest, outcome.quietPackets);
  } catch (error) {
    process.stdout.write(`seed ${at}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exitCode = 1;
  }
}
healed.sort((a, b) => a - b);
const { user, system } = process.cpuUsage();
process.stdout.write(
  `${healed.length} histories in ${((user + system) / 1e6).toFixed(1)} s of a processor, ${changes} versions; healed in ${healed[healed.length >> 1]} ms (median), ${healed.at(-1)} ms (worst); at most ${loudest} packets per node and second in the quiet\n`,
);
