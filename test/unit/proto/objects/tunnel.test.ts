import { describe, expect, it } from 'vitest';
import {
  isEncrypted,
  isTunnelAddress,
  isTunnelKey,
  tunnelAddress,
  tunnelPort,
  tunnelVxlanPort,
} from '../../../../proto/objects/tunnel.ts';

describe('tunnelAddress', () => {
  it('gives the same node the same address, always within the range', () => {
    for (const id of ['a', 'b', 'abcdefghijklmnopqrstuvwxy']) {
      expect(tunnelAddress(id, new Set())).toBe(tunnelAddress(id, new Set()));
      expect(isTunnelAddress(tunnelAddress(id, new Set()))).toBe(true);
    }
  });

  it('passes over addresses of others, however many collide', () => {
    const taken = new Set<string>();
    for (let count = 0; count < 600; count++) {
      const address = tunnelAddress('one', taken);
      expect(isTunnelAddress(address)).toBe(true);
      expect(taken.has(address)).toBe(false);
      taken.add(address);
    }
  });
});

describe('what comes from other hosts', () => {
  it.each([
    ['250.0.0.1', true],
    ['250.255.255.255', true],
    ['251.0.0.1', false],
    ['250.0.0.256', false],
    ['250.0.0.01', false],
    ['250.0.0', false],
    ['250.0.0.1/32', false],
    ['250.0.0.1 ', false],
    ['250.0.0.1\n', false],
  ])('address %j: %s', (text, valid) => expect(isTunnelAddress(text)).toBe(valid));

  it.each([
    ['Hbr8Lw+MNsC/G9n6PsRhC4Y3IP/3/a4D1YEd9miMmhM=', true],
    ['Hbr8Lw+MNsC/G9n6PsRhC4Y3IP/3/a4D1YEd9miMmhN=', false],
    ['Hbr8Lw+MNsC/G9n6PsRhC4Y3IP/3/a4D1YEd9miMmhM', false],
    ['', false],
    ['remove', false],
    ['Hbr8Lw+MNsC/G9n6PsRhC4Y3IP/3/a4D1YEd9miMmhM=\n', false],
  ])('key %j: %s', (text, valid) => expect(isTunnelKey(text)).toBe(valid));
});

it.each([
  ['', true],
  ['true', true],
  // As in Docker, it is the presence that counts.
  ['false', true],
])('option encrypted=%j', (value, expected) => {
  const Spec = { Name: 'n', DriverConfiguration: { Name: 'overlay', Options: { encrypted: value } } };
  expect(isEncrypted({ Spec })).toBe(expected);
  expect(isEncrypted({ Spec: { Name: 'n' } })).toBe(false);
});

it('has ports of its own beside that of plain VXLAN', () => {
  expect([tunnelPort(4789), tunnelVxlanPort(4789)]).toEqual([4790, 4792]);
});
