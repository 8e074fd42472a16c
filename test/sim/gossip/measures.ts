import { LAN, type SwimPreset } from '../../../worker/gossip/core/swim-preset.ts';
import { MEMBERLIST_LAN, type MemberlistConfig, MemberlistNode } from './memberlist-node.ts';
import { type ModelNetworkOptions, ModelSwarm } from './model-swarm.ts';
import { NETWORKDB, type NetworkdbConfig, NetworkdbNode } from './networkdb-node.ts';
import type { MemberState } from '../../../worker/gossip/members.ts';
import { rosterOf, SwimNode } from './swim-node.ts';
import { endpointOf, TableNode } from './table-node.ts';

/** Times from the event, in ms; undefined: not within the limit. */
export interface Spread {
  half: number | undefined;
  most: number | undefined;
  all: number | undefined;
  bytesPerNode: number;
  packetsPerNode: number;
}

export type Network = Omit<ModelNetworkOptions, 'seed'>;

const SPREAD_LIMIT_MS = 60_000;
/** Encoded size of `endpointOf`, and of what Docker gossips of one endpoint in its two tables. */
const NETWORKDB_EVENT_BYTES = [180, 300];

/** A new endpoint on one node: when 50 %, 99 % and all of the others know it. */
export function spreadOfWaggle(count: number, seed: number, network: Network = {}): Spread {
  const swarm = new ModelSwarm<TableNode>({ seed, ...network });
  for (let index = 0; index < count; index++) swarm.add(new TableNode(index, swarm, index === 0));
  const roster = rosterOf(count);
  // Nothing is said during the introduction, which is not what is measured: all are equal and empty.
  for (let index = 0; index < count; index++) swarm.act(index, (node, nowMs) => node.setPeers(roster, nowMs));
  const idle = idleTraffic(swarm);
  const start = swarm.nowMs;
  const times: number[] = [];
  for (const node of swarm.nodes) {
    node.onChange = (nowMs) => {
      if (node.core.records().length === 0) return;
      times.push(nowMs - start);
      node.onChange = () => undefined;
    };
  }
  swarm.act(0, (node, nowMs) => node.publish(endpointOf(1), nowMs));
  const tookMs = swarm.runUntil(() => times.length === count, SPREAD_LIMIT_MS) ?? SPREAD_LIMIT_MS;
  const settleMs = 300;
  swarm.run(settleMs);
  const traffic = swarm.takeTraffic();
  const part = (tookMs + settleMs) / 1_000;
  return spreadOf(times, count, traffic.bytes - idle.bytes * part, traffic.packets - idle.packets * part);
}

/** Of a second, once it is the same for 3 s: with loss the first comparisons take a while, and what they cost is not the endpoint's. */
function idleTraffic(swarm: ModelSwarm<TableNode>): { bytes: number; packets: number } {
  let idle = { bytes: Number.POSITIVE_INFINITY, packets: 0 };
  swarm.takeTraffic();
  for (let [seconds, same] = [0, 0]; seconds < 60 && same < 3; seconds++) {
    swarm.run(1_000);
    const last = swarm.takeTraffic();
    same = Math.abs(last.bytes - idle.bytes) < 0.01 * idle.bytes ? same + 1 : 0;
    idle = last;
  }
  return idle;
}

/** Networkdb that spends about so many bytes per node on an event, whatever its own figures are. */
export function networkdbAt(bytes: number, gossipMs: number): NetworkdbConfig {
  const perTick = NETWORKDB.gossipNodes * NETWORKDB_EVENT_BYTES.reduce((sum, each) => sum + each, 102);
  return { ...NETWORKDB, gossipMs, ticks: () => Math.max(1, Math.round(bytes / perTick)) };
}

export function spreadOfNetworkdb(count: number, seed: number, network: Network = {}, config = NETWORKDB): Spread {
  const swarm = new ModelSwarm<NetworkdbNode>({ seed, ...network });
  for (let index = 0; index < count; index++) swarm.add(new NetworkdbNode(index, count, swarm, config));
  swarm.run(1_000);
  const start = swarm.nowMs;
  const times: number[] = [];
  for (const node of swarm.nodes) {
    node.onLearn = (_, nowMs) => {
      if (node.known.size === NETWORKDB_EVENT_BYTES.length) times.push(nowMs - start);
    };
  }
  swarm.takeTraffic();
  swarm.act(0, (node, nowMs) => {
    for (const [id, bytes] of NETWORKDB_EVENT_BYTES.entries()) node.publish({ id, bytes }, nowMs);
  });
  swarm.runUntil(() => times.length === count, SPREAD_LIMIT_MS);
  swarm.run(4_000);
  const traffic = swarm.takeTraffic();
  return spreadOf(times, count, traffic.bytes, traffic.packets);
}

function spreadOf(times: number[], count: number, bytes: number, packets: number): Spread {
  const ordered = times.toSorted((a, b) => a - b);
  const at = (part: number): number | undefined => ordered[Math.ceil(part * count) - 1];
  return { half: at(0.5), most: at(0.99), all: at(1), bytesPerNode: bytes / count, packetsPerNode: packets / count };
}

export interface Detection {
  /** From the death until the first and until every other node that was always well takes it for dead; ms. */
  first: number | undefined;
  all: number | undefined;
}

const DETECTION_LIMIT_MS = 120_000;

export type Membership = ModelSwarm<SwimNode> | ModelSwarm<MemberlistNode>;

export function waggleSwarm(
  count: number,
  seed: number,
  network: Network = {},
  preset: SwimPreset = LAN,
): ModelSwarm<SwimNode> {
  const swarm = new ModelSwarm<SwimNode>({ seed, ...network });
  for (let index = 0; index < count; index++) swarm.add(new SwimNode(index, swarm, preset));
  const roster = rosterOf(count);
  for (let index = 0; index < count; index++) swarm.act(index, (node, nowMs) => node.setRoster(roster, nowMs));
  return swarm;
}

export function memberlistSwarm(
  count: number,
  seed: number,
  network: Network = {},
  config: MemberlistConfig = MEMBERLIST_LAN,
): ModelSwarm<MemberlistNode> {
  const swarm = new ModelSwarm<MemberlistNode>({ seed, ...network });
  for (let index = 0; index < count; index++) swarm.add(new MemberlistNode(index, count, swarm, config));
  return swarm;
}

/** A node is killed after a while: when the others know. */
export function detection(swarm: Membership, warmUpMs: number, victim = 0): Detection {
  swarm.run(warmUpMs + swarm.random.next() * 1_000);
  swarm.kill(victim);
  const start = swarm.nowMs;
  const isWell = (viewer: number): boolean => viewer !== victim && !swarm.hasBeenUnwell(viewer);
  const well = swarm.nodes.filter((_, viewer) => isWell(viewer)).length;
  const deaths = new Map<number, number>();
  watch(swarm, (viewer, whom, state) => {
    if (whom !== victim || state !== 'dead' || deaths.has(viewer) || !isWell(viewer)) return;
    deaths.set(viewer, swarm.nowMs - start);
  });
  swarm.runUntil(() => deaths.size === well, DETECTION_LIMIT_MS, 5);
  const times = [...deaths.values()].toSorted((a, b) => a - b);
  return { first: times[0], all: times[well - 1] };
}

/** Calls for each change of what one node believes of another. */
function watch(swarm: Membership, look: (viewer: number, whom: number, state: MemberState | undefined) => void): void {
  for (const [viewer, node] of swarm.nodes.entries()) {
    if (node instanceof MemberlistNode) node.onChange = (whom) => look(viewer, whom, node.sees(whom));
    else {
      node.onChange = (nodeIds) => {
        for (const nodeId of nodeIds) {
          const whom = Number(nodeId.slice('node-'.length));
          look(viewer, whom, node.sees(whom));
        }
      };
    }
  }
}

/** Who lives and was declared dead, by how many others, and bytes per node and second, during `ms` of trouble. */
export interface FalseAlarms {
  victims: number;
  /** Of those, how many were neither slow nor standing still. */
  healthy: number;
  accusations: number;
  suspicions: number;
  bytesPerSecond: number;
}

export function falseDeaths(swarm: Membership, ms: number, trouble: () => void = () => undefined): FalseAlarms {
  const pairs = new Set<string>();
  const victims = new Set<number>();
  const suspected = new Set<string>();
  watch(swarm, (viewer, whom, state) => {
    if (state === 'suspect') suspected.add(`${viewer} ${whom}`);
    if (state !== 'dead') return;
    pairs.add(`${viewer} ${whom}`);
    victims.add(whom);
  });
  swarm.takeTraffic();
  for (const end = swarm.nowMs + ms; swarm.nowMs < end; ) {
    trouble();
    swarm.run(250);
  }
  const bytesPerSecond = swarm.takeTraffic().bytes / swarm.size / (ms / 1_000);
  const healthy = [...victims].filter((index) => !swarm.hasBeenUnwell(index)).length;
  return { victims: victims.size, healthy, accusations: pairs.size, suspicions: suspected.size, bytesPerSecond };
}

/** One node stands still once, for so long. @returns whether somebody declares it dead. */
export function condemned(swarm: Membership, stillMs: number): boolean {
  swarm.run(2_000 + swarm.random.next() * 2_000);
  let dead = false;
  watch(swarm, (viewer, whom, state) => {
    dead ||= viewer !== 0 && whom === 0 && state === 'dead';
  });
  swarm.freeze(0);
  swarm.run(stillMs);
  swarm.thaw(0);
  swarm.run(4_000);
  return dead;
}

export interface Parting {
  /** From the cut until the first and the last know that all of the other half are gone; ms. */
  first: number | undefined;
  all: number | undefined;
  /** From the mending until everybody sees everybody alive. */
  mended: number | undefined;
}

/** The swarm falls into halves for a minute. */
export function parting(swarm: Membership): Parting {
  swarm.run(3_000 + swarm.random.next() * 1_000);
  const half = swarm.size >> 1;
  const gone = Array.from({ length: swarm.size }, () => new Set<number>());
  const done: number[] = [];
  const start = swarm.nowMs;
  watch(swarm, (viewer, whom, state) => {
    if (state !== 'dead') return void gone[viewer]?.delete(whom);
    const dead = gone[viewer]?.add(whom).size ?? 0;
    if (dead === (viewer < half ? swarm.size - half : half)) done.push(swarm.nowMs - start);
  });
  for (let index = 0; index < half; index++) swarm.setSide(index, 1);
  swarm.run(60_000);
  const [first, all] = [done[0], done[swarm.size - 1]];
  swarm.mend();
  const mended = swarm.runUntil(() => gone.every((dead) => dead.size === 0), DETECTION_LIMIT_MS, 5);
  return { first, all, mended };
}

/** Bytes and packets that a quiet node sends in a second. */
export function quietTraffic(swarm: Membership, seconds = 20): { bytes: number; packets: number } {
  swarm.run(5_000);
  swarm.takeTraffic();
  swarm.run(seconds * 1_000);
  const { bytes, packets } = swarm.takeTraffic();
  return { bytes: bytes / swarm.size / seconds, packets: packets / swarm.size / seconds };
}

/** Every node publishes one endpoint within a second; then it is quiet. */
export interface Crowd {
  /** From the first publish until all know all. */
  allMs: number | undefined;
  bytesPerNode: number;
  /** Per node and second in the minute after. */
  quietBytes: number;
}

export function crowdOfWaggle(count: number, seed: number): Crowd {
  const swarm = new ModelSwarm<TableNode>({ seed });
  for (let index = 0; index < count; index++) swarm.add(new TableNode(index, swarm, true));
  const roster = rosterOf(count);
  for (let index = 0; index < count; index++) swarm.act(index, (node, nowMs) => node.setPeers(roster, nowMs));
  return crowd(swarm, {
    publish: (node, index, nowMs) => node.publish(endpointOf(index), nowMs),
    knows: (node) => node.core.records().length,
  });
}

export function crowdOfNetworkdb(count: number, seed: number): Crowd {
  const swarm = new ModelSwarm<NetworkdbNode>({ seed });
  for (let index = 0; index < count; index++) swarm.add(new NetworkdbNode(index, count, swarm));
  return crowd(swarm, {
    publish: (node, index, nowMs) => {
      for (const [at, bytes] of NETWORKDB_EVENT_BYTES.entries()) node.publish({ id: 2 * index + at, bytes }, nowMs);
    },
    knows: (node) => node.known.size / NETWORKDB_EVENT_BYTES.length,
  });
}

function crowd<N extends TableNode | NetworkdbNode>(
  swarm: ModelSwarm<N>,
  { publish, knows }: { publish: (node: N, index: number, nowMs: number) => void; knows: (node: N) => number },
): Crowd {
  const count = swarm.size;
  swarm.run(5_000);
  swarm.takeTraffic();
  for (let index = 0; index < count; index++) {
    swarm.schedule(swarm.random.next() * 1_000, () => swarm.act(index, (node, nowMs) => publish(node, index, nowMs)));
  }
  const allMs = swarm.runUntil(() => swarm.nodes.every((node) => knows(node) === count), SPREAD_LIMIT_MS, 10);
  const bytesPerNode = swarm.takeTraffic().bytes / count;
  swarm.run(60_000);
  swarm.takeTraffic();
  swarm.run(60_000);
  return { allMs, bytesPerNode, quietBytes: swarm.takeTraffic().bytes / count / 60 };
}
