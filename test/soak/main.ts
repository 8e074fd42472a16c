/**
 * `npm run soak [-- --cycles N --seed S --hosts N --check N --minutes N]`: networks, containers and services come and go on hosts of this machine that are
 * killed, frozen and cut off. With `--keep` the lab stays as it is when something was wrong.
 */
import { cpSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { undoWhenFailed } from '../lab/interruption.ts';
import { Soak } from './soak.ts';
import { createSoakSwarm } from './soak-swarm.ts';

const MINUTE_MS = 60_000;

const { values } = parseArgs({
  options: {
    cycles: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    hosts: { type: 'string', default: '4' },
    check: { type: 'string', default: '20' },
    minutes: { type: 'string' },
    keep: { type: 'boolean', default: false },
  },
});
const began = systemClock.monotonic();
const say = (line: string): void => {
  const seconds = ((systemClock.monotonic() - began) / 1000).toFixed(0).padStart(5);
  process.stdout.write(`${seconds} s  ${line}\n`);
};

undoWhenFailed();
const swarm = await createSoakSwarm(Number(values.hosts), say);
const violations: string[] = [];
try {
  say(`${swarm.hosts.length} hosts, three of them managers, seed ${values.seed}`);
  const options = {
    cycles: Number(values.cycles),
    seed: Number(values.seed),
    checkEvery: Number(values.check),
    faultChance: 0.25,
    ...(values.minutes === undefined ? {} : { limitMs: Number(values.minutes) * MINUTE_MS }),
  };
  const soak = new Soak(options, { swarm, clock: systemClock, say });
  violations.push(...(await soak.run()));
  say(JSON.stringify(soak.counts));
  for (const line of soak.summary()) say(`  ${line}`);
  for (const [text, count] of [...soak.refusals].toSorted(([a], [b]) => (a < b ? -1 : 1))) say(`  ${count} x ${text}`);
} catch (error) {
  violations.push(messageOf(error));
}
for (const violation of violations) say(`WRONG: ${violation.slice(0, 4_000)}`);
process.exitCode = violations.length === 0 ? 0 : 1;
if (violations.length > 0) {
  const folder = mkdtempSync(path.join(tmpdir(), 'waggle-soak-logs-'));
  for (const { name, options } of swarm.hosts) {
    for (const service of ['daemon', 'engine']) {
      cpSync(path.join(options.folder, `${service}.log`), path.join(folder, `${name}-${service}.log`));
    }
  }
  say(`what daemons and engines logged is in ${folder}`);
}
if (values.keep && violations.length > 0) {
  swarm.lab.keep();
  say(`left as it is: ${swarm.lab.folder}`);
} else {
  await swarm.lab.destroy();
}
