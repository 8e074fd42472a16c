import { type Configuration, EMPTY_CONFIGURATION, type RaftId } from './entry.ts';
import { isJoint } from './quorum.ts';

export interface MemberChange {
  kind: 'add-voter' | 'add-learner' | 'remove';
  id: RaftId;
}

const KINDS: ReadonlySet<unknown> = new Set<MemberChange['kind']>(['add-voter', 'add-learner', 'remove']);

/**
 * What a conf-change entry holds. One change of the voters is done in one step (Raft thesis 4.1), several go
 * through a joint configuration (4.3), which the leader leaves by an entry without changes. `context` is the
 * shell's.
 */
export interface ConfigurationChange {
  changes: readonly MemberChange[];
  context?: string;
  /**
   * The added voters are all there is from now on. Breaks what Raft promises to whoever is left out: only for the one member
   * that goes on after a majority is lost for good, and never proposed.
   */
  startsAnew?: boolean;
}

/** The data of a conf-change entry: JSON in UTF-8. */
export function encodeChange(change: ConfigurationChange): Uint8Array {
  return Buffer.from(JSON.stringify(change));
}

/** @throws ConfigurationError for anything else. */
export function decodeChange(data: Uint8Array): ConfigurationChange {
  const change = parse(Buffer.from(data).toString());
  if (!Array.isArray(change?.changes) || !change.changes.every(isMemberChange)) {
    throw new ConfigurationError('not a change of the membership');
  }
  return change;
}

/** Why a change cannot be made. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
}

/** The configuration after the change. @throws ConfigurationError; the caller must not propose such a change. */
export function changeConfiguration(now: Configuration, change: ConfigurationChange): Configuration {
  if (change.startsAnew === true) return change.changes.reduce(applyOne, EMPTY_CONFIGURATION);
  if (change.changes.length === 0) return leaveJoint(now);
  if (isJoint(now)) throw new ConfigurationError('the configuration is joint already');
  const next = change.changes.reduce(applyOne, now);
  if (next.voters.length === 0) throw new ConfigurationError('the last voter cannot be removed');
  if (symmetricDifference(now.voters, next.voters) <= 1) return next;
  // A voter that becomes a learner goes on voting in the outgoing half until that is left.
  const demoted = next.learners.filter((id) => now.voters.includes(id));
  return {
    voters: next.voters,
    learners: next.learners.filter((id) => !demoted.includes(id)),
    outgoing: now.voters,
    learnersNext: demoted,
  };
}

function parse(text: string): ConfigurationChange | undefined {
  try {
    return JSON.parse(text) as ConfigurationChange;
  } catch {
    return undefined;
  }
}

function isMemberChange(change: unknown): change is MemberChange {
  return typeof change === 'object' && change !== null && 'id' in change && 'kind' in change && KINDS.has(change.kind);
}

function leaveJoint(now: Configuration): Configuration {
  if (!isJoint(now)) throw new ConfigurationError('the configuration is not joint');
  return {
    voters: now.voters,
    learners: sorted([...now.learners, ...now.learnersNext]),
    outgoing: [],
    learnersNext: [],
  };
}

function applyOne(now: Configuration, { kind, id }: MemberChange): Configuration {
  if (!Number.isSafeInteger(id) || id <= 0) throw new ConfigurationError(`${id} is no Raft ID`);
  const voters = now.voters.filter((each) => each !== id);
  const learners = now.learners.filter((each) => each !== id);
  if (kind === 'add-voter') voters.push(id);
  if (kind === 'add-learner') learners.push(id);
  return { ...now, voters: sorted(voters), learners: sorted(learners) };
}

function symmetricDifference(a: readonly RaftId[], b: readonly RaftId[]): number {
  return a.filter((id) => !b.includes(id)).length + b.filter((id) => !a.includes(id)).length;
}

function sorted(ids: RaftId[]): RaftId[] {
  return ids.toSorted((a, b) => a - b);
}
