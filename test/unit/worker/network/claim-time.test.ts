import { describe, expect, it } from 'vitest';
import { claimTime } from '../../../../worker/network/claim-time.ts';

const RECORDS = [
  { address: '10.0.0.5', claimedAt: 5_000 },
  { address: '10.0.0.6', address6: 'fd00::5', claimedAt: 9_000 },
  { address: '10.0.0.5' },
  { address: '10.0.0.7', claimedAt: 20_000 },
];

describe('claimTime', () => {
  it.each([
    { id: 'of an address that nobody had', addresses: ['10.0.0.9'], now: 7_000.6, is: 7_000 },
    { id: 'after one that is known', addresses: ['10.0.0.5'], now: 7_000, is: 7_000 },
    { id: 'on a host whose clock is behind', addresses: ['10.0.0.5'], now: 1_000, is: 5_001 },
    { id: 'of either family', addresses: ['10.0.0.5', 'fd00::5'], now: 1_000, is: 9_001 },
  ])('is later than any before it: $id', ({ addresses, now, is }) => {
    expect(claimTime(RECORDS, addresses, now)).toBe(is);
  });
});
