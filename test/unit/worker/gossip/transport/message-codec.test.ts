import { fc, it as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Message } from '../../../../../worker/gossip/core/message.ts';
import type { SwimPacket } from '../../../../../worker/gossip/core/swim-message.ts';
import { decodeEnvelope, encodeEnvelope } from '../../../../../worker/gossip/transport/message-codec.ts';

const id = fc.stringMatching(/^[\w.:-]{1,30}$/);
const number = fc.nat({ max: 2 ** 31 });
const large = fc.maxSafeNat();
const byte = fc.integer({ min: 0, max: 255 });
const names = fc.array(fc.string({ maxLength: 30 }), { maxLength: 4 });
const scope = fc.constantFrom({ bucket: 0, buckets: 1 }, { bucket: 7, buckets: 16 }, { bucket: 255, buckets: 256 });

const swim: fc.Arbitrary<SwimPacket> = fc.record({
  kind: fc.constantFrom('ping', 'ping-request', 'ack', 'nack', 'news', 'state', 'state-reply'),
  sequence: number,
  target: fc.oneof(fc.constant(''), id),
  incarnation: large,
  checksum: number,
  stream: fc.boolean(),
  news: fc.array(
    fc.record({
      nodeId: id,
      state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
      incarnation: large,
      accuser: fc.oneof(fc.constant(''), id),
    }),
    { maxLength: 5 },
  ),
});

const endpoint = fc.record({
  address: fc.tuple(byte, byte, byte, byte).map((parts) => parts.join('.')),
  mac: fc.constant('02:42:0a:00:00:01'),
  vtep: fc.constant('192.168.1.2'),
  vni: fc.nat({ max: 2 ** 24 }),
  names,
  services: names,
});

function table(networkId: string): fc.Arbitrary<Message> {
  const change = fc.tuple(id, large, fc.option(endpoint, { nil: undefined })).map(([endpointId, sequence, it]) => ({
    networkId,
    endpointId,
    sequence,
    ...(it === undefined ? {} : { endpoint: { networkId, endpointId, ...it } }),
  }));
  const update = fc.record({
    owner: id,
    incarnation: large,
    base: large,
    covers: large,
    snapshot: fc.boolean(),
    changes: fc.array(change, { maxLength: 4 }),
  });
  const digest = fc.record({
    owner: id,
    incarnation: large,
    sequence: large,
    count: number,
    checksum: number,
    coveredTo: large,
  });
  return fc.record({
    from: fc.constant('sender'),
    networkId: fc.constant(networkId),
    scope,
    first: fc.boolean(),
    ranges: fc.array(
      fc.tuple(scope, number, number).map(([it, count, checksum]) => ({ ...it, count, checksum })),
      { maxLength: 3 },
    ),
    digests: fc.array(digest, { maxLength: 4 }),
    replyWanted: fc.boolean(),
    updates: fc.array(update, { maxLength: 3 }),
    digestCount: number,
    synced: fc.boolean(),
  });
}

const content = fc.oneof(
  swim.map((packet) => ({ swim: packet })),
  id.chain(table).map((message) => ({ table: message })),
);
const envelope = fc.record({ from: fc.constant('sender'), session: large, counter: large, content });

describe('codec', () => {
  property.prop([envelope])('what is said is the same after the wire', (said) => {
    expect(decodeEnvelope(encodeEnvelope(said))).toEqual(said);
  });

  property.prop([envelope, fc.array(fc.tuple(fc.nat(), byte), { minLength: 1, maxLength: 8 }), fc.nat()], {
    numRuns: 500,
  })(
    'damaged bytes are refused with an error, or read as something that has the form of a packet',
    (said, damages, cut) => {
      const bytes = Buffer.from(encodeEnvelope(said));
      for (const [at, value] of damages) bytes[at % bytes.length] = value;
      let read: ReturnType<typeof decodeEnvelope>;
      try {
        read = decodeEnvelope(bytes.subarray(0, 1 + (cut % bytes.length)));
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
        return;
      }
      expect(decodeEnvelope(encodeEnvelope(read))).toEqual(read);
    },
  );

  property.prop([fc.uint8Array({ maxLength: 300 })], { numRuns: 500 })(
    'any bytes end in a packet or an error',
    (bytes) => {
      try {
        expect(decodeEnvelope(bytes).from).toMatch(/^[\w.:-]{1,128}$/);
      } catch (error) {
        expect(error).toBeInstanceOf(Error);
      }
    },
  );

  /** A length of 4 GB, of a message, of packed numbers; a number that never ends; a group without end; a message in itself, a thousand deep. */
  const greedy: [string, Buffer][] = [
    ['a text of 4 GB', Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f])],
    ['a part of 4 GB', Buffer.from([0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x00])],
    ['a number of eleven bytes', Buffer.from([0x08, ...Array<number>(11).fill(0xff)])],
    ['an open group', Buffer.from([0x0b, 0x0b, 0x0b])],
    ['parts within parts', Buffer.concat(Array<Buffer>(1_000).fill(Buffer.from([0x1a, 0x7f])))],
  ];
  it.each(greedy)('refuses %s at once, without making room for it', (_, bytes) => {
    const before = process.memoryUsage().arrayBuffers;
    expect(() => decodeEnvelope(bytes)).toThrow();
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1e6);
  });

  it.each([
    { id: 'more ranges than a datagram holds', ranges: Array.from({ length: 65 }, () => ({ bucket: 0, buckets: 1 })) },
    { id: 'buckets that are no power of 16', ranges: [{ bucket: 0, buckets: 50_000 }] },
    { id: 'a bucket beyond the last', ranges: [{ bucket: 16, buckets: 16 }] },
    { id: 'more buckets than there may be', ranges: [{ bucket: 0, buckets: 16 ** 5 }] },
  ])('refuses $id', ({ ranges }) => {
    const message: Message = {
      from: 'sender',
      networkId: 'n',
      scope: { bucket: 0, buckets: 1 },
      first: false,
      ranges: ranges.map((range) => ({ ...range, count: 0, checksum: 0 })),
      digests: [],
      replyWanted: false,
      updates: [],
      digestCount: 0,
      synced: false,
    };
    const bytes = encodeEnvelope({ from: 'sender', session: 1, counter: 1, content: { table: message } });
    expect(() => decodeEnvelope(bytes)).toThrow(/gossip/);
  });
});
