/** `node test/sim/gossip/report.ts [smallest-largest swarm, default 3-5000] [table ...]`: the tables of worker/gossip/README.md as Markdown on standard output. */
import { LAN, probePaceMs } from '../../../worker/gossip/core/swim-preset.ts';
import {
  condemned,
  crowdOfNetworkdb,
  crowdOfWaggle,
  detection,
  type Detection,
  falseDeaths,
  type FalseAlarms,
  type Membership,
  memberlistSwarm,
  type Network,
  networkdbAt,
  parting,
  quietTraffic,
  type Spread,
  spreadOfNetworkdb,
  spreadOfWaggle,
  waggleSwarm,
} from './measures.ts';
import type { NetworkdbConfig } from './networkdb-node.ts';
import { contenders, PING_BYTES } from './contenders.ts';
import { memberlistDetectionMs, networkdbSpreadMs, quietBytes, spreadMs, waggleDetectionMs } from './theory.ts';
import { HEAVY_LOSS, STANDSTILLS, type Trouble, TROUBLES } from './troubles.ts';

const [range = '3-5000', ...wanted] = process.argv.slice(2);
const [smallest = 3, largest = 5_000] = range.split('-').map(Number);
const SIZES = [3, 10, 100, 1_000, 5_000].filter((size) => size >= smallest && size <= largest);
/** Mean one-way delay of the model network. */
const DELAY_MS = 0.8;
const print = (line: string): void => void process.stdout.write(`${line}\n`);

function seedsFor(size: number): number[] {
  const count = size >= 5_000 ? 1 : size >= 1_000 ? 3 : 15;
  return Array.from({ length: count }, (_, index) => index + 1);
}

function median(values: readonly (number | undefined)[]): number {
  const known = values.map((value) => value ?? Number.POSITIVE_INFINITY).toSorted((a, b) => a - b);
  return known[known.length >> 1] ?? Number.NaN;
}

function worst(values: readonly (number | undefined)[]): number {
  return Math.max(...values.map((value) => value ?? Number.POSITIVE_INFINITY));
}

/** "a / b / c (worst c)": the median of each, and the worst of the last. */
function medians(...columns: (number | undefined)[][]): string {
  return `${columns.map((values) => figure(median(values))).join(' / ')} (${figure(worst(columns.at(-1) ?? []))})`;
}

function total(values: readonly number[]): string {
  return String(values.reduce((sum, value) => sum + value, 0));
}

function row(cells: readonly (string | number)[]): void {
  print(`| ${cells.map((cell) => (typeof cell === 'number' ? figure(cell) : cell)).join(' | ')} |`);
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return 'never';
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(2);
}

function head(title: string, ...cells: string[]): void {
  print(`\n### ${title}\n`);
  row(cells);
  row(cells.map(() => '---'));
}

function quietTable(): void {
  head(
    'Membership of a quiet swarm: bytes (packets) sent per node and second',
    'nodes',
    'loss',
    'Waggle',
    'theory, without loss',
    'memberlist',
  );
  for (const size of SIZES.filter((each) => each <= 1_000)) {
    for (const loss of [0, 0.1, 0.25]) {
      const cell = (swarm: Membership): string => {
        const { bytes, packets } = quietTraffic(swarm, size >= 1_000 ? 5 : 20);
        return `${figure(bytes)} (${figure(packets)})`;
      };
      const theory = quietBytes(probePaceMs(LAN, size), PING_BYTES);
      const [ours, theirs] = [waggleSwarm(size, 1, { loss }), memberlistSwarm(size, 1, { loss })];
      row([String(size), `${loss * 100} %`, cell(ours), theory, cell(theirs)]);
    }
  }
}

function spreadTable(): void {
  head(
    'A new endpoint is known by 50 %, 99 %, all (ms; medians, worst of all in brackets)',
    'nodes',
    'loss',
    'Waggle',
    'theory',
    'networkdb',
    'theory',
    'networkdb at equal bytes',
    'the same, every 10 ms',
    'bytes per node and event: Waggle / networkdb / at equal bytes',
  );
  for (const size of SIZES) {
    for (const loss of [0, 0.1]) {
      const network: Network = { loss };
      const ours = seedsFor(size).map((seed) => spreadOfWaggle(size, seed, network));
      const bytes = median(ours.map((it) => it.bytesPerNode));
      const theirs = (config?: NetworkdbConfig): Spread[] =>
        seedsFor(size).map((seed) => spreadOfNetworkdb(size, seed, network, config));
      const usual = theirs();
      // With more nodes some always wait for a bulk sync, which takes long to simulate.
      const [equal, quick] = [200, 10].map((ms) => (size > 1_000 ? [] : theirs(networkdbAt(bytes, ms))));
      const times = (all: Spread[] = []): string =>
        all.length === 0
          ? ''
          : medians(
              all.map((it) => it.half),
              all.map((it) => it.most),
              all.map((it) => it.all),
            );
      const spent = [ours, usual, equal ?? []]
        .filter((all) => all.length > 0)
        .map((all) => figure(median(all.map((it) => it.bytesPerNode))));
      row([
        String(size),
        `${loss * 100} %`,
        times(ours),
        spreadMs(size, 50, DELAY_MS),
        times(usual),
        networkdbSpreadMs(size, 200),
        times(equal),
        times(quick),
        spent.join(' / '),
      ]);
    }
  }
}

function crowdTable(): void {
  head(
    'Every node publishes one endpoint within a second: all know all (ms); bytes per node for it; bytes per node and second afterwards (medians of 3)',
    'nodes',
    'Waggle',
    'networkdb',
  );
  for (const size of [10, 50, 100, 200].filter((each) => each <= largest)) {
    const cell = (of: typeof crowdOfWaggle): string => {
      const runs = [1, 2, 3].map((seed) => of(size, seed));
      const columns = [runs.map((it) => it.allMs), runs.map((it) => it.bytesPerNode), runs.map((it) => it.quietBytes)];
      return columns.map((values) => figure(median(values))).join(' / ');
    };
    row([String(size), cell(crowdOfWaggle), cell(crowdOfNetworkdb)]);
  }
}

function times(all: Detection[]): string {
  return medians(
    all.map((it) => it.first),
    all.map((it) => it.all),
  );
}

function detectionTable(): void {
  head(
    'A killed node is dead for the first, for all others (ms; medians, worst of all in brackets)',
    'nodes',
    'loss',
    'Waggle',
    'theory',
    'memberlist',
    'theory',
  );
  for (const size of SIZES) {
    for (const loss of [0, 0.1]) {
      const ours = seedsFor(size).map((seed) => detection(waggleSwarm(size, seed, { loss }), 3_000));
      const theirs = seedsFor(size).map((seed) => detection(memberlistSwarm(size, seed, { loss }), 3_000));
      const theory = [waggleDetectionMs(LAN, size), memberlistDetectionMs(size)].map(figure);
      row([String(size), `${loss * 100} %`, times(ours), theory[0] ?? '', times(theirs), theory[1] ?? '']);
    }
  }
}

function equalTable(): void {
  head(
    'At equal bandwidth: bytes per node and second without loss, with 10 %; a killed node is dead for the first / all without loss, with 10 % (ms); nodes wrongly declared dead in 3 x 60 s of 25 % loss / while every tenth stands still for 1 s of every 4 s',
    'nodes',
    'who',
    'bytes',
    'dead for the first / all',
    'the same with 10 % loss',
    'wrongly dead',
  );
  for (const size of SIZES.filter((each) => each <= 1_000)) {
    for (const { name, swarm } of contenders(size)) {
      const bytes = [0, 0.1].map((loss) => quietTraffic(swarm(1, { loss }), size >= 1_000 ? 5 : 20).bytes);
      const found = [0, 0.1].map((loss) =>
        times(seedsFor(size).map((seed) => detection(swarm(seed, { loss }), 3_000))),
      );
      const alarms = [HEAVY_LOSS, STANDSTILLS].map((trouble) =>
        size > 100 ? '' : total(alarmsOf(trouble, swarm).map((it) => it.victims)),
      );
      row([String(size), name, bytes.map(figure).join(' / '), ...found, size > 100 ? '' : alarms.join(' / ')]);
    }
  }
}

type Swarm = (seed: number, network?: Network) => Membership;

function alarmsOf(trouble: Trouble, swarm: Swarm): FalseAlarms[] {
  return [1, 2, 3].map((seed) => falseDeaths(troubled(trouble, swarm, seed), 60_000));
}

function troubled(trouble: Trouble, swarm: Swarm, seed: number): Membership {
  const made = swarm(seed, trouble.network);
  trouble.begin?.(made);
  return made;
}

function falseTable(): void {
  const size = Math.min(50, largest);
  head(
    `False alarms: ${size} nodes that live, 60 s of trouble, 3 runs: nodes that someone declared dead / that were not in trouble themselves / pairs (who, whom); bytes per node and second`,
    'trouble',
    'Waggle',
    'memberlist',
  );
  for (const trouble of TROUBLES) {
    const cell = (swarm: Swarm): string => {
      const runs = alarmsOf(trouble, swarm);
      const counts = [runs.map((it) => it.victims), runs.map((it) => it.healthy), runs.map((it) => it.accusations)];
      return `${counts.map(total).join(' / ')}; ${figure(median(runs.map((it) => it.bytesPerSecond)))}`;
    };
    row([
      trouble.id,
      cell((seed, network) => waggleSwarm(size, seed, network)),
      cell((seed, network) => memberlistSwarm(size, seed, network)),
    ]);
  }
}

/** Objections and self-doubt gather while the trouble lasts; so it lasts for a while before. */
const TROUBLED_MS = 20_000;

function troubleTable(): void {
  const size = Math.min(50, largest);
  head(
    `A killed node, one of ${size} that is well itself, is dead for the first, for all others that are well, in trouble (ms; medians of 5, worst of all in brackets)`,
    'trouble',
    'Waggle',
    'memberlist',
  );
  for (const trouble of TROUBLES) {
    const cell = (swarm: Swarm): string =>
      times([1, 2, 3, 4, 5].map((seed) => detection(troubled(trouble, swarm, seed), TROUBLED_MS, 1)));
    row([
      trouble.id,
      cell((seed, network) => waggleSwarm(size, seed, network)),
      cell((seed, network) => memberlistSwarm(size, seed, network)),
    ]);
  }
}

function standstillTable(): void {
  const lengths = [1_000, 1_200, 1_400, 1_600];
  head(
    `At Waggle's bandwidth: of 20 nodes that stand still once for ${lengths.map((ms) => ms / 1_000).join(' / ')} s, how many are declared dead by someone`,
    'nodes',
    'loss',
    'who',
    'declared dead',
  );
  const seeds = Array.from({ length: 20 }, (_, index) => index + 1);
  for (const size of [3, 10, 50].filter((each) => each <= largest)) {
    for (const loss of [0, 0.1]) {
      for (const { name, swarm } of contenders(size).slice(2)) {
        const dead = lengths.map((ms) => seeds.filter((seed) => condemned(swarm(seed, { loss }), ms)).length);
        row([String(size), `${loss * 100} %`, name, dead.join(' / ')]);
      }
    }
  }
}

function partingTable(): void {
  head(
    'The swarm falls into halves for 60 s: the first, the last node knows that the whole other half is gone; after the mending all see all alive (ms; medians of 5, worst in brackets)',
    'nodes',
    'Waggle',
    'memberlist with reconnects as in Docker',
  );
  for (const size of [4, 10, 100].filter((each) => each <= largest)) {
    const cell = (swarm: (seed: number) => Membership): string => {
      const runs = [1, 2, 3, 4, 5].map((seed) => parting(swarm(seed)));
      return medians(
        runs.map((it) => it.first),
        runs.map((it) => it.all),
        runs.map((it) => it.mended),
      );
    };
    row([String(size), cell((seed) => waggleSwarm(size, seed)), cell((seed) => memberlistSwarm(size, seed))]);
  }
}

/** Upper bounds: the simulator's own work is in them. */
function workTable(): void {
  head(
    'Processor time of membership per node and second (ms), the simulation of its network included',
    'nodes',
    'quiet',
    '10 % loss',
  );
  for (const size of SIZES) {
    const cell = (loss: number): number => {
      const swarm = waggleSwarm(size, 1, { loss });
      const seconds = size >= 1_000 ? 3 : 30;
      swarm.run(1_000);
      const before = process.cpuUsage();
      swarm.run(seconds * 1_000);
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1_000 / seconds / size;
    };
    row([String(size), cell(0), cell(0.1)]);
  }
}

const TABLES: Readonly<Record<string, () => void>> = {
  quiet: quietTable,
  work: workTable,
  false: falseTable,
  trouble: troubleTable,
  standstill: standstillTable,
  parting: partingTable,
  crowd: crowdTable,
  spread: spreadTable,
  equal: equalTable,
  detection: detectionTable,
};
for (const [name, table] of Object.entries(TABLES)) if (wanted.length === 0 || wanted.includes(name)) table();
