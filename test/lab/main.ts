/** `npm run lab -- up [HOSTS] | down`: a lab that stays until it is taken down. */
import { createLab, removeAbandonedLabs } from './lab.ts';

const say = (line: string): void => void process.stdout.write(`${line}\n`);

const [command, count] = process.argv.slice(2);
if (command === 'up') {
  const lab = await createLab({ hosts: Number(count ?? 3), say });
  lab.keep();
  for (const host of lab.hosts) say(`${host.name}  ${host.address}  nsenter -t ${host.options.holderPid} -m -u -n`);
} else if (command === 'down') {
  say(`${await removeAbandonedLabs(true)} labs removed`);
} else {
  process.stderr.write('usage: npm run lab -- up [HOSTS] | down\n');
  process.exitCode = 2;
}
