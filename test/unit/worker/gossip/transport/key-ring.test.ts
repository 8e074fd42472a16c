import { fc, it as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { KeyRing, SEAL_BYTES } from '../../../../../worker/gossip/transport/key-ring.ts';

const key = (tag: number) => ({ tag, key: new Uint8Array(16).fill(tag) });
function ring(...tags: number[]): KeyRing {
  const made = new KeyRing();
  made.set(tags.map(key));
  return made;
}

describe('KeyRing', () => {
  it('seals with the second newest key, opens with any', () => {
    const sealed = ring(1, 3, 2).seal(Buffer.from('hello')) as Buffer;
    expect(sealed.readUInt32BE(1)).toBe(2);
    expect(sealed).toHaveLength(5 + SEAL_BYTES);
    expect(ring(2, 3, 4).open(sealed)?.toString()).toBe('hello');
    expect(ring(1, 3).open(sealed)).toBeUndefined();
    expect(ring(1, 3).knowsKeyOf(sealed)).toBe(false);
  });

  it('seals with the only key there is', () => {
    expect((ring(7).seal(Buffer.from('hello')) as Buffer).readUInt32BE(1)).toBe(7);
  });

  it('neither seals nor opens without keys', () => {
    expect(new KeyRing().seal(Buffer.from('x'))).toBeUndefined();
    expect(new KeyRing().open(ring(1).seal(Buffer.from('x')) as Buffer)).toBeUndefined();
  });

  it('refuses a key of another length', () => {
    expect(() => new KeyRing().set([{ tag: 1, key: new Uint8Array(15) }])).toThrow(RangeError);
  });

  property.prop([fc.uint8Array({ maxLength: 200 }), fc.nat(), fc.integer({ min: 1, max: 255 })])(
    'refuses a packet with any one byte changed',
    (content, at, change) => {
      const sealed = ring(1).seal(content) as Buffer;
      const where = at % sealed.length;
      sealed.writeUInt8(sealed.readUInt8(where) ^ change, where);
      expect(ring(1).open(sealed)).toBeUndefined();
    },
  );

  property.prop([fc.uint8Array({ maxLength: 100 })])('refuses any bytes', (bytes) => {
    expect(ring(1).open(Buffer.from(bytes))).toBeUndefined();
  });
});
