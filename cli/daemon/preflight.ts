import { accessSync, constants, existsSync, mkdirSync } from 'node:fs';
import path from 'node:path';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
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
    throw refuse('waggle daemon needs root: it makes network namespaces and links. Run it as root.');
  }
  for (const [program, from] of Object.entries(PROGRAMS)) {
    if (!FOLDERS.some((folder) => existsSync(path.join(folder, program)))) {
      throw refuse(`the program '${program}' is missing. Install it: apt-get install ${from}`);
    }
  }
  for (const [flag, folder] of [
    ['data-dir', options.dataDir],
    ['exec-root', options.execRoot],
    ['plugin-dir', options.pluginDir],
  ] as const) {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o711 });
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
