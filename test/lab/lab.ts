import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildImageTar } from './image.ts';
import { type Host, openHost } from './host.ts';
import { isInterrupted, undoWhenInterrupted } from './interruption.ts';
import { familyOf, isAlive, isHolder, signal, untilGone } from './processes.ts';
import { installRequirements } from './requirements.ts';
import { type RunResult, run } from './run.ts';

const LABS = '/var/tmp/waggle-lab';
const PREFIX_LENGTH = 24;

export interface LabOptions {
  hosts: number;
  /** By host, the number of its segment; those of one are on one switch, between two there is a router. Default: all on segment 0. */
  segments?: readonly number[];
  /** Start an engine in each host and give it the test image. Default true. */
  engines?: boolean;
  /** Start `waggle daemon` in each host. Default true. */
  daemons?: boolean;
  /** A second switch, to which each host has `eth1` with the address 192.168.78.11, .12 … Default false. */
  secondNetwork?: boolean;
  say?: (line: string) => void;
}

interface LabState {
  /** The process that made the lab, or 0 when it is meant to outlive it. */
  owner: number;
  switchNamespace: string;
  holders: number[];
}

/** Some hosts on one switch. Always end it with `destroy`; a signal that ends its maker does it, too, and labs whose maker was killed are removed by the next one. */
export class Lab {
  readonly folder: string;
  readonly hosts: readonly Host[];
  readonly #switchNamespace: string;
  readonly #unguard: () => void;

  constructor(folder: string, hosts: readonly Host[], switchNamespace: string) {
    this.folder = folder;
    this.hosts = hosts;
    this.#switchNamespace = switchNamespace;
    this.#unguard = undoWhenInterrupted(() => removeLab(folder));
  }

  /** @throws Error for an index that there is not. */
  host(index: number): Host {
    const host = this.hosts[index];
    if (host === undefined) throw new Error(`the lab has no host ${index}`);
    return host;
  }

  /** Runs a command on the router of a lab with several segments: a machine on each of them, and no host. */
  onRouter(command: readonly string[]): Promise<RunResult> {
    return run('ip', ['netns', 'exec', this.#switchNamespace, ...command]);
  }

  /** Lets the lab outlive this process. */
  keep(): void {
    this.#unguard();
    writeState(this.folder, { ...readState(this.folder), owner: 0 });
  }

  async destroy(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.destroy()));
    await removeLab(this.folder);
    this.#unguard();
  }
}

/** Makes hosts h1, h2 … with addresses 192.168.77.11, .12 … (segment 1: 192.168.87.…) and starts what is asked for in each. */
export async function createLab(options: LabOptions): Promise<Lab> {
  const say = options.say ?? (() => undefined);
  await installRequirements(say);
  await removeAbandonedLabs();
  mkdirSync(LABS, { recursive: true });
  const folder = mkdtempSync(path.join(LABS, 'lab-'));
  const switchNamespace = `waggle-${path.basename(folder)}`;
  const state: LabState = { owner: process.pid, switchNamespace, holders: [] };
  writeState(folder, state);
  const hosts: Host[] = [];
  const lab = new Lab(folder, hosts, switchNamespace);
  try {
    const segments = [...new Set([0, ...(options.segments ?? [])])];
    await makeSwitches(switchNamespace, segments);
    for (let index = 0; index < options.hosts; index++) {
      if (isInterrupted()) throw new Error('interrupted while a lab was made');
      const place = { segment: options.segments?.[index] ?? 0, routed: segments.length > 1 };
      hosts.push(await makeHost(folder, switchNamespace, index, place));
      if (options.secondNetwork === true) await plugSecond(lab.host(index), switchNamespace, index);
      writeState(folder, { ...state, holders: hosts.map((host) => host.options.holderPid) });
    }
    if (options.engines !== false) {
      await buildImageTar(LABS);
      await Promise.all(
        hosts.map(async (host) => {
          await host.startEngine();
          await host.loadImage();
        }),
      );
    }
    if (options.daemons !== false) await Promise.all(hosts.map((host) => host.startDaemon()));
    return lab;
  } catch (error) {
    await lab.destroy();
    throw error;
  }
}

/** Removes the labs whose maker is gone; with `kept`, those too that were left on purpose. @returns how many. */
export async function removeAbandonedLabs(kept = false): Promise<number> {
  if (!existsSync(LABS)) return 0;
  let removed = 0;
  for (const name of readdirSync(LABS).filter((each) => each.startsWith('lab-'))) {
    const folder = path.join(LABS, name);
    const { owner } = readState(folder);
    if (owner === 0 ? !kept : isAlive(owner)) continue;
    await removeLab(folder);
    removed++;
  }
  return removed;
}

/** A switch for each segment, and with more than one the router between them, which has the first address of each. */
async function makeSwitches(namespace: string, segments: readonly number[]): Promise<void> {
  await run('ip', ['netns', 'add', namespace]);
  const commands = ['link set lo up'];
  for (const segment of segments) {
    commands.push(`link add ${switchOf(segment)} type bridge`, `link set ${switchOf(segment)} up`);
    if (segments.length > 1)
      commands.push(`addr add ${networkOf(segment)}.1/${PREFIX_LENGTH} dev ${switchOf(segment)}`);
  }
  await run('ip', ['-n', namespace, '-batch', '-'], { input: `${commands.join('\n')}\n` });
  await run('ip', ['netns', 'exec', namespace, 'sh', '-c', 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables'], {
    check: false,
  });
  if (segments.length > 1) await run('ip', ['netns', 'exec', namespace, 'sysctl', '-q', '-w', 'net.ipv4.ip_forward=1']);
}

/** The names and networks between are left to other switches of the lab. */
function switchOf(segment: number): string {
  return `sw${10 * segment}`;
}

function networkOf(segment: number): string {
  return `192.168.${77 + 10 * segment}`;
}

async function makeHost(
  folder: string,
  switchNamespace: string,
  index: number,
  { segment, routed }: { segment: number; routed: boolean },
): Promise<Host> {
  const name = `h${index + 1}`;
  const address = `${networkOf(segment)}.${11 + index}`;
  const port = `p${index + 1}`;
  const hostFolder = path.join(folder, name);
  const host = await openHost({ name, folder: hostFolder, labFolder: LABS, address, switchNamespace, port });
  const pid = String(host.options.holderPid);
  await run('ip', ['-n', switchNamespace, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid]);
  await run('ip', ['-n', switchNamespace, 'link', 'set', port, 'master', switchOf(segment), 'up']);
  const commands = ['link set lo up', `addr add ${address}/${PREFIX_LENGTH} dev eth0`, 'link set eth0 up'];
  if (routed) commands.push(`route add default via ${networkOf(segment)}.1`);
  await host.exec(['ip', '-batch', '-'], { input: `${commands.join('\n')}\n` });
  await host.exec(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  return host;
}

/** Connects the host to the second switch, which is in the same namespace as the first. */
async function plugSecond(host: Host, switchNamespace: string, index: number): Promise<void> {
  const port = `q${index + 1}`;
  const pid = String(host.options.holderPid);
  if (index === 0) await run('ip', ['-n', switchNamespace, 'link', 'add', 'sw1', 'up', 'type', 'bridge']);
  await run('ip', ['-n', switchNamespace, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth1', 'netns', pid]);
  await run('ip', ['-n', switchNamespace, 'link', 'set', port, 'master', 'sw1', 'up']);
  const commands = [`addr add ${secondAddress(index)}/${PREFIX_LENGTH} dev eth1`, 'link set eth1 up'];
  await host.exec(['ip', '-batch', '-'], { input: `${commands.join('\n')}\n` });
}

/** The host's address on the second switch, without prefix length. */
export function secondAddress(index: number): string {
  return `192.168.78.${11 + index}`;
}

async function removeLab(folder: string): Promise<void> {
  const state = readState(folder);
  for (const holder of state.holders.filter(isHolder)) {
    const family = familyOf(holder).filter((pid) => pid !== process.pid);
    signal(family, 'SIGCONT');
    signal(family, 'SIGKILL');
    await untilGone(family);
  }
  await run('ip', ['netns', 'del', state.switchNamespace], { check: false });
  rmSync(folder, { recursive: true, force: true });
}

function readState(folder: string): LabState {
  const file = path.join(folder, 'state.json');
  if (!existsSync(file)) return { owner: 0, switchNamespace: `waggle-${path.basename(folder)}`, holders: [] };
  return JSON.parse(readFileSync(file, 'utf8')) as LabState;
}

function writeState(folder: string, state: LabState): void {
  writeFileSync(path.join(folder, 'state.json'), JSON.stringify(state));
}
