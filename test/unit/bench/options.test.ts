import { describe, expect, it } from 'vitest';
import { parseOptions } from '../../bench/options.ts';

const KNOWN = ['cli', 'dns'];

describe('options of a bench run', () => {
  it('have defaults, and then a limit of time', () => {
    const options = parseOptions([], KNOWN);
    expect(options).toMatchObject({ names: [], rounds: 3, json: undefined, managers: [1, 3], replicas: 24 });
    expect(options.budgetMinutes).toBeLessThan(8);
  });

  it('lift the limit for rounds that are asked for', () => {
    expect(parseOptions(['--rounds', '3'], KNOWN).budgetMinutes).toBe(Number.POSITIVE_INFINITY);
  });

  it('take names between flags', () => {
    const options = parseOptions(['dns', '--managers', '1,5', 'cli', '--json', 'x.json'], KNOWN);
    expect(options).toMatchObject({ names: ['dns', 'cli'], managers: [1, 5], json: 'x.json' });
  });

  const wrong = [
    { id: 'an unknown bench', argv: ['nds'], says: 'no bench named nds; there are cli dns' },
    { id: 'no rounds', argv: ['--rounds', '0'], says: '--rounds 0: give a whole number above 0' },
    { id: 'half a round', argv: ['--rounds', '1.5'], says: '--rounds 1.5' },
    { id: 'a hole in a list', argv: ['--managers', '1,'], says: '--managers ' },
    { id: 'an unknown flag', argv: ['--round', '1'], says: "Unknown option '--round'" },
  ];
  for (const { id, argv, says } of wrong)
    it(`refuse ${id}`, () => expect(() => parseOptions(argv, KNOWN)).toThrow(says));
});
