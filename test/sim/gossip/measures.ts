import { LAN } from '../../../worker/gossip/core/swim-preset.ts';
import { MemberlistNode } from './memberlist-node.ts';
import { type ModelNetworkOptions, ModelSwarm } from './model-swarm.ts';
import { NetworkdbNode } from './networkdb-node.ts';
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
  swarm.run(3_000);
  const idleMs = 1_000;
  swarm.takeTraffic();
  swarm.run(idleMs);
  const idle = swarm.takeTraffic();
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
  const part = (tookMs + settleMs) / idleMs;
  return spreadOf(times, count, traffic.bytes - idle.bytes * part, traffic.packets - idle.packets * part);
}

export function spreadOfNetworkdb(count: number, seed: number, network: Network = {}): Spread {
  const swarm = new ModelSwarm<NetworkdbNode>({ seed, ...network });
  for (let index = 0; index < count; index++) swarm.add(new NetworkdbNode(index, count, swarm));
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
  /** From the death until the first and until every other node takes it for dead; ms. */
  first: number | undefined;
  all: number | undefined;
}

const DETECTION_LIMIT_MS = 120_000;

export function waggleSwarm(count: number, seed: number, network: Network = {}): ModelSwarm<SwimNode> {
  const swarm = new ModelSwarm<SwimNode>({ seed, ...network });
  for (let index = 0; index < count; index++) swarm.add(new SwimNode(index, swarm, LAN));
  const roster = rosterOf(count);
  for (let index = 0; index < count; index++) swarm.act(index, (node, nowMs) => node.setRoster(roster, nowMs));
  return swarm;
}

export function memberlistSwarm(count: number, seed: number, network: Network = {}): ModelSwarm<MemberlistNode> {
  const swarm = new ModelSwarm<MemberlistNode>({ seed, ...network });
  for (let index = 0; index < count; index++) swarm.add(new MemberlistNode(index, count, swarm));
  return swarm;
}

/** Node 0 is killed after a while: when the others know. */
export function detection(swarm: ModelSwarm<SwimNode> | ModelSwarm<MemberlistNode>, warmUpMs: number): Detection {
  swarm.run(warmUpMs + swarm.random.next() * 1_000);
  swarm.kill(0);
  const start = swarm.nowMs;
  const deaths = new Map<number, number>();
  for (const [index, node] of swarm.nodes.entries()) {
    node.onChange = () => {
      if (node.sees(0) === 'dead' && !deaths.has(index)) deaths.set(index, swarm.nowMs - start);
    };
  }
  swarm.runUntil(() => deaths.size === swarm.size - 1, DETECTION_LIMIT_MS, 5);
  const times = [...deaths.values()].toSorted((a, b) => a - b);
  return { first: times[0], all: times[swarm.size - 2] };
}

/** Node-pairs (who, whom) in which somebody who lives was declared dead during `ms` of trouble. */
export function falseDeaths(
  swarm: ModelSwarm<SwimNode> | ModelSwarm<MemberlistNode>,
  ms: number,
  trouble: () => void = () => undefined,
): { victims: number; accusations: number; suspicions: number } {
  const pairs = new Set<string>();
  const victims = new Set<number>();
  const suspected = new Set<string>();
  for (const [index, node] of swarm.nodes.entries()) {
    const look = (whom: number): void => {
      if (node.sees(whom) === 'suspect') suspected.add(`${index} ${whom}`);
      if (node.sees(whom) !== 'dead') return;
      pairs.add(`${index} ${whom}`);
      victims.add(whom);
    };
    if (node instanceof MemberlistNode) node.onChange = (subject) => look(subject);
    else node.onChange = (nodeIds) => [...nodeIds].forEach((nodeId) => look(Number(nodeId.slice('node-'.length))));
  }
  for (const end = swarm.nowMs + ms; swarm.nowMs < end; ) {
    trouble();
    swarm.run(1_000);
  }
  return { victims: victims.size, accusations: pairs.size, suspicions: suspected.size };
}
