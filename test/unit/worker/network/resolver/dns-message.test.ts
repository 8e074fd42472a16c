import { fc, it as property } from '@fast-check/vitest';
import dns2 from 'dns2';
import { describe, expect, it } from 'vitest';
import { encodeAnswer, encodeFailure, parseQuery } from '../../../../../worker/network/resolver/dns-message.ts';

const { Packet } = dns2;

describe('parseQuery', () => {
  property.prop([fc.uint8Array({ maxLength: 600 })], { numRuns: 3_000 })('never throws on any bytes', (bytes) => {
    const parsed = parseQuery(Buffer.from(bytes));
    if (parsed.kind === 'query') expect(encodeFailure(parsed.query).length).toBeGreaterThan(11);
    if (parsed.kind === 'refused') expect(parsed.reply.readUInt16BE(0)).toBe(Buffer.from(bytes).readUInt16BE(0));
  });

  property.prop([fc.integer({ min: 0, max: 40 }), fc.uint8Array({ minLength: 1, maxLength: 3 })], { numRuns: 2_000 })(
    'never throws on damaged queries, nor when answering them',
    (at, damage) => {
      const bytes = query('web.net', 1, true);
      Buffer.from(damage).copy(bytes, at % bytes.length);
      const parsed = parseQuery(bytes);
      if (parsed.kind === 'query') encodeAnswer(parsed.query, { kind: 'addresses', addresses: ['10.0.0.1'] }, 512);
    },
  );

  const cases = [
    { id: 'too short for an ID', bytes: Buffer.from([1, 2, 3]), expected: 'ignored' },
    { id: 'an answer', bytes: flagged(query('web', 1), 0x80), expected: 'ignored' },
    { id: 'another opcode: NOTIMP', bytes: flagged(query('web', 1), 5 << 3), expected: 'refused', rcode: 4 },
    {
      id: 'no question: FORMERR',
      bytes: Buffer.from([0, 7, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
      expected: 'refused',
      rcode: 1,
    },
    { id: 'a cut question: FORMERR', bytes: query('web', 1).subarray(0, 15), expected: 'refused', rcode: 1 },
    { id: 'a query', bytes: query('web', 1), expected: 'query' },
  ];
  for (const { id, bytes, expected, rcode } of cases) {
    it(id, () => {
      const parsed = parseQuery(bytes);
      expect(parsed.kind).toBe(expected);
      if (parsed.kind === 'refused') expect(parsed.reply.readUInt8(3) & 0xf).toBe(rcode);
    });
  }
});

describe('encodeAnswer', () => {
  const many = Array.from({ length: 200 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);

  it('repeats ID, question and EDNS, and nothing is to be kept for long', () => {
    const reply = answer(query('WeB', 1, true), ['10.0.0.1', '10.0.0.2']);
    expect(reply.header).toMatchObject({ id: 7, qr: 1, ra: 1, rd: 1, rcode: 0, tc: 0 });
    expect(reply.questions).toMatchObject([{ name: 'WeB', type: 1, class: 1 }]);
    expect(reply.answers.map((it) => [it.address, it.ttl])).toEqual([
      ['10.0.0.1', 1],
      ['10.0.0.2', 1],
    ]);
    expect(reply.additionals.map((it) => it.type)).toEqual([41]);
  });

  it('sends no EDNS to a client that did not', () => {
    expect(answer(query('web', 1), ['10.0.0.1']).additionals).toEqual([]);
  });

  it('gives what fits and marks it truncated', () => {
    const parsed = parseQuery(query('web', 1));
    if (parsed.kind !== 'query') throw new Error('not a query');
    const bytes = encodeAnswer(parsed.query, { kind: 'addresses', addresses: many }, parsed.query.udpLimitBytes);
    expect(bytes.length).toBeLessThanOrEqual(512);
    expect(bytes.length).toBeGreaterThan(512 - 16);
    expect(Packet.parse(bytes).header.tc).toBe(1);
    expect(
      Packet.parse(encodeAnswer(parsed.query, { kind: 'addresses', addresses: many }, 65_535)).answers,
    ).toHaveLength(200);
  });

  it('says that a name has nothing of a type without an error', () => {
    const parsed = parseQuery(query('web', 28));
    if (parsed.kind !== 'query') throw new Error('not a query');
    const reply = Packet.parse(encodeAnswer(parsed.query, { kind: 'empty' }, 512));
    expect(reply.header).toMatchObject({ rcode: 0, ancount: 0 });
  });

  function answer(bytes: Buffer, addresses: string[]) {
    const parsed = parseQuery(bytes);
    if (parsed.kind !== 'query') throw new Error('not a query');
    return Packet.parse(encodeAnswer(parsed.query, { kind: 'addresses', addresses }, 512));
  }
});

function query(name: string, type: number, edns = false): Buffer {
  const packet = new Packet();
  packet.header = new Packet.Header({ id: 7, rd: 1 });
  packet.questions.push(new Packet.Question(name, type, 1));
  if (edns) packet.additionals.push(Packet.Resource.EDNS([], { udpPayloadSize: 1232 }));
  return packet.toBuffer();
}

function flagged(bytes: Buffer, flags: number): Buffer {
  bytes.writeUInt8(bytes.readUInt8(2) | flags, 2);
  return bytes;
}
