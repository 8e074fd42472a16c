import { describe, expect, it } from 'vitest';
import { findNetwork } from '../../../../cli/daemon/network-lookup.ts';
import type { NetworkObject } from '../../../../proto/objects/network.ts';

const network = (ID: string, Name: string): NetworkObject => ({
  ID,
  Version: { Index: 1 },
  CreatedAt: '',
  UpdatedAt: '',
  Spec: { Name },
});
const NETWORKS = [network('abc111', 'net1'), network('abc222', 'net2'), network('net1zz', 'other')];

describe('findNetwork', () => {
  const CASES = [
    { id: 'exact ID', ref: 'abc222', expected: 'abc222' },
    { id: 'exact name before ID prefix', ref: 'net1', expected: 'abc111' },
    { id: 'unique prefix', ref: 'abc1', expected: 'abc111' },
    { id: 'ambiguous prefix', ref: 'abc', expected: undefined },
    { id: 'unknown', ref: 'nothing', expected: undefined },
    { id: 'empty', ref: '', expected: undefined },
  ];
  for (const { id, ref, expected } of CASES) {
    it(id, () => expect(findNetwork(NETWORKS, ref)?.ID).toBe(expected));
  }
});
