import { parseArgs } from 'node:util';

export interface BenchOptions {
  /** Names of the benches to run; empty for all. */
  names: readonly string[];
  rounds: number;
  /** Where to write the results as JSON. */
  json: string | undefined;
  /** Sizes of the managers' group that `writes` is run with. */
  managers: readonly number[];
  replicas: number;
  /** How long one round of `writes` writes with each number of clients. */
  writeSeconds: number;
  /** No round begins that would probably end later than this; removing the hosts comes on top. */
  budgetMinutes: number;
}

export const USAGE = [
  'usage: npm run bench -- [NAME…] [options]',
  '  --rounds N         interleaved rounds (3); given explicitly, no round is left out for lack of time',
  '  --json FILE        write all samples there as well',
  '  --managers LIST    managers in `writes`, for instance 1,3 (1,3)',
  '  --replicas N       tasks in `replicas` (24)',
  '  --write-seconds S  length of one measurement in `writes` (4)',
].join('\n');

const DEFAULT_BUDGET_MINUTES = 7;

/** @throws Error with what is wrong, for the user. */
export function parseOptions(argv: readonly string[], known: readonly string[]): BenchOptions {
  const { values, positionals } = parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      json: { type: 'string' },
      managers: { type: 'string', default: '1,3' },
      replicas: { type: 'string', default: '24' },
      'write-seconds': { type: 'string', default: '4' },
    },
  });
  const unknown = positionals.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no bench named ${unknown.join(', ')}; there are ${known.join(' ')}`);
  return {
    names: positionals,
    rounds: whole('rounds', values.rounds ?? '3'),
    json: values.json,
    managers: values.managers.split(',').map((each) => whole('managers', each)),
    replicas: whole('replicas', values.replicas),
    writeSeconds: whole('write-seconds', values['write-seconds']),
    budgetMinutes: values.rounds === undefined ? DEFAULT_BUDGET_MINUTES : Number.POSITIVE_INFINITY,
  };
}

function whole(flag: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text.trim())) throw new Error(`--${flag} ${text}: give a whole number above 0`);
  return Number(text);
}
