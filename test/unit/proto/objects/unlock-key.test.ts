import { fc, test as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { newUnlockKey, parseUnlockKey } from '../../../../proto/objects/unlock-key.ts';

describe('unlock keys', () => {
  property.prop([fc.uint8Array({ minLength: 32, maxLength: 32 })])('are read as they were made', (bytes) => {
    const key = newUnlockKey(() => bytes);
    expect(key).toMatch(/^SWMKEY-1-[A-Za-z0-9+/]{43}$/);
    expect([...parseUnlockKey(key)]).toEqual([...bytes]);
  });

  it.each([
    { id: 'nothing', text: '' },
    { id: 'a join token', text: 'SWMTKN-1-abcd' },
    { id: 'the prefix alone', text: 'SWMKEY-1-' },
    { id: 'padding', text: 'SWMKEY-1-AA==' },
    { id: 'letters that are not of the alphabet', text: 'SWMKEY-1-AA_-' },
    { id: 'a space behind it', text: 'SWMKEY-1-AAAA ' },
  ])('refuses $id', ({ text }) => {
    expect(() => parseUnlockKey(text)).toThrow('invalid key string');
  });
});
