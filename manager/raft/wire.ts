import { waggle } from '../../proto/gen/raft.js';
import { MAX_PROPOSAL_BYTES } from '../store/transaction.ts';
import { assertNever } from '../../proto/runtime/assert.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { decodeChange } from './core/configuration.ts';
import type { Configuration, LogEntry } from './core/entry.ts';
import type { Message } from './core/message.ts';

const { Kind } = waggle.raft;
/** More than anything that can be proposed. */
const MAX_ENTRY_BYTES = 2 * MAX_PROPOSAL_BYTES;

type Wire = waggle.raft.IMessage;

/** A core message in the form of proto/raft.proto. */
export function toWire(message: Message): Wire {
  const { from, to, term } = message;
  const envelope = { from, to, term };
  switch (message.type) {
    case 'append':
      return {
        ...envelope,
        kind: Kind.APPEND,
        index: message.prevIndex,
        logTerm: message.prevTerm,
        commit: message.commit,
        entries: message.entries.map(({ type, ...entry }) => ({ ...entry, confChange: type === 'conf-change' })),
      };
    case 'append-response': {
      const { index, rejected, hintIndex, hintTerm } = message;
      return { ...envelope, kind: Kind.APPEND_RESPONSE, index, rejected, hintIndex, logTerm: hintTerm };
    }
    case 'heartbeat':
      return { ...envelope, kind: Kind.HEARTBEAT, commit: message.commit, context: message.context };
    case 'heartbeat-response':
      return { ...envelope, kind: Kind.HEARTBEAT_RESPONSE, context: message.context };
    case 'vote': {
      const { preVote, transfer, lastIndex, lastTerm } = message;
      return { ...envelope, kind: Kind.VOTE, preVote, transfer, index: lastIndex, logTerm: lastTerm };
    }
    case 'vote-response':
      return { ...envelope, kind: Kind.VOTE_RESPONSE, preVote: message.preVote, granted: message.granted };
    case 'snapshot': {
      const { index, term: logTerm, configuration } = message.meta;
      return { ...envelope, kind: Kind.SNAPSHOT, index, logTerm, configurationJson: JSON.stringify(configuration) };
    }
    case 'timeout-now':
      return { ...envelope, kind: Kind.TIMEOUT_NOW };
    default:
      return assertNever(message);
  }
}

/** @throws WaggleError invalid-argument for what no member of ours sends. */
export function fromWire(wire: Wire): Message {
  const envelope = { from: index(wire.from), to: index(wire.to), term: index(wire.term) };
  const [at, logTerm] = [index(wire.index), index(wire.logTerm)];
  const preVote = wire.preVote === true;
  switch (wire.kind ?? Kind.APPEND) {
    case Kind.APPEND:
      return {
        ...envelope,
        type: 'append',
        prevIndex: at,
        prevTerm: logTerm,
        commit: index(wire.commit),
        entries: entriesAfter(at, logTerm, envelope.term, wire.entries ?? []),
      };
    case Kind.APPEND_RESPONSE: {
      const rejected = wire.rejected === true;
      return {
        ...envelope,
        type: 'append-response',
        index: at,
        rejected,
        hintIndex: index(wire.hintIndex),
        hintTerm: logTerm,
      };
    }
    case Kind.HEARTBEAT:
      return { ...envelope, type: 'heartbeat', commit: index(wire.commit), context: index(wire.context) };
    case Kind.HEARTBEAT_RESPONSE:
      return { ...envelope, type: 'heartbeat-response', context: index(wire.context) };
    case Kind.VOTE:
      return { ...envelope, type: 'vote', preVote, transfer: wire.transfer === true, lastIndex: at, lastTerm: logTerm };
    case Kind.VOTE_RESPONSE:
      return { ...envelope, type: 'vote-response', preVote, granted: wire.granted === true };
    case Kind.SNAPSHOT:
      // A leader's log never ends in a term after its own.
      if (at === 0 || logTerm === 0 || logTerm > envelope.term)
        throw malformed('a raft snapshot is of no index or term that can be');
      return { ...envelope, type: 'snapshot', meta: { index: at, term: logTerm, configuration: configuration(wire) } };
    case Kind.TIMEOUT_NOW:
      return { ...envelope, type: 'timeout-now' };
    default:
      throw new WaggleError('invalid-argument', `unknown kind of raft message ${String(wire.kind)}`);
  }
}

function entriesAfter(
  prevIndex: number,
  prevTerm: number,
  leaderTerm: number,
  entries: readonly waggle.raft.IEntry[],
): LogEntry[] {
  let before = prevTerm;
  return entries.map((entry, at) => {
    if (index(entry.index) !== prevIndex + 1 + at) throw malformed('raft entries are not contiguous');
    const term = index(entry.term);
    if (term < before || term > leaderTerm || term === 0)
      throw malformed(`a raft entry is of term ${term}, which cannot be`);
    before = term;
    const data = entry.data ?? new Uint8Array();
    if (data.length > MAX_ENTRY_BYTES) throw malformed(`a raft entry of ${data.length} bytes is too large`);
    if (entry.confChange === true) assertChange(data);
    return { term, index: index(entry.index), type: entry.confChange === true ? 'conf-change' : 'normal', data };
  });
}

function assertChange(data: Uint8Array): void {
  try {
    decodeChange(data);
  } catch (error) {
    throw new WaggleError('invalid-argument', 'a raft entry is no change of the membership', { cause: error });
  }
}

function configuration({ configurationJson }: Wire): Configuration {
  try {
    const given = JSON.parse(configurationJson ?? '') as Record<string, unknown>;
    const ids = (name: keyof Configuration): number[] => {
      const list = given[name];
      if (!Array.isArray(list)) throw new Error(`${name} is missing`);
      return list.map((id) => index(id as number));
    };
    if (ids('voters').length === 0) throw new Error('nobody votes');
    return {
      voters: ids('voters'),
      learners: ids('learners'),
      outgoing: ids('outgoing'),
      learnersNext: ids('learnersNext'),
    };
  } catch (error) {
    throw new WaggleError('invalid-argument', 'the configuration of a raft snapshot cannot be read', { cause: error });
  }
}

function index(value: number | null | undefined): number {
  const given = value ?? 0;
  if (Number.isSafeInteger(given) && given >= 0) return given;
  throw new WaggleError('invalid-argument', `a raft message has ${given} where an index belongs`);
}

function malformed(message: string): WaggleError {
  return new WaggleError('invalid-argument', message);
}
