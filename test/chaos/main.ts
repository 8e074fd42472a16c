/**
 * `npm run chaos [-- --minutes N --seed S --fault NAME[+NAME] --managers N --autolock --history FILE]`: managers on this machine under load and all
 * kinds of faults. With `--fault` only that one, again and again.
 *
 * `--history` keeps what clients asked for and were told, for other checkers of linearizability: a JSON object per line and operation,
 * `{"key": "name", "call": 7, "command": {…}, "outcome": {"at": 9, "result": "ok"}}`. Each key is an object of its own, absent at
 * first, that does what `CONFIG_REGISTER` says with the commands `create`, `update` (compare and swap), `remove` and `read`. `call` and `at` are moments
 * of one count; without `outcome` nobody knows whether it took effect.
 */
import { closeSync, mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { undoWhenFailed } from '../lab/interruption.ts';
import { Campaign, type RoundReport } from './campaign.ts';
import type { RecordedOperation } from './history.ts';
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
    history: { type: 'string' },
  },
});
const began = systemClock.monotonic();
const deadline = began + Number(values.minutes) * MINUTE_MS;
const say = (line: string): void => {
  const seconds = ((systemClock.monotonic() - began) / 1000).toFixed(0).padStart(4);
  process.stdout.write(`${seconds} s  ${line}\n`);
};

function writeHistory(file: string, operations: Iterable<RecordedOperation>): void {
  const descriptor = openSync(file, 'w');
  try {
    for (const operation of operations) writeFileSync(descriptor, `${JSON.stringify(operation)}\n`);
  } finally {
    closeSync(descriptor);
  }
}

undoWhenFailed();
const group = await createManagerGroup({ managers: Number(values.managers), autolock: values.autolock, say });
const campaign = new Campaign({ seed: Number(values.seed) }, { group, clock: systemClock, say });
const violations: string[] = [];
try {
  await group.begin();
  say(`${values.managers} managers${values.autolock ? ', locked' : ''}, seed ${values.seed}`);
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
if (values.history !== undefined) writeHistory(values.history, campaign.operations());
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
