/** `npm run demo [-- --keep]`: three hosts on this machine, and the scenario of the design on them. */
import path from 'node:path';
import type { Host } from '../host.ts';
import { undoWhenFailed } from '../interruption.ts';
import { createLab, type Lab } from '../lab.ts';
import { Report } from './report.ts';
import { SCENARIO, TEAR_DOWN } from './scenario.ts';

const WAGGLE = path.resolve(import.meta.dirname, '../../../cli/waggle');
const keep = process.argv.includes('--keep');
const report = new Report((text) => void process.stdout.write(text));

let lab: Lab | undefined;
undoWhenFailed();
process.exitCode = await play();

async function play(): Promise<number> {
  const up = await report.step(
    'three hosts on this machine, each with a Docker Engine and a waggle daemon',
    async () => {
      lab = await createLab({ hosts: 3, say: (line) => report.say(line) });
      for (const host of lab.hosts) report.say(`${host.name} at ${host.address}`);
    },
  );
  if (!up || lab === undefined) return report.summary() ? 0 : 1;
  const stage = { lab, report };
  let good = true;
  for (const [title, step] of SCENARIO) {
    good = await report.step(title, () => step(stage));
    if (!good) break;
  }
  if (good && !keep) for (const [title, step] of TEAR_DOWN) await report.step(title, () => step(stage));
  if (!keep) await report.step('the hosts removed', () => stage.lab.destroy());
  const asItMustBe = report.summary();
  if (keep) keepLab(stage.lab);
  return asItMustBe ? 0 : 1;
}

function keepLab(kept: Lab): void {
  kept.keep();
  const shell = (host: Host): string => `nsenter -t ${host.options.holderPid} -m -u -n`;
  const lines = [
    '',
    'The swarm is left running. A shell on a host, where both command lines work as on a real one:',
    ...kept.hosts.map((host) => `  ${host.name}:  ${shell(host)} bash`),
    'One command, with either command line:',
    `  ${shell(kept.host(0))} ${WAGGLE} service ls`,
    `  docker -H unix://${kept.host(0).waggleSocket} service ls`,
    'To remove it all:',
    '  npm run lab -- down',
    '',
  ];
  process.stdout.write(lines.join('\n'));
}
