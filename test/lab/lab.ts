import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { buildImageTar } from './image.ts';
import { type Host, openHost } from './host.ts';
import { familyOf, isAlive, isHolder, signal, untilGone } from './processes.ts';
import { installRequirements } from './requirements.ts';
import { run } from './run.ts';

const LABS = '/var/tmp/waggle-lab';
const PREFIX_LENGTH = 24;

export interface LabOptions {
  hosts: number;
  /** Start an engine in each host and give it the test image. Default true. */
  engines?: boolean;
  /** Start `waggle daemon` in each host. Default true. */
  daemons?: boolean;
  say?: (line: string) => void;
}

interface LabState {
  /** The process that made the lab, or 0 when it is meant to outlive it. */
  owner: number;
  switchNamespace: string;
  holders: number[];
}

/** Some hosts on one switch. Always end it with `destroy`; labs whose maker has died are removed by the next one. */
export class Lab {
  readonly folder: string;
  readonly hosts: readonly Host[];

  constructor(folder: string, hosts: readonly Host[]) {
    this.folder = folder;
    this.hosts = hosts;
  }

  /** @throws Error for an index that there is not. */
  host(index: number): Host {
    const host = this.hosts[index];
    if (host === undefined) throw new Error(`the lab has no host ${index}`);
    return host;
  }

  /** Lets the lab outlive this process. */
  keep(): void {
    writeState(this.folder, { ...readState(this.folder), owner: 0 });
  }

  async destroy(): Promise<void> {
    await Promise.all(this.hosts.map((host) => host.destroy()));
    await removeLab(this.folder);
  }
}

/** Makes hosts h1, h2 … with addresses 192.168.77.11, .12 … and starts what is asked for in each. */
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
  const lab = new Lab(folder, hosts);
  try {
    await makeSwitch(switchNamespace);
    for (let index = 0; index < options.hosts; index++) {
      hosts.push(await makeHost(folder, switchNamespace, index));
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

/** Removes the labs whose maker is gone; with `all`, every one. @returns how many. */
export async function removeAbandonedLabs(all = false): Promise<number> {
  if (!existsSync(LABS)) return 0;
  let removed = 0;
  for (const name of readdirSync(LABS).filter((each) => each.startsWith('lab-'))) {
    const folder = path.join(LABS, name);
    const { owner } = readState(folder);
    if (!all && (owner === 0 || isAlive(owner))) continue;
    await removeLab(folder);
    removed++;
  }
  return removed;
}

async function makeSwitch(namespace: string): Promise<void> {
  await run('ip', ['netns', 'add', namespace]);
  const commands = ['link set lo up', 'link add sw0 type bridge', 'link set sw0 up'];
  await run('ip', ['-n', namespace, '-batch', '-'], { input: `${commands.join('\n')}\n` });
  await run('ip', ['netns', 'exec', namespace, 'sh', '-c', 'echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables'], {
    check: false,
  });
}

async function makeHost(folder: string, switchNamespace: string, index: number): Promise<Host> {
  const name = `h${index + 1}`;
  const address = `192.168.77.${11 + index}`;
  const port = `p${index + 1}`;
  const hostFolder = path.join(folder, name);
  const host = await openHost({ name, folder: hostFolder, labFolder: LABS, address, switchNamespace, port });
  const pid = String(host.options.holderPid);
  await run('ip', ['-n', switchNamespace, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid]);
  await run('ip', ['-n', switchNamespace, 'link', 'set', port, 'master', 'sw0', 'up']);
  const commands = ['link set lo up', `addr add ${address}/${PREFIX_LENGTH} dev eth0`, 'link set eth0 up'];
  await host.exec(['ip', '-batch', '-'], { input: `${commands.join('\n')}\n` });
  await host.exec(['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  return host;
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
