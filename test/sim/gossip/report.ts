/** `node test/sim/gossip/report.ts [smallest-largest swarm, default 3-5000] [table ...]`: the tables of worker/gossip/README.md as Markdown on standard output. */
import { LAN, probePaceMs, type SwimPreset } from '../../../worker/gossip/core/swim-preset.ts';
import {
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
import { MEMBERLIST_LAN, type MemberlistConfig } from './memberlist-node.ts';
import { memberlistDetectionMs, networkdbSpreadMs, quietBytes, spreadMs, waggleDetectionMs } from './theory.ts';

const [range = '3-5000', ...wanted] = process.argv.slice(2);
const [smallest = 3, largest = 5_000] = range.split('-').map(Number);
const SIZES = [3, 10, 100, 1_000, 5_000].filter((size) => size >= smallest && size <= largest);
/** A ping or an ack with nothing on it (SwimNode), and its headers. */
const PING_BYTES = 91 + 42;
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
      const theirs = (config = networkdbAt(bytes, 200)): Spread[] =>
        seedsFor(size).map((seed) => spreadOfNetworkdb(size, seed, network, config));
      const [usual, equal, quick] = [
        seedsFor(size).map((seed) => spreadOfNetworkdb(size, seed, network)),
        theirs(),
        theirs(networkdbAt(bytes, 10)),
      ];
      const times = (all: Spread[]): string =>
        medians(
          all.map((it) => it.half),
          all.map((it) => it.most),
          all.map((it) => it.all),
        );
      const spent = [ours, usual, equal].map((all) => figure(median(all.map((it) => it.bytesPerNode))));
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

/** Waggle at about the bytes of memberlist's own figures, and memberlist at about Waggle's. */
const SPARING: SwimPreset = { ...LAN, probeIntervalMs: 1_304, probesPerInterval: 1 };
const LAVISH: MemberlistConfig = { ...MEMBERLIST_LAN, probeIntervalMs: 96, probeTimeoutMs: 48 };

/** The same with a least suspicion as long as Waggle's. */
const PATIENT: MemberlistConfig = { ...LAVISH, suspicionMult: 12.5 };

function equalTable(): void {
  head(
    'At equal bandwidth: bytes per node and second; a killed node is dead for the first, for all (ms); nodes wrongly declared dead in 3 x 60 s of 25 % loss / while every tenth stands still for 1 s of every 4 s',
    'nodes',
    'who',
    'bytes',
    'dead for the first / all',
    'wrongly dead',
  );
  for (const size of SIZES.filter((each) => each >= 10 && each <= 1_000)) {
    const kinds: [string, (seed: number, network?: Network) => Membership][] = [
      ['Waggle', (seed, network) => waggleSwarm(size, seed, network)],
      ['memberlist, probing 10 times as often', (seed, network) => memberlistSwarm(size, seed, network, LAVISH)],
      ['the same, suspecting as long as Waggle', (seed, network) => memberlistSwarm(size, seed, network, PATIENT)],
      ['Waggle, one probe every 1.3 s', (seed, network) => waggleSwarm(size, seed, network, SPARING)],
      ['memberlist', (seed, network) => memberlistSwarm(size, seed, network)],
    ];
    for (const [name, swarm] of kinds) {
      const { bytes } = quietTraffic(swarm(1), size >= 1_000 ? 5 : 20);
      const found = seedsFor(size).map((seed) => detection(swarm(seed), 3_000));
      const alarms =
        size > 100
          ? ['', '']
          : [TROUBLES[2], TROUBLES.find(({ id }) => id === STANDSTILL)].map((trouble) =>
              trouble === undefined ? '' : total(alarmsOf(trouble, swarm).map((it) => it.victims)),
            );
      row([String(size), name, bytes, times(found), alarms.join(' / ')]);
    }
  }
}

interface Trouble {
  id: string;
  network?: Network;
  begin?(swarm: Membership): void;
  /** Every 250 ms. */
  each?(swarm: Membership): void;
}

/** Every tenth node works for so long, then stands still for so long, not in step (Lifeguard 5, "interval" experiment). */
function standing(workMs: number, stillMs: number): (swarm: Membership) => void {
  return (swarm) =>
    everyTenth(swarm, (index) => {
      const at = (swarm.nowMs + index * 137) % (workMs + stillMs);
      if (at >= workMs) swarm.freeze(index);
      else swarm.thaw(index);
    });
}

function everyTenth(swarm: { size: number }, act: (index: number) => void): void {
  for (let index = 0; index < swarm.size; index += 10) act(index);
}

const STANDSTILL = 'every tenth node stands still for 1 s of every 4 s';
const TROUBLES: readonly Trouble[] = [
  { id: 'none' },
  { id: '10 % loss', network: { loss: 0.1 } },
  { id: '25 % loss', network: { loss: 0.25 } },
  { id: 'delays of 50 ms on average', network: { meanJitterMs: 50 } },
  { id: 'delays of 200 ms on average', network: { meanJitterMs: 200 } },
  {
    id: 'every tenth node is slow by up to 400 ms',
    begin: (swarm) => everyTenth(swarm, (index) => swarm.slow(index, 400)),
  },
  {
    id: 'every tenth node is slow by up to 3 s',
    begin: (swarm) => everyTenth(swarm, (index) => swarm.slow(index, 3_000)),
  },
  { id: STANDSTILL, each: standing(3_000, 1_000) },
  { id: 'every tenth node stands still for 2 s, works for 0.5 s', each: standing(500, 2_000) },
  { id: 'every tenth node stands still for 10 s, works for 1 s', each: standing(1_000, 10_000) },
];

function alarmsOf(trouble: Trouble, swarm: (seed: number, network?: Network) => Membership): FalseAlarms[] {
  return [1, 2, 3].map((seed) => {
    const made = swarm(seed, trouble.network);
    trouble.begin?.(made);
    return falseDeaths(made, 60_000, () => trouble.each?.(made));
  });
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
    const cell = (swarm: (seed: number, network?: Network) => Membership): string => {
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
  parting: partingTable,
  crowd: crowdTable,
  spread: spreadTable,
  equal: equalTable,
  detection: detectionTable,
};
for (const [name, table] of Object.entries(TABLES)) if (wanted.length === 0 || wanted.includes(name)) table();
