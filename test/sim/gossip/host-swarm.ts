import type { EndpointRecord, LocalEndpoint } from '../../../worker/gossip/endpoint-table.ts';
import { Roster } from '../../../worker/gossip/core/roster.ts';
import { GossipError } from './gossip-error.ts';
import { type Cores, HostNode } from './host-node.ts';
import type { ModelSwarm } from './model-swarm.ts';
import { nodeName } from './swim-node.ts';

interface Host {
  /** What it publishes, by network and endpoint. */
  truth: Map<string, LocalEndpoint>;
  needs: Set<string>;
  /** Wall clock at the start of its present life. */
  startedAtMs: number;
  /** In some life its wall clock was not ahead of the one before: then order among its lives is not known. */
  wentBack: boolean;
  /** In some life: a later one may have ended before anybody heard of it. */
  left: boolean;
  /** Whom its manager names to it, by index. */
  named: Set<number>;
  /** Incarnations as it has known them in this life, by index. */
  knew: Map<number, number>;
  /** The newest version that it has been served in this life, by owner and endpoint. */
  served: Map<string, number>;
}

export interface HostSwarmOptions {
  count: number;
  directPeers: number;
  encoded: boolean;
}

export const NETWORKS = ['n1', 'n2'] as const;
const WALL_MS = 1_700_000_000_000;
const ENDPOINTS = 6;
const FAREWELL_MS = 50;

/**
 * Whole nodes, what they say, and what is true. Checks at every change that nobody is served what its owner never said, nor an older
 * version than before, and that no known incarnation goes back. @throws GossipError from whatever made time go on.
 */
export class HostSwarm {
  readonly model: ModelSwarm<HostNode>;
  readonly #options: HostSwarmOptions;
  readonly #cores: Cores;
  readonly #hosts: Host[] = [];
  readonly #said = new Set<string>();
  #serial = 0;

  constructor(model: ModelSwarm<HostNode>, options: HostSwarmOptions, cores: Cores) {
    this.model = model;
    this.#options = options;
    this.#cores = cores;
    const { random } = model;
    for (let index = 0; index < options.count; index++) {
      this.#hosts.push({
        truth: new Map(),
        needs: new Set(NETWORKS.filter(() => random.chance(0.8))),
        startedAtMs: WALL_MS + random.int(-3_600_000, 3_600_000),
        wentBack: false,
        left: false,
        named: new Set(Array.from({ length: options.count }, (_, at) => at)),
        knew: new Map(),
        served: new Map(),
      });
      model.add(this.#born(index));
    }
    for (let index = 0; index < options.count; index++) this.#introduce(index);
  }

  get size(): number {
    return this.#hosts.length;
  }

  /** Versions published so far. */
  get changes(): number {
    return this.#serial;
  }

  living(): number[] {
    return this.#hosts.flatMap((_, index) => (this.model.isUp(index) ? [index] : []));
  }

  kill(index: number): void {
    this.model.kill(index);
  }

  /** It says farewell, and stops soon after. */
  leave(index: number): void {
    if (!this.model.isUp(index)) return;
    const parting = this.model.node(index);
    this.#host(index).left = true;
    this.model.act(index, (node, nowMs) => node.leave(nowMs));
    this.model.schedule(FAREWELL_MS, () => {
      if (this.model.node(index) === parting) this.kill(index);
    });
  }

  /** A new life that knows nothing of the last; some of its endpoints are gone, the others are published again at once. */
  restart(index: number, keeping: 'some' | 'with all' = 'some'): void {
    const host = this.#host(index);
    const { random } = this.model;
    const back = random.chance(0.4);
    if (back) host.wentBack = true;
    host.startedAtMs += back ? (random.pick([0, 0, -1, -60_000]) ?? 0) : random.int(1, 60_000);
    host.knew.clear();
    host.served.clear();
    for (const key of [...host.truth.keys()]) if (keeping === 'some' && random.chance(0.3)) host.truth.delete(key);
    this.model.kill(index);
    this.model.replace(index, this.#born(index));
    this.#introduce(index);
    for (const endpoint of host.truth.values()) {
      this.model.act(index, (node, nowMs) => node.publish(endpoint, nowMs));
    }
  }

  /** The manager takes a member from one node's list, or puts it back. */
  rename(index: number, other: number): void {
    const { named, knew } = this.#host(index);
    if (!this.model.isUp(index) || index === other) return;
    if (!named.delete(other)) named.add(other);
    knew.delete(other);
    this.model.act(index, (node, nowMs) => node.setRoster(rosterOf(named), nowMs));
  }

  /** Every manager names everybody. */
  nameAll(): void {
    for (const [index, { named }] of this.#hosts.entries()) {
      if (named.size === this.size) continue;
      for (let other = 0; other < this.size; other++) named.add(other);
      if (this.model.isUp(index)) this.model.act(index, (node, nowMs) => node.setRoster(rosterOf(named), nowMs));
    }
  }

  publish(index: number): void {
    if (!this.model.isUp(index)) return;
    const { random } = this.model;
    const host = this.#host(index);
    const version = ++this.#serial;
    const networkId = random.pick(NETWORKS) ?? NETWORKS[0];
    const endpoint: LocalEndpoint = {
      networkId,
      endpointId: `e${random.int(1, ENDPOINTS)}`,
      address: `10.0.${index}.${version % 250}`,
      mac: '02:42:0a:00:00:01',
      vtep: '192.168.0.1',
      vni: 4096,
      names: [`v${version}`],
      services: ['web'],
    };
    host.needs.add(networkId);
    host.truth.set(`${networkId} ${endpoint.endpointId}`, endpoint);
    this.#said.add(described({ ...endpoint, owner: nodeName(index) }));
    this.model.act(index, (node, nowMs) => node.publish(endpoint, nowMs));
  }

  withdraw(index: number): void {
    const { truth } = this.#host(index);
    const [key, endpoint] = this.model.random.pick([...truth]) ?? [];
    if (key === undefined || endpoint === undefined || !this.model.isUp(index)) return;
    truth.delete(key);
    this.model.act(index, (node, nowMs) => node.withdraw(endpoint, nowMs));
  }

  /**
   * The first that is not as it should be among those that live, in words; undefined when all is well.
   * @param withDead also what they keep of the dead, which may differ for 30 s: whoever knew an earlier life of one that had not said
   * all in its last keeps that so long.
   */
  difference(withDead: boolean): string | undefined {
    return this.#differenceOfMembers() ?? this.#differenceOfRecords(withDead);
  }

  /** All that a dead node had is known to those that live, as of one that is silent. @throws GossipError */
  expectKept(index: number): void {
    const had = [...this.#host(index).truth.values()].map((it) => described({ ...it, owner: nodeName(index) }));
    for (const viewer of this.living()) {
      for (const networkId of this.#host(viewer).needs) {
        const silent = new Set(
          this.model
            .node(viewer)
            .located(networkId)
            .filter((it) => it.silent)
            .map(described),
        );
        const lost = had.find((text) => text.includes(`/${networkId}/`) && !silent.has(text));
        if (lost !== undefined) throw new GossipError(`${viewer} has forgotten ${lost} of the dead`);
      }
    }
  }

  #differenceOfMembers(): string | undefined {
    const farewells = new Map<number, string | undefined>();
    for (const viewer of this.living()) {
      for (let index = 0; index < this.size; index++) {
        if (index === viewer) continue;
        const seen = this.model.node(viewer).sees(index);
        if (this.model.isUp(index)) {
          if (seen !== 'alive') return `${viewer} sees ${index} ${seen}, and it lives`;
        } else if (seen !== 'dead' && !(seen === 'left' && this.#host(index).left)) {
          return `${viewer} sees ${index} ${seen}, and it is dead`;
        } else if (farewells.has(index) && farewells.get(index) !== seen) {
          return `${viewer} sees ${index} ${seen}, and others ${farewells.get(index)}`;
        } else farewells.set(index, seen);
      }
    }
    return undefined;
  }

  #differenceOfRecords(withDead: boolean): string | undefined {
    for (const networkId of NETWORKS) {
      const truth = this.#truthOf(networkId);
      let silent: string | undefined;
      for (const viewer of this.living()) {
        if (!this.#host(viewer).needs.has(networkId)) continue;
        const node = this.model.node(viewer);
        if (!node.synced()) return `${viewer} is not synced`;
        const seen = node.records(networkId).map(described).toSorted().join(', ');
        if (seen !== truth) return `${viewer} sees in ${networkId} [${seen}] instead of [${truth}]`;
        if (!withDead) continue;
        const lost = node.located(networkId).filter((record) => record.silent);
        const of = lost.map(described).toSorted().join(', ');
        if (silent !== undefined && silent !== of) return `${viewer} keeps in ${networkId} [${of}], others [${silent}]`;
        silent = of;
      }
    }
    return undefined;
  }

  #truthOf(networkId: string): string {
    return this.living()
      .flatMap((index) =>
        [...this.#host(index).truth.values()]
          .filter((endpoint) => endpoint.networkId === networkId)
          .map((endpoint) => described({ ...endpoint, owner: nodeName(index) })),
      )
      .toSorted()
      .join(', ');
  }

  #born(index: number): HostNode {
    const { random } = this.model;
    const clock = { offsetMs: random.next() * 1e6, rate: 0.98 + random.next() * 0.04 };
    const { directPeers, encoded } = this.#options;
    const { startedAtMs } = this.#host(index);
    const node = new HostNode({ index, startedAtMs, clock, directPeers, encoded }, this.model, this.#cores);
    node.onChange = () => this.#look(index, node);
    return node;
  }

  #introduce(index: number): void {
    const { named, needs } = this.#host(index);
    this.model.act(index, (node, nowMs) => {
      node.setRoster(rosterOf(named), nowMs);
      for (const networkId of needs) node.need(networkId, nowMs);
    });
  }

  #look(viewer: number, node: HostNode): void {
    const { knew, served } = this.#host(viewer);
    for (let index = 0; index < this.size; index++) {
      const incarnation = node.incarnationOf(index);
      const before = knew.get(index) ?? 0;
      if (incarnation < before) throw new GossipError(`${viewer} goes back to an old incarnation of ${index}`);
      knew.set(index, incarnation);
    }
    for (const networkId of NETWORKS) {
      for (const record of node.records(networkId)) {
        const text = described(record);
        if (!this.#said.has(text)) throw new GossipError(`${viewer} is served ${text}, which nobody said`);
        const key = `${record.owner} ${networkId} ${record.endpointId}`;
        const version = Number(record.names[0]?.slice(1));
        const owner = this.#host(Number(record.owner.slice('node-'.length)));
        if (version < (served.get(key) ?? 0) && !owner.wentBack) {
          throw new GossipError(`${viewer} is served ${text}, and had version ${served.get(key)}`);
        }
        served.set(key, version);
      }
    }
  }

  #host(index: number): Host {
    const host = this.#hosts[index];
    if (host === undefined) throw new RangeError(`no node ${index}`);
    return host;
  }
}

function rosterOf(indexes: Iterable<number>): Roster {
  return new Roster(Array.from(indexes, (index) => ({ nodeId: nodeName(index), host: String(index), port: 7946 })));
}

/** Owner, endpoint and version: equal texts are the same statement. */
function described({ owner, networkId, endpointId, names, address }: EndpointRecord): string {
  return `${owner.replace(/^node-0*(?=\d)/, '')}/${networkId}/${endpointId}=${names.join()}@${address}`;
}
