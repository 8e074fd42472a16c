import { eventually } from '../eventually.ts';
import type { Host } from '../host.ts';
import { TEST_IMAGE } from '../image.ts';
import type { Lab } from '../lab.ts';
import type { Report } from './report.ts';

/** The scenario of the design: two networks over two hosts, then a service over three. Each function is one step. */

const SLEEP = ['sleep', '100000'];
const NODES = 3;

/** What one step leaves for the next. */
export interface Stage {
  lab: Lab;
  report: Report;
}

type Step = (stage: Stage) => Promise<void>;

export const SCENARIO: readonly (readonly [string, Step])[] = [
  ['the first host begins a swarm', beginSwarm],
  ['two more hosts join with a token', joinSwarm],
  ['two overlay networks', createNetworks],
  ['four containers by plain `docker run`, two on each of two hosts', runContainers],
  ['inside a network: reached by name and by address, across hosts', pingInside],
  ['across networks: out of reach', pingAcross],
  ['what the overlay is made of on the first host', showOverlay],
  ['a service with six replicas on net1', createService],
  ['its tasks, and its name from a plain container', showService],
  ['scaled to three', scaleService],
  ['removed, and no container of it is left', removeService],
];

export const TEAR_DOWN: readonly (readonly [string, Step])[] = [
  ['containers and networks removed, nothing of them left in any kernel', removeNetworks],
  ['all three hosts leave the swarm', leaveSwarm],
];

async function beginSwarm({ lab, report }: Stage): Promise<void> {
  const [first] = hosts(lab);
  await waggle(report, first, ['swarm', 'init', '--advertise-addr', first.address]);
}

async function joinSwarm({ lab, report }: Stage): Promise<void> {
  const [first, ...others] = hosts(lab);
  const { stdout } = await first.waggle(['swarm', 'join-token', '-q', 'worker']);
  for (const host of others) {
    await waggle(report, host, ['swarm', 'join', '--token', stdout.trim(), `${first.address}:2377`]);
  }
  await eventually('all nodes to be ready', async () => {
    const nodes = await first.waggle(['node', 'ls', '--format', '{{.Status}}']);
    return nodes.stdout.split('\n').filter((line) => line === 'Ready').length === NODES;
  });
  await waggle(report, first, ['node', 'ls']);
}

async function createNetworks({ lab, report }: Stage): Promise<void> {
  const [first, second] = hosts(lab);
  for (const name of ['net1', 'net2']) {
    await waggle(report, first, ['network', 'create', '-d', 'overlay', '--attachable', name]);
  }
  await waggle(report, first, ['network', 'ls', '--filter', 'driver=overlay']);
  for (const name of ['net1', 'net2']) {
    await eventually(`${name} on the second host`, async () => {
      const found = await second.docker(['network', 'inspect', name], { check: false });
      return found.exitCode === 0;
    });
  }
}

async function runContainers({ lab, report }: Stage): Promise<void> {
  const [first, second] = hosts(lab);
  for (const [host, suffix] of [
    [first, 'c1'],
    [second, 'c2'],
  ] as const) {
    for (const network of ['net1', 'net2']) {
      await docker(report, host, [
        'run',
        '-d',
        '--name',
        `${network}${suffix}`,
        '--network',
        network,
        TEST_IMAGE,
        ...SLEEP,
      ]);
    }
  }
}

async function pingInside({ lab, report }: Stage): Promise<void> {
  const [first, second] = hosts(lab);
  for (const network of ['net1', 'net2']) {
    const address = await addressOf(second, `${network}c2`, network);
    await docker(report, first, ['exec', `${network}c1`, 'ping', '-c', '2', '-W', '2', `${network}c2`]);
    await docker(report, first, ['exec', `${network}c1`, 'ping', '-c', '1', '-W', '2', address]);
  }
}

async function pingAcross({ lab, report }: Stage): Promise<void> {
  const [first, second] = hosts(lab);
  const address = await addressOf(second, 'net2c2', 'net2');
  for (const target of [address, 'net2c2']) {
    const line = ['exec', 'net1c1', 'ping', '-c', '1', '-W', '1', target];
    const result = await first.docker(line, { check: false, timeoutMs: 60_000 });
    report.command(first.name, `docker ${line.join(' ')}`, `${result.stdout}\n${result.stderr}`.trim());
    if (result.exitCode === 0) throw new Error(`net1c1 reaches ${target}, which is on another network`);
  }
}

async function showOverlay({ lab, report }: Stage): Promise<void> {
  const [first, second] = hosts(lab);
  const { stdout } = await first.waggle(['network', 'inspect', '--format', '{{.Id}}', 'net1']);
  const namespace = `1-${stdout.trim().slice(0, 10)}`;
  const inside = async (command: readonly string[]): Promise<string> => {
    const line = ['ip', 'netns', 'exec', namespace, ...command];
    const result = await first.exec(line);
    report.command(first.name, line.join(' '), result.stdout);
    return result.stdout;
  };
  const links = await inside(['ip', '-brief', 'link']);
  const fdb = await inside(['bridge', 'fdb', 'show', 'dev', 'vxlan1']);
  const neighbours = await inside(['ip', 'neigh', 'show', 'dev', 'vxlan1']);
  const remote = await addressOf(second, 'net1c2', 'net1');
  const mac = `02:42:${remote
    .split('.')
    .map((part) => Number(part).toString(16).padStart(2, '0'))
    .join(':')}`;
  expectText(links, 'br0', 'vxlan1');
  expectText(fdb, `${mac} dst ${second.address}`);
  expectText(neighbours, `${remote} lladdr ${mac} PERMANENT`);
}

async function createService({ lab, report }: Stage): Promise<void> {
  const [first] = hosts(lab);
  const create = ['service', 'create', '--name', 'web', '--replicas', '6', '--stop-grace-period', '1s'];
  await waggle(report, first, [...create, '--network', 'net1', TEST_IMAGE, 'httpd', '-f', '-p', '80', '-h', '/www']);
}

async function showService({ lab, report }: Stage): Promise<void> {
  const [first] = hosts(lab);
  const listed = await waggle(report, first, ['service', 'ls']);
  expectText(listed, '6/6');
  await waggle(report, first, ['service', 'ps', 'web']);
  const looked = await docker(report, first, ['exec', 'net1c1', 'nslookup', 'tasks.web'], { check: false });
  const addresses = new Set(looked.match(/\b10\.\d+\.\d+\.\d+\b/g) ?? []);
  if (addresses.size !== 6) throw new Error(`tasks.web has ${addresses.size} addresses and not 6`);
}

async function scaleService({ lab, report }: Stage): Promise<void> {
  const [first] = hosts(lab);
  await waggle(report, first, ['service', 'scale', 'web=3']);
  // Those that are to go count until their containers have ended.
  await eventually('three of three to run', async () => {
    const { stdout } = await first.waggle(['service', 'ls', '--format', '{{.Replicas}}']);
    return stdout.trim() === '3/3';
  });
  await waggle(report, first, ['service', 'ls']);
}

async function removeService({ lab, report }: Stage): Promise<void> {
  const [first] = hosts(lab);
  await waggle(report, first, ['service', 'rm', 'web']);
  for (const host of hosts(lab)) {
    await eventually(`containers of web gone from ${host.name}`, async () => {
      const { stdout } = await host.docker(['ps', '-aq', '--filter', 'label=com.docker.swarm.service.name=web']);
      return stdout.trim() === '';
    });
  }
}

async function removeNetworks({ lab, report }: Stage): Promise<void> {
  const [first, second] = hosts(lab);
  await docker(report, first, ['rm', '-f', 'net1c1', 'net2c1']);
  await docker(report, second, ['rm', '-f', 'net1c2', 'net2c2']);
  await waggle(report, first, ['network', 'rm', 'net1', 'net2']);
  for (const host of hosts(lab)) {
    await eventually(`overlay namespaces and links gone from ${host.name}`, async () => {
      const { stdout } = await host.exec([
        'sh',
        '-c',
        'ls /run/netns; ip -brief link | grep -E "^(veth|vx)" | grep -v docker || true',
      ]);
      if (stdout.trim() !== '') throw new Error(stdout);
      const twins = await host.docker(['network', 'ls', '-q', '--filter', 'driver=waggle']);
      return twins.stdout.trim() === '';
    });
  }
}

async function leaveSwarm({ lab, report }: Stage): Promise<void> {
  const [first, ...others] = hosts(lab);
  for (const host of others) await waggle(report, host, ['swarm', 'leave']);
  await waggle(report, first, ['swarm', 'leave', '--force']);
}

async function waggle(report: Report, host: Host, args: readonly string[]): Promise<string> {
  const result = await host.waggle(args, { check: false });
  return told(report, host, `waggle ${args.join(' ')}`, result);
}

async function docker(
  report: Report,
  host: Host,
  args: readonly string[],
  options: { check?: boolean } = {},
): Promise<string> {
  const result = await host.docker(args, { check: false });
  return told(report, host, `docker ${args.join(' ')}`, options.check === false ? { ...result, exitCode: 0 } : result);
}

function told(
  report: Report,
  host: Host,
  line: string,
  result: { stdout: string; stderr: string; exitCode: number },
): string {
  report.command(
    host.name,
    line,
    [result.stdout.trim(), result.stderr.trim()].filter((text) => text !== '').join('\n'),
  );
  if (result.exitCode !== 0) throw new Error(`${line}: exit status ${result.exitCode}`);
  return result.stdout;
}

async function addressOf(host: Host, container: string, network: string): Promise<string> {
  const format = `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`;
  const { stdout } = await host.docker(['inspect', '--format', format, container]);
  return stdout.trim();
}

function expectText(text: string, ...parts: readonly string[]): void {
  for (const part of parts) if (!text.includes(part)) throw new Error(`"${part}" is missing`);
}

function hosts(lab: Lab): [Host, Host, Host] {
  return [lab.host(0), lab.host(1), lab.host(2)];
}
