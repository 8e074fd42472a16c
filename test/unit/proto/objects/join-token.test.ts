import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { newJoinToken, roleOfToken } from '../../../../manager/ca/join-tokens.ts';
import { formatJoinToken, parseJoinToken, rootDigest } from '../../../../proto/objects/join-token.ts';

/** Computed apart from this code, with Python's hashlib and integers. */
const VECTORS = [
  {
    id: 'plain',
    root: 'root certificate\n',
    secret: Uint8Array.from({ length: 16 }, (_, index) => index),
    token: 'SWMTKN-1-3fymn1xotkgqyj6h3xv0weeh4cdkqk75dfdyc4xqgfk5ahm1sm-000avh9he7dy896m08s18udxr',
  },
  {
    id: 'highest secret',
    root: '',
    secret: new Uint8Array(16).fill(255),
    token: 'SWMTKN-1-5oaq0bjhj6un82wg98mgigso5q7qlhc63je4gw7ivixqqhkd3p-f5lxx1zz5pnorynqglhzmsp33',
  },
  {
    id: 'digest that needs padding',
    root: 'pem 8616',
    secret: Uint8Array.from({ length: 16 }, (_, index) => (index === 15 ? 1 : 0)),
    token: 'SWMTKN-1-0005nnkt766lu3xzl7kccdmzv1ecn3ilq9ye9d2f3kjde8x754-0000000000000000000000001',
  },
];

describe('join tokens', () => {
  it.each(VECTORS)('fixed vector: $id', ({ root, secret, token }) => {
    expect(formatJoinToken(root, secret)).toBe(token);
    expect(parseJoinToken(token)).toEqual({ digest: rootDigest(root), secret: token.slice(-25) });
  });

  it('reads the token of the Docker documentation', () => {
    const token = 'SWMTKN-1-49nj1cmql0jkz5s954yi3oex3nedyz0fb0xx14ie39trti4wxv-8vxv8rssmk743ojnwacrr2e7c';
    expect(parseJoinToken(token)).toEqual({
      digest: 'ab3f508d69ae45247ed722a5808248559898328539818d13b0550bf0a0be55c3',
      secret: '8vxv8rssmk743ojnwacrr2e7c',
    });
  });

  test.prop([fc.uint8Array({ maxLength: 64 }), fc.uint8Array({ minLength: 16, maxLength: 16 })])(
    'what is formatted is parsed back',
    (root, secret) => {
      const token = formatJoinToken(root, secret);
      expect(token).toHaveLength(85);
      expect(parseJoinToken(token).digest).toBe(rootDigest(root));
    },
  );

  it.each([
    { id: 'empty', token: '' },
    { id: 'FIPS', token: `SWMTKN-2-1-${'0'.repeat(50)}-${'0'.repeat(25)}` },
    { id: 'upper case', token: `SWMTKN-1-${'A'.repeat(50)}-${'0'.repeat(25)}` },
    { id: 'short digest', token: `SWMTKN-1-${'0'.repeat(49)}-${'0'.repeat(25)}` },
    { id: 'long secret', token: `SWMTKN-1-${'0'.repeat(50)}-${'0'.repeat(26)}` },
    { id: 'digest over 256 bits', token: `SWMTKN-1-${'z'.repeat(50)}-${'0'.repeat(25)}` },
    { id: 'newline', token: `SWMTKN-1-${'0'.repeat(50)}-${'0'.repeat(25)}\n` },
    { id: 'unlock key', token: 'SWMKEY-1-abc' },
  ])('refuses: $id', ({ token }) => {
    expect(() => parseJoinToken(token)).toThrow('invalid join token');
  });

  it('rotates the secret part only', () => {
    const [first, second] = [newJoinToken('root'), newJoinToken('root')];
    expect(second).not.toBe(first);
    expect(second.slice(0, 60)).toBe(first.slice(0, 60));
  });

  it.each([
    { id: 'worker', token: 'w1', role: 'worker' },
    { id: 'manager', token: 'm1', role: 'manager' },
    { id: 'prefix', token: 'w', role: undefined },
    { id: 'empty', token: '', role: undefined },
  ])('gives the role of the token: $id', ({ token, role }) => {
    expect(roleOfToken({ Worker: 'w1', Manager: 'm1' }, token)).toBe(role);
    expect(roleOfToken({ Worker: '', Manager: '' }, token)).toBeUndefined();
  });
});
