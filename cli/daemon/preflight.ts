import { accessSync, constants, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import path from 'node:path';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { makeFolder } from '../../proto/runtime/folder.ts';
import type { DaemonOptions } from './options.ts';

const PROGRAMS: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  bridge: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
};
const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Checks what no part can do without. @throws WaggleError failed-precondition saying what is missing and how to mend it. */
export function checkHost(options: DaemonOptions): void {
  if (process.getuid?.() !== 0) {
    throw refuse('root is needed, for network namespaces and links. Run it as root.');
  }
  for (const [program, from] of Object.entries(PROGRAMS)) {
    if (!searchPath().some((folder) => isProgram(path.join(folder, program)))) {
      throw refuse(
        `the program '${program}' is missing, or is not executable, in ${searchPath().join(':')}. Install it: apt-get install ${from}`,
      );
    }
  }
  for (const [flag, folder] of [
    ['data-dir', options.dataDir],
    ['exec-root', options.execRoot],
    ['plugin-dir', options.pluginDir],
  ] as const) {
    try {
      makeFolder(folder, 0o711);
      accessSync(folder, constants.W_OK | constants.X_OK);
    } catch (error) {
      throw refuse(
        `--${flag} ${folder} is not writable (${messageOf(error)}). Make it writable for root or give another one.`,
      );
    }
  }
  if (options.apiSocket === options.engineSocket) {
    throw refuse(`--host and --docker-host are the same socket ${options.apiSocket}: give Waggle one of its own.`);
  }
}

/** The daemon's PATH with the folders of system programs after it: services are often started without those. */
export function searchPath(given = process.env.PATH ?? ''): string[] {
  return [...new Set([...given.split(path.delimiter).filter((folder) => folder !== ''), ...FOLDERS])];
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/**
 * VXLAN can share its port with other VXLAN devices, such as those that our former life left to its containers, but not
 * with a program. @throws WaggleError failed-precondition when a program has it.
 */
export function checkDataPathPort(port: number): void {
  const tables = ['/proc/net/udp', '/proc/net/udp6'].map((file) => readText(file));
  const inodes = new Set(tables.flatMap((table) => udpInodesOn(table, port)));
  if (inodes.size === 0 || !isHeldByProgram(inodes)) return;
  throw refuse(
    `port ${port}/udp, the data path of overlay networks (VXLAN), is in use by another program. Find it with 'ss -lunp sport = :${port}' and stop it, or give the swarm another port: swarm init --data-path-port`,
  );
}

/** Pure: inode numbers of the sockets on `port` in the kernel's list of UDP sockets. */
function udpInodesOn(table: string, port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return table
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[1]?.endsWith(suffix) === true)
    .flatMap((columns) => columns[9] ?? []);
}

/** The kernel's own sockets have inodes too, and nothing else tells them apart: only that no process has them open. */
function isHeldByProgram(inodes: ReadonlySet<string>): boolean {
  const links = new Set([...inodes].map((inode) => `socket:[${inode}]`));
  return readFolder('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .some((pid) => readFolder(`/proc/${pid}/fd`).some((fd) => links.has(readLink(`/proc/${pid}/fd/${fd}`))));
}

/** A process may end while it is looked at. */
function readFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function readLink(file: string): string {
  try {
    return readlinkSync(file);
  } catch {
    return '';
  }
}

/** Without IPv6 there is no such table. */
function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

interface EngineInfo {
  Swarm?: { LocalNodeState?: string };
}

/** Judges what the engine says of itself. @throws WaggleError failed-precondition when it is in a swarm of its own. */
export function checkEngine(info: EngineInfo, socket: string): void {
  const state = info.Swarm?.LocalNodeState ?? 'inactive';
  if (state === 'inactive') return;
  throw refuse(
    `the Docker Engine at ${socket} is in a swarm of its own (${state}). Take it out first: docker -H unix://${socket} swarm leave --force`,
  );
}

/** The words for an engine that cannot be reached. */
export function engineAway(socket: string, error: unknown): string {
  return `the Docker Engine at ${socket} cannot be reached (${messageOf(error)}). Install and start it (apt-get install docker.io), or give its socket with --docker-host`;
}

function refuse(message: string): WaggleError {
  return new WaggleError('failed-precondition', message);
}
