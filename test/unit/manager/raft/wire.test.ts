import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../../../manager/raft/core/message.ts';
import { encodeChange } from '../../../../manager/raft/core/configuration.ts';
import { fromWire, toWire } from '../../../../manager/raft/wire.ts';
import { waggle } from '../../../../proto/gen/raft.js';

const { Message: Wire, Kind } = waggle.raft;
const is = <T extends string>(type: T) => fc.constant(type);
const number = fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const positive = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const envelope = { from: number, to: number, term: number };
const ids = fc.array(number, { maxLength: 4 });
const voters = fc.array(number, { minLength: 1, maxLength: 4 });
const configuration = fc.record({ voters, learners: ids, outgoing: ids, learnersNext: ids });
const entries = fc.array(
  fc.oneof(
    fc.record({ term: number, type: is('normal'), data: fc.uint8Array({ maxLength: 40 }) }),
    fc.record({
      term: number,
      type: is('conf-change'),
      data: fc.nat().map((id) => encodeChange({ changes: [{ kind: 'add-voter', id }] })),
    }),
  ),
  { maxLength: 5 },
);
const messages = fc.oneof(
  fc
    .record({ ...envelope, type: is('append'), prevIndex: fc.nat(), prevTerm: number, commit: number, entries })
    .map((message) => {
      // Terms never go down along a log, and end with the leader's.
      const { entries: given, term, prevTerm } = message;
      const terms = [prevTerm, ...given.map((entry) => Math.max(1, entry.term)), Math.max(1, term)].toSorted(
        (a, b) => a - b,
      );
      const at = (position: number): number => Math.max(1, terms[position] ?? 0);
      return {
        ...message,
        prevTerm: terms[0] ?? 0,
        term: at(given.length + 1),
        entries: given.map((entry, position) => ({
          ...entry,
          term: at(position + 1),
          index: message.prevIndex + 1 + position,
        })),
      };
    }),
  fc.record({
    ...envelope,
    type: is('append-response'),
    index: number,
    rejected: fc.boolean(),
    hintIndex: number,
    hintTerm: number,
  }),
  fc.record({ ...envelope, type: is('heartbeat'), commit: number, context: number }),
  fc.record({ ...envelope, type: is('heartbeat-response'), context: number }),
  fc.record({
    ...envelope,
    type: is('vote'),
    preVote: fc.boolean(),
    transfer: fc.boolean(),
    lastIndex: number,
    lastTerm: number,
  }),
  fc.record({ ...envelope, type: is('vote-response'), preVote: fc.boolean(), granted: fc.boolean() }),
  fc
    .record({ ...envelope, type: is('snapshot'), meta: fc.record({ index: positive, term: positive, configuration }) })
    .map((message) => ({ ...message, term: Math.max(message.term, message.meta.term) })),
  fc.record({ ...envelope, type: is('timeout-now') }),
);

const NOBODY = '{"voters":[],"learners":[],"outgoing":[],"learnersNext":[]}';
const snapshot = (fields: waggle.raft.IMessage): waggle.raft.IMessage => ({
  kind: Kind.SNAPSHOT,
  term: 3,
  index: 9,
  logTerm: 3,
  ...fields,
});

describe('the wire format', () => {
  test.prop([messages], { numRuns: 1000 })('carries every message as it is', (message) => {
    const bytes = Wire.encode(toWire(message as Message)).finish();
    expect(plain(fromWire(Wire.decode(bytes)))).toEqual(plain(message as Message));
  });

  const bad: { id: string; wire: waggle.raft.IMessage; text: string }[] = [
    { id: 'an unknown kind', wire: { kind: 99 as waggle.raft.Kind }, text: 'unknown kind' },
    {
      id: 'an index that is no number',
      wire: { kind: Kind.HEARTBEAT, commit: Number.NaN },
      text: 'where an index belongs',
    },
    { id: 'a negative term', wire: { kind: Kind.HEARTBEAT, term: -1 }, text: 'where an index belongs' },
    {
      id: 'entries with a gap',
      wire: { kind: Kind.APPEND, index: 4, entries: [{ index: 6, term: 1 }] },
      text: 'contiguous',
    },
    {
      id: 'a change of members that is none',
      wire: { kind: Kind.APPEND, term: 1, entries: [{ index: 1, term: 1, confChange: true, data: Buffer.from('[]') }] },
      text: 'no change of the membership',
    },
    { id: 'a snapshot without a membership', wire: snapshot({}), text: 'cannot be read' },
    { id: 'one with half of it', wire: snapshot({ configurationJson: '{"voters":[1]}' }), text: 'cannot be read' },
    { id: 'one in which nobody votes', wire: snapshot({ configurationJson: NOBODY }), text: 'cannot be read' },
    { id: 'one of index 0', wire: snapshot({ index: 0 }), text: 'index or term' },
    { id: "one of a term after its leader's", wire: snapshot({ logTerm: 4 }), text: 'index or term' },
    {
      id: "an entry of a term after its leader's",
      wire: { kind: Kind.APPEND, term: 2, entries: [{ index: 1, term: 3 }] },
      text: 'of term 3',
    },
    {
      id: 'entries whose term goes down',
      wire: { kind: Kind.APPEND, term: 9, index: 4, logTerm: 5, entries: [{ index: 5, term: 4 }] },
      text: 'of term 4',
    },
    {
      id: 'an entry that nobody could have proposed',
      wire: { kind: Kind.APPEND, term: 1, entries: [{ index: 1, term: 1, data: new Uint8Array(4_000_000) }] },
      text: '4000000 bytes is too large',
    },
  ];
  it.each(bad)('refuses $id', ({ wire, text }) => {
    expect(() => fromWire(wire)).toThrow(text);
  });
});

function plain(message: Message): unknown {
  if (message.type !== 'append') return message;
  return { ...message, entries: message.entries.map((entry) => ({ ...entry, data: [...entry.data] })) };
}
