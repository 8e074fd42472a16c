import { fc, it as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { installBatch, parseReplies, removeBatch } from '../../../../../worker/network/sandbox/redirect-ruleset.ts';

describe('redirect ruleset', () => {
  it('the rules of a batch read back as the port that they send to', () => {
    const { bytes } = installBatch(5_399, false, 1);
    const rules = parseReplies(bytes).filter((reply) => reply.kind === 'rule');
    expect(rules).toEqual([
      { kind: 'rule', port: 5_399 },
      { kind: 'rule', port: 5_399 },
    ]);
  });

  it('replaces in one transaction: a new table is only made after the old one is deleted', () => {
    expect(types(installBatch(1, true, 1).bytes)).toEqual([16, 2560, 2562, 2560, 2563, 2566, 2566, 17]);
    expect(types(installBatch(1, false, 1).bytes)).toEqual([16, 2560, 2563, 2566, 2566, 17]);
    expect(types(removeBatch(1).bytes)).toEqual([16, 2560, 2562, 17]);
  });

  it('asks for an acknowledgement of the message that it names as last', () => {
    for (const batch of [installBatch(1, true, 9), removeBatch(9)]) {
      const acknowledged = messages(batch.bytes).filter((message) => (message.readUInt16LE(6) & 4) !== 0);
      expect(acknowledged.map((message) => message.readUInt32LE(8))).toEqual([batch.last]);
    }
  });

  property.prop([fc.uint8Array({ maxLength: 200 })])('never throws on what the kernel answers', (bytes) => {
    expect(Array.isArray(parseReplies(Buffer.from(bytes)))).toBe(true);
  });
});

function messages(bytes: Buffer): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readUInt32LE(at))
    found.push(bytes.subarray(at, at + bytes.readUInt32LE(at)));
  return found;
}

function types(bytes: Buffer): number[] {
  return messages(bytes).map((message) => message.readUInt16LE(4));
}
