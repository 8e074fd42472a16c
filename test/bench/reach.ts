import { sleep, systemClock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { eventually } from '../lab/eventually.ts';
import type { Bench, BenchContext } from './bench.ts';
import type { Metric } from './ledger.ts';
import { percentile } from './percentiles.ts';
import { machineMs } from './probe/watch-protocol.ts';
import { type Arrival, type Guest, ReachField } from './reach-field.ts';
import type { Side, SideName } from './side.ts';
import { filter } from './socket-api.ts';
import { eachSide } from './stage.ts';

const NETWORK = 'bench-reach';
const FIRST_NETWORK = 'bench-first';
/** Per host. Under churn an endpoint is there for about a second. */
const GUESTS = 6;
const QUIET_ENDPOINTS = 70;
const NAMED_ENDPOINTS = 15;
const FIRST_ENDPOINTS = 4;
const CHURN_EVERY_MS = 100;
const CHURN_ENDPOINTS = 150;
/** How long an endpoint stays under churn after everybody has reached it. */
const STAY_MS = 300;

/** Samples of all rounds, by metric: percentiles are of them together. */
type Samples = Map<string, number[]>;

interface Case {
  context: BenchContext;
  side: Side;
  name: SideName;
  field: ReachField;
  samples: Samples;
  /** Of the next endpoint: none is used twice, so that nothing stale is measured. */
  next: number;
}

/** Until a container is reached from other hosts, from inside containers on those. */
export const reach: Bench = {
  name: 'reach',
  summary: `${QUIET_ENDPOINTS} containers connected one by one and ${CHURN_ENDPOINTS} at ${1000 / CHURN_EVERY_MS}/s: until echo requests, sent every 2 ms on every other host, are answered`,
  weight: 25,
  async run(context) {
    const sides = eachSide(await context.stage.swarms());
    const cases: Case[] = [];
    try {
      for (const [name, side] of sides) {
        await createNetwork(side, NETWORK, '10.77.0.0/16');
        const hosts = side.engines.map((engine, index) => ({ engine, host: side.lab.host(index) }));
        const field = await ReachField.open(hosts, NETWORK, GUESTS);
        cases.push({ context, side, name, field, samples: new Map(), next: 256 });
      }
      await context.interleave(cases.map((each) => ({ id: `reach ${each.name}`, measure: () => measure(each) })));
      for (const each of cases) record(each);
    } finally {
      for (const { field } of cases) await field.close();
      for (const [, side] of sides) await removeNetwork(side, NETWORK);
    }
  },
};

async function measure(each: Case): Promise<void> {
  await quiet(each);
  await named(each);
  await first(each);
  await churn(each);
}

async function quiet(each: Case): Promise<void> {
  for (let index = 0; index < QUIET_ENDPOINTS; index++) {
    const guest = guestAt(each, index);
    const address = nextAddress(each);
    keepArrival(each, 'quiet', await each.field.arrive(guest, address));
    keep(each, 'quiet, gone', await each.field.depart(guest, address));
  }
}

async function named(each: Case): Promise<void> {
  for (let index = 0; index < NAMED_ENDPOINTS; index++) {
    const guest = guestAt(each, index);
    keep(each, 'quiet, name known', await each.field.nameComes(guest, nextAddress(each)));
    keep(each, 'quiet, name gone', await each.field.nameGoes(guest));
  }
}

/** The last host's first container on a network: its overlay must be made, and all that the others have be learnt. */
async function first(each: Case): Promise<void> {
  const { side, field } = each;
  const guest = field.guests.findLast(({ host }) => host === field.hosts - 1);
  if (guest === undefined) return;
  const lookout = await field.lookoutIn(guest);
  const others = field.stays.slice(0, -1);
  try {
    for (let index = 0; index < FIRST_ENDPOINTS; index++) {
      // The last one of that name may be on its way out still.
      await eventually(FIRST_NETWORK, () => createNetwork(side, FIRST_NETWORK, '10.78.0.0/16'));
      for (const stay of others) {
        await eventually(FIRST_NETWORK, () => field.connect(stay, undefined, FIRST_NETWORK));
      }
      // Swarm's engine takes the network up with the container.
      if (side.name === 'waggle') await eventually(FIRST_NETWORK, () => field.hasNetwork(guest.host, FIRST_NETWORK));
      const targets = await Promise.all(others.map((stay) => field.addressOf(stay, FIRST_NETWORK)));
      const seen = Promise.all(targets.map((target) => lookout.watch('reach', target)));
      seen.catch(() => undefined);
      const began = machineMs();
      await field.connect(guest, undefined, FIRST_NETWORK);
      const returned = machineMs();
      keep(each, 'first on its host, engine call', returned - began);
      keep(each, 'first on its host', Math.max(0, Math.max(...(await seen)) - returned));
      for (const container of [...others, guest]) await field.disconnect(container, FIRST_NETWORK);
      await removeNetwork(side, FIRST_NETWORK);
    }
  } finally {
    await lookout.close();
  }
}

async function churn(each: Case): Promise<void> {
  const free = each.field.guests.map((_, index) => guestAt(each, index));
  const failures: string[] = [];
  const began = machineMs();
  const stays: Promise<void>[] = [];
  for (let index = 0; index < CHURN_ENDPOINTS; index++) {
    await sleep(systemClock, Math.max(0, began + index * CHURN_EVERY_MS - machineMs()));
    let guest = free.shift();
    for (; guest === undefined; guest = free.shift()) await sleep(systemClock, 5);
    stays.push(comeAndGo(each, guest, free, failures));
  }
  const tookMs = machineMs() - began;
  await Promise.all(stays);
  each.context.say(`${each.name}: churn at ${((1000 * CHURN_ENDPOINTS) / tookMs).toFixed(1)}/s`);
  if (failures.length > 0) throw new Error(`${failures.length} of ${CHURN_ENDPOINTS} failed, first: ${failures[0]}`);
}

async function comeAndGo(each: Case, guest: Guest, free: Guest[], failures: string[]): Promise<void> {
  try {
    const address = nextAddress(each);
    keepArrival(each, 'churn', await each.field.arrive(guest, address));
    await sleep(systemClock, STAY_MS);
    keep(each, 'churn, gone', await each.field.depart(guest, address));
  } catch (error) {
    failures.push(messageOf(error));
  }
  free.push(guest);
}

function guestAt({ field }: Case, index: number): Guest {
  const guest = field.guests[(index * GUESTS + Math.floor(index / field.hosts)) % field.guests.length];
  if (guest === undefined) throw new Error('there are no guests');
  return guest;
}

function nextAddress(each: Case): string {
  each.next++;
  return `10.77.${each.next >> 8}.${each.next & 255}`;
}

function keepArrival(each: Case, phase: string, { callMs, reachMs, spreadMs }: Arrival): void {
  keep(each, `${phase}, engine call`, callMs);
  keep(each, `${phase}, call returned until reached`, reachMs);
  keep(each, `${phase}, reached at home until elsewhere`, spreadMs);
}

function keep({ samples }: Case, name: string, value: number): void {
  const known = samples.get(name) ?? [];
  samples.set(name, known);
  known.push(value);
}

function record({ context: { ledger, say }, name, samples }: Case): void {
  for (const [what, values] of samples) {
    const figures = { p50: percentile(values, 50), p99: percentile(values, 99), max: Math.max(...values) };
    for (const [label, value] of Object.entries(figures)) ledger.add(metric(`${what}, ${label}`), name, value);
    ledger.note(`reach ${what} (${name}): ${values.length} endpoints`);
    const words = Object.entries(figures).map(([label, value]) => `${label} ${value.toFixed(1)}`);
    say(`${name}: ${what}: ${words.join(', ')} ms of ${values.length}`);
  }
}

function metric(name: string): Metric {
  return { name: `reach ${name}`, unit: 'ms', better: 'less' };
}

async function createNetwork(side: Side, name: string, subnet: string): Promise<void> {
  await side.api.post('/networks/create', {
    Name: name,
    Driver: 'overlay',
    Attachable: true,
    CheckDuplicate: true,
    IPAM: { Config: [{ Subnet: subnet }] },
  });
}

/** Endpoints may be on their way out still. Harmless when there is none. */
async function removeNetwork(side: Side, name: string): Promise<void> {
  const found = await side.api.get<{ Id: string }[]>(`/networks?${filter('name', name)}`);
  for (const { Id } of found) await eventually(`${name} to be removed`, () => side.api.delete(`/networks/${Id}`));
}
