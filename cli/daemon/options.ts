import path from 'node:path';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { LogLevel } from '../../proto/runtime/log.ts';

/** The flags of `waggle daemon` as commander gives them. */
export interface DaemonFlags {
  host: string;
  dockerHost: string;
  dataDir: string;
  execRoot: string;
  pluginDir: string;
  logLevel: string;
}

/** The same, checked and resolved to paths. */
export interface DaemonOptions {
  /** Path of the API socket. */
  apiSocket: string;
  /** Path of the engine's socket. */
  engineSocket: string;
  dataDir: string;
  execRoot: string;
  pluginDir: string;
  logLevel: LogLevel;
}

/** @throws WaggleError invalid-argument naming the flag. */
export function parseOptions(flags: DaemonFlags): DaemonOptions {
  return {
    apiSocket: socketPath('host', flags.host),
    engineSocket: socketPath('docker-host', flags.dockerHost),
    dataDir: path.resolve(flags.dataDir),
    execRoot: path.resolve(flags.execRoot),
    pluginDir: path.resolve(flags.pluginDir),
    logLevel: flags.logLevel as LogLevel,
  };
}

function socketPath(flag: string, url: string): string {
  const match = /^unix:\/\/(\/.+)$/.exec(url);
  if (match?.[1] === undefined) {
    throw new WaggleError('invalid-argument', `--${flag} ${url}: give a socket as unix:///path`);
  }
  return match[1];
}
