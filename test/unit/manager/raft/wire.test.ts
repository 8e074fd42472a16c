import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../../../manager/raft/core/message.ts';
import { encodeChange } from '../../../../manager/raft/core/configuration.ts';
import { fromWire, toWire } from '../../../../manager/raft/wire.ts';
import { waggle } from '../../../../proto/gen/raft.js';

const { Message: Wire, Kind } = waggle.raft;
const is = <T extends string>(type: T) => fc.constant(type);
const number = fc.oneof(fc.nat(), fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER }));
const envelope = { from: number, to: number, term: number };
const ids = fc.array(number, { maxLength: 4 });
const configuration = fc.record({ voters: ids, learners: ids, outgoing: ids, learnersNext: ids });
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
    .map((message) => ({
      ...message,
      entries: message.entries.map((entry, at) => ({ ...entry, index: message.prevIndex + 1 + at })),
    })),
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
  fc.record({ ...envelope, type: is('snapshot'), meta: fc.record({ index: number, term: number, configuration }) }),
  fc.record({ ...envelope, type: is('timeout-now') }),
);

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
      wire: { kind: Kind.APPEND, entries: [{ index: 1, term: 1, confChange: true, data: Buffer.from('[]') }] },
      text: 'no change of the membership',
    },
    { id: 'a snapshot without a membership', wire: { kind: Kind.SNAPSHOT }, text: 'cannot be read' },
    {
      id: 'one with half of it',
      wire: { kind: Kind.SNAPSHOT, configurationJson: '{"voters":[1]}' },
      text: 'cannot be read',
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
