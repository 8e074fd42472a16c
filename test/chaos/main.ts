/**
 * `npm run chaos [-- --minutes N --seed S --fault NAME[+NAME] --managers N --autolock]`: managers on this machine under load and all kinds of faults.
 * With `--fault` only that one, again and again.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { undoWhenFailed } from '../lab/interruption.ts';
import { Campaign, type RoundReport } from './campaign.ts';
import { createManagerGroup } from './manager-group.ts';

const MINUTE_MS = 60_000;
/** Rounds between two looks at the disks. */
const DISK_ROUNDS = 6;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '5' },
    seed: { type: 'string', default: '1' },
    fault: { type: 'string' },
    managers: { type: 'string', default: '3' },
    autolock: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const began = systemClock.monotonic();
const deadline = began + Number(values.minutes) * MINUTE_MS;
const say = (line: string): void => {
  const seconds = ((systemClock.monotonic() - began) / 1000).toFixed(0).padStart(4);
  process.stdout.write(`${seconds} s  ${line}\n`);
};

undoWhenFailed();
const group = await createManagerGroup({ managers: Number(values.managers), autolock: values.autolock, say });
const violations: string[] = [];
try {
  await group.begin();
  say(`${values.managers} managers${values.autolock ? ', locked' : ''}, seed ${values.seed}`);
  const campaign = new Campaign({ seed: Number(values.seed) }, { group, clock: systemClock, say });
  const reports: RoundReport[] = [];
  while (violations.length === 0 && systemClock.monotonic() < deadline) {
    reports.push(await (values.fault === undefined ? campaign.next() : campaign.round(values.fault.split('+'))));
    violations.push(...(await campaign.check()));
    if (reports.length % DISK_ROUNDS === 0) violations.push(...(await campaign.checkDisks()));
  }
  if (violations.length === 0) violations.push(...(await campaign.checkDisks()));
  const { done, failed, unknown } = campaign.counts;
  const max = (pick: (report: RoundReport) => number): number => Math.round(Math.max(0, ...reports.map(pick)));
  say(`${reports.length} rounds, ${done} requests done, ${failed} failed, ${unknown} unknown, term ${campaign.term}`);
  say(
    `longest without a write ${max(({ gapMs }) => gapMs)} ms, settled ${max(({ settledMs }) => settledMs)} ms after a round at most`,
  );
} catch (error) {
  violations.push(messageOf(error));
}
if (violations.length > 0) {
  const folder = mkdtempSync(path.join(tmpdir(), 'waggle-chaos-logs-'));
  for (const host of group.hosts) writeFileSync(path.join(folder, `${host.name}.log`), host.log('daemon'));
  say(`what the daemons logged is in ${folder}`);
}
for (const violation of violations) say(`WRONG: ${violation.slice(0, 4_000)}`);
process.exitCode = violations.length === 0 ? 0 : 1;
if (values.keep && violations.length > 0) {
  group.lab.keep();
  say(`left as it is: ${group.lab.folder}`);
} else {
  await group.lab.destroy();
}
