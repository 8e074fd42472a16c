import { expect, it } from 'vitest';
import { ForwardTable } from '../../../../../worker/network/resolver/forward-table.ts';
import { VirtualClock } from '../../../../fixtures/virtual-clock.ts';

it('gives each query its own ID and its client back once', () => {
  const table = new ForwardTable(new VirtualClock());
  const a = table.add({ id: 7, address: '127.0.0.1', port: 1 });
  const b = table.add({ id: 7, address: '127.0.0.1', port: 2 });
  expect(a).not.toBe(b);
  expect(table.take(b ?? -1)).toMatchObject({ id: 7, port: 2 });
  expect(table.take(b ?? -1)).toBeUndefined();
  expect(table.take(a ?? -1)).toMatchObject({ id: 7, port: 1 });
});

it('is bounded, and has room again when the old ones have expired', async () => {
  const clock = new VirtualClock();
  const table = new ForwardTable(clock);
  for (let count = 0; count < 4_096; count++) expect(table.add({ id: count, address: 'x', port: 1 })).toBeDefined();
  expect(table.add({ id: 1, address: 'x', port: 1 })).toBeUndefined();
  await clock.advance(15_001);
  expect(table.add({ id: 1, address: 'x', port: 1 })).toBeDefined();
});
