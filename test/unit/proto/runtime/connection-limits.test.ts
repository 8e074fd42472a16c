import { expect, test } from 'vitest';
import { ConnectionLimits } from '../../../../proto/runtime/connection-limits.ts';

test('one address cannot take the places of all', () => {
  const limits = new ConnectionLimits({ total: 5, perAddress: 3 });
  const evil = Array.from({ length: 10 }, () => limits.admit('10.0.0.9'));
  expect(evil.filter((release) => release !== undefined)).toHaveLength(3);
  expect(limits.admit('10.0.0.1')).toBeDefined();
  expect(limits.admit('10.0.0.2')).toBeDefined();
  expect(limits.admit('10.0.0.3')).toBeUndefined();
});

test('a place is given back once', () => {
  const limits = new ConnectionLimits({ total: 2, perAddress: 1 });
  const first = limits.admit('a');
  const second = limits.admit('b');
  expect(limits.admit('a')).toBeUndefined();
  first?.();
  first?.();
  expect(limits.admit('c')).toBeDefined();
  expect(limits.admit('d')).toBeUndefined();
  second?.();
  expect(limits.admit('a')).toBeDefined();
});
