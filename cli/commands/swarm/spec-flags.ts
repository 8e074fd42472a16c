import type { Command } from 'commander';
import type { ClusterSpec } from '../../../proto/objects/cluster.ts';
import { collect, CommandError } from '../../command.ts';
import { parseDuration } from '../../format/units.ts';

/** Flags that `swarm init` and `swarm update` share; values stay undefined unless given. */
export interface SpecFlags {
  autolock?: boolean;
  certExpiry?: string;
  dispatcherHeartbeat?: string;
  externalCa?: string[];
  maxSnapshots?: string;
  snapshotInterval?: string;
  taskHistoryLimit?: string;
}

export function addSpecFlags(command: Command): Command {
  return command
    .option('--autolock', 'Enable manager autolocking (requiring an unlock key to start a stopped manager)')
    .option('--cert-expiry <duration>', 'Validity period for node certificates (ns|us|ms|s|m|h)')
    .option('--dispatcher-heartbeat <duration>', 'Dispatcher heartbeat period (ns|us|ms|s|m|h)')
    .option('--external-ca <spec>', 'Specifications of one or more certificate signing endpoints', collect)
    .option('--max-snapshots <uint>', 'Number of additional Raft snapshots to retain')
    .option('--snapshot-interval <uint>', 'Number of log entries between Raft snapshots')
    .option('--task-history-limit <int>', 'Task history retention limit');
}

/** The spec with what was given on the command line changed. */
export function applySpecFlags(spec: ClusterSpec, flags: SpecFlags): ClusterSpec {
  const next: ClusterSpec = structuredClone(spec);
  if (flags.taskHistoryLimit !== undefined) {
    next.Orchestration = { TaskHistoryRetentionLimit: integer('task-history-limit', flags.taskHistoryLimit) };
  }
  if (flags.dispatcherHeartbeat !== undefined) {
    next.Dispatcher = { HeartbeatPeriod: parseDuration(flags.dispatcherHeartbeat) };
  }
  if (flags.certExpiry !== undefined)
    next.CAConfig = { ...next.CAConfig, NodeCertExpiry: parseDuration(flags.certExpiry) };
  if (flags.externalCa !== undefined) {
    next.CAConfig = { ...next.CAConfig, ExternalCAs: flags.externalCa.map(parseExternalCa) };
  }
  if (flags.maxSnapshots !== undefined) {
    next.Raft = { ...next.Raft, KeepOldSnapshots: unsigned('max-snapshots', flags.maxSnapshots) };
  }
  if (flags.snapshotInterval !== undefined) {
    next.Raft = { ...next.Raft, SnapshotInterval: unsigned('snapshot-interval', flags.snapshotInterval) };
  }
  if (flags.autolock !== undefined) next.EncryptionConfig = { AutoLockManagers: flags.autolock };
  return next;
}

function parseExternalCa(text: string): { Protocol: string; URL: string } {
  const fields = new Map(text.split(',').map((pair) => [pair.split('=')[0], pair.slice(pair.indexOf('=') + 1)]));
  const protocol = fields.get('protocol');
  const url = fields.get('url');
  if (protocol !== 'cfssl') throw new CommandError(`unrecognized external CA protocol ${protocol ?? ''}`, 125);
  if (url === undefined) throw new CommandError('the external-ca option needs a url= parameter', 125);
  return { Protocol: protocol, URL: url };
}

function unsigned(flag: string, text: string): number {
  if (/^\d+$/.test(text) && Number.isSafeInteger(Number(text))) return Number(text);
  throw new CommandError(
    `invalid argument "${text}" for "--${flag}" flag: strconv.ParseUint: parsing "${text}": invalid syntax`,
    125,
  );
}

function integer(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value)) {
    throw new CommandError(
      `invalid argument "${text}" for "--${flag}" flag: strconv.ParseInt: parsing "${text}": invalid syntax`,
      125,
    );
  }
  return value;
}
