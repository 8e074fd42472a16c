import { describe, expect, it } from 'vitest';
import { MovedAddresses } from '../../../../../worker/network/overlay/moved-addresses.ts';

const words = (moved: MovedAddresses): string[] => moved.untold().map(({ address, mac }) => `${address} ${mac}`);

describe('MovedAddresses', () => {
  it.each([
    { id: 'a new address', notes: [['x', 'm1']], told: [] },
    {
      id: 'the same MAC again',
      notes: [
        ['x', 'm1'],
        ['x', 'm1'],
      ],
      told: [],
    },
    {
      id: 'another MAC',
      notes: [
        ['x', 'm1'],
        ['x', 'm2'],
      ],
      told: ['x m2'],
    },
    {
      id: 'there and back before anybody was told',
      notes: [
        ['x', 'm1'],
        ['x', 'm2'],
        ['x', 'm1'],
      ],
      told: ['x m1'],
    },
    {
      id: 'another address',
      notes: [
        ['x', 'm1'],
        ['y', 'm2'],
      ],
      told: [],
    },
  ])('tells what containers may have learnt otherwise: $id', ({ notes, told }) => {
    const moved = new MovedAddresses();
    for (const [address = '', mac = ''] of notes) moved.note(address, mac);
    expect(words(moved)).toEqual(told);
  });

  it('keeps what was not told, and what has changed since', () => {
    const moved = new MovedAddresses();
    for (const mac of ['m1', 'm2']) moved.note('x', mac);
    const sent = moved.untold();
    moved.note('x', 'm3');
    moved.told(sent);
    expect(words(moved)).toEqual(['x m3']);
    moved.told(moved.untold());
    expect(words(moved)).toEqual([]);
  });

  it('knows after a restart what the kernel has told', () => {
    const moved = new MovedAddresses();
    moved.recall(new Map([['x', { mac: 'm1' }]]));
    moved.note('x', 'm2');
    // What the kernel has later is our own doing.
    moved.recall(new Map([['x', { mac: 'm9' }]]));
    expect(words(moved)).toEqual(['x m2']);
  });

  it('forgets the oldest of very many', () => {
    const moved = new MovedAddresses();
    for (let each = 0; each <= 10_000; each++) moved.note(`a${each}`, 'm1');
    moved.note('a0', 'm2');
    moved.note('a9999', 'm2');
    expect(words(moved)).toEqual(['a9999 m2']);
  });
});
