/** `node test/sim/gossip/report.ts [largest swarm, default 5000]`: the tables of worker/gossip/README.md as Markdown on standard output. */
import { LAN, probePaceMs, suspicionMinMs } from '../../../worker/gossip/core/swim-preset.ts';
import {
  detection,
  type Detection,
  falseDeaths,
  memberlistSwarm,
  type Network,
  type Spread,
  spreadOfNetworkdb,
  spreadOfWaggle,
  waggleSwarm,
} from './measures.ts';
import type { ModelSwarm } from './model-swarm.ts';
import type { MemberlistNode } from './memberlist-node.ts';
import type { SwimNode } from './swim-node.ts';

const largest = Number(process.argv[2] ?? 5_000);
const SIZES = [3, 10, 100, 1_000, 5_000].filter((size) => size <= largest);
const print = (line: string): void => void process.stdout.write(`${line}\n`);

function seedsFor(size: number): number[] {
  const count = size >= 5_000 ? 1 : size >= 1_000 ? 5 : 25;
  return Array.from({ length: count }, (_, index) => index + 1);
}

function median(values: readonly (number | undefined)[]): number {
  const known = values.map((value) => value ?? Number.POSITIVE_INFINITY).toSorted((a, b) => a - b);
  return known[known.length >> 1] ?? Number.NaN;
}

function worst(values: readonly (number | undefined)[]): number {
  return Math.max(...values.map((value) => value ?? Number.POSITIVE_INFINITY));
}

function row(cells: readonly (string | number)[]): void {
  print(`| ${cells.map((cell) => (typeof cell === 'number' ? figure(cell) : cell)).join(' | ')} |`);
}

function figure(value: number): string {
  if (!Number.isFinite(value)) return 'never';
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(2);
}

function head(...cells: string[]): void {
  row(cells);
  row(cells.map(() => '---'));
}

function spreadTable(): void {
  print('### A new endpoint is known by 50 %, 99 %, all (ms; medians, worst of all in brackets)\n');
  head(
    'nodes',
    'loss',
    'Waggle',
    'networkdb',
    'theory of networkdb: (log4 n + ln n / 3) x 200 ms',
    'bytes per node and event, Waggle / networkdb',
    'packets',
  );
  for (const size of SIZES) {
    for (const loss of [0, 0.1]) {
      const network: Network = { loss };
      const ours = seedsFor(size).map((seed) => spreadOfWaggle(size, seed, network));
      const theirs = seedsFor(size).map((seed) => spreadOfNetworkdb(size, seed, network));
      const times = (all: Spread[]): string =>
        `${[all.map((it) => it.half), all.map((it) => it.most), all.map((it) => it.all)].map((it) => figure(median(it))).join(' / ')} (${figure(worst(all.map((it) => it.all)))})`;
      const both = (of: (spread: Spread) => number): string =>
        `${figure(median(ours.map(of)))} / ${figure(median(theirs.map(of)))}`;
      const theory = (Math.log(size) / Math.log(4) + Math.log(size) / 3) * 200;
      row([
        String(size),
        `${loss * 100} %`,
        times(ours),
        times(theirs),
        theory,
        both((it) => it.bytesPerNode),
        both((it) => it.packetsPerNode),
      ]);
    }
  }
}

function detectionTable(): void {
  print('\n### A killed node is dead for the first, for all others (ms; medians, worst of all in brackets)\n');
  head('nodes', 'loss', 'Waggle', 'memberlist', 'theory of Waggle: wait + deadline + least suspicion');
  for (const size of SIZES) {
    for (const loss of [0, 0.1]) {
      const ours = seedsFor(size).map((seed) => detection(waggleSwarm(size, seed, { loss }), 3_000));
      const theirs = seedsFor(size).map((seed) => detection(memberlistSwarm(size, seed, { loss }), 3_000));
      const times = (all: Detection[]): string =>
        `${figure(median(all.map((it) => it.first)))} / ${figure(median(all.map((it) => it.all)))} (${figure(worst(all.map((it) => it.all)))})`;
      // n - 1 nodes probe; in small swarms the round bounds the wait, in large ones it is exponential.
      const waitMs = probePaceMs(LAN, size);
      row([
        String(size),
        `${loss * 100} %`,
        times(ours),
        times(theirs),
        waitMs + LAN.probeDeadlineMs + suspicionMinMs(LAN, size),
      ]);
    }
  }
}

interface Trouble {
  id: string;
  network: Network;
  begin(swarm: ModelSwarm<SwimNode> | ModelSwarm<MemberlistNode>): void;
  each(swarm: ModelSwarm<SwimNode> | ModelSwarm<MemberlistNode>): void;
}

const nothing = (): void => undefined;
const TROUBLES: Trouble[] = [
  { id: 'none', network: {}, begin: nothing, each: nothing },
  { id: '10 % loss', network: { loss: 0.1 }, begin: nothing, each: nothing },
  { id: '25 % loss', network: { loss: 0.25 }, begin: nothing, each: nothing },
  { id: 'delays of 50 ms on average', network: { meanJitterMs: 50 }, begin: nothing, each: nothing },
  {
    id: 'every tenth node is slow by up to 400 ms',
    network: {},
    begin: (swarm) => everyTenth(swarm, (index) => swarm.slow(index, 400)),
    each: nothing,
  },
  {
    id: 'every tenth node stands still for 1 s of every 4 s',
    network: {},
    begin: nothing,
    each: (swarm) => {
      const stand = Math.floor(swarm.nowMs / 1_000) % 4 === 0;
      everyTenth(swarm, (index) => (stand ? swarm.freeze(index) : swarm.thaw(index)));
    },
  },
];

function everyTenth(swarm: { size: number }, act: (index: number) => void): void {
  for (let index = 0; index < swarm.size; index += 10) act(index);
}

function falseTable(): void {
  const ms = 60_000;
  const size = 50;
  print(
    `\n### False alarms: ${size} nodes that live, 60 s of trouble, 5 runs: nodes that someone declared dead / accusations / suspicions\n`,
  );
  head('trouble', 'Waggle', 'memberlist');
  for (const trouble of TROUBLES) {
    const run = (swarm: ModelSwarm<SwimNode> | ModelSwarm<MemberlistNode>): ReturnType<typeof falseDeaths> => {
      trouble.begin(swarm);
      return falseDeaths(swarm, ms, () => trouble.each(swarm));
    };
    const seeds = [1, 2, 3, 4, 5];
    const cell = (runs: ReturnType<typeof falseDeaths>[]): string =>
      [runs.map((it) => it.victims), runs.map((it) => it.accusations), runs.map((it) => it.suspicions)]
        .map((counts) => String(counts.reduce((sum, count) => sum + count, 0)))
        .join(' / ');
    const ours = seeds.map((seed) => run(waggleSwarm(size, seed, trouble.network)));
    const theirs = seeds.map((seed) => run(memberlistSwarm(size, seed, trouble.network)));
    row([trouble.id, cell(ours), cell(theirs)]);
  }
}

function idleTable(): void {
  print('\n### Membership of a quiet swarm: bytes (packets) sent per node and second\n');
  head('nodes', 'Waggle', 'memberlist');
  for (const size of SIZES.filter((each) => each <= 1_000)) {
    const cell = (swarm: ModelSwarm<SwimNode> | ModelSwarm<MemberlistNode>): string => {
      swarm.run(10_000);
      swarm.takeTraffic();
      swarm.run(5_000);
      const { bytes, packets } = swarm.takeTraffic();
      return `${figure(bytes / size / 5)} (${figure(packets / size / 5)})`;
    };
    row([String(size), cell(waggleSwarm(size, 1)), cell(memberlistSwarm(size, 1))]);
  }
}

idleTable();
falseTable();
spreadTable();
detectionTable();
