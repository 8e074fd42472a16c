import type { NodeObject } from '../../proto/objects/node.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { dropPackets, passPackets } from '../chaos/packet-drops.ts';
import { joinSwarm } from '../fixtures/network-swarm.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { apiJson } from '../lab/swarm.ts';
import type { SeededRandom } from '../sim/raft/seeded-random.ts';
import { isMiscounted, twinsOn } from './twins.ts';

const MANAGERS = 3;
const SLOW = { timeoutMs: 60_000, everyMs: 250 };

/** Hosts of which the first three are managers, and what is going on with them. */
export class SoakSwarm {
  readonly lab: Lab;
  /** Hosts that something is being done to right now. */
  readonly victims = new Set<Host>();
  /** Hosts whose engine keeps its containers when it ends. */
  readonly liveRestore = new Set<Host>();

  constructor(lab: Lab) {
    this.lab = lab;
  }

  get hosts(): readonly Host[] {
    return this.lab.hosts;
  }

  get managers(): readonly Host[] {
    return this.hosts.slice(0, MANAGERS);
  }

  others(than: Host): Host[] {
    return this.hosts.filter((host) => host !== than);
  }

  drop(host: Host, direction: 'in' | 'out', peers: readonly Host[]): Promise<void> {
    return dropPackets(host, direction, peers);
  }

  hearAll(host: Host): Promise<void> {
    return passPackets(host);
  }

  /** A manager to ask; mostly one that is well. */
  someManager(random: SeededRandom): Host {
    const well = this.managers.filter((host) => !this.victims.has(host));
    const from = well.length === 0 || random.chance(0.15) ? this.managers : well;
    return random.pick(from) ?? this.lab.host(0);
  }

  /** Whom the managers see leading; undefined when none of them can say. */
  async leader(): Promise<Host | undefined> {
    try {
      const nodes = await Promise.any(this.managers.map((host) => apiJson<NodeObject[]>(host, 'GET', '/nodes')));
      const leading = nodes.find(({ ManagerStatus }) => ManagerStatus?.Leader === true);
      return this.hosts.find(({ name }) => name === leading?.Description?.Hostname);
    } catch {
      return undefined;
    }
  }

  /** With the engine's mode as it was; its containers that are to be restarted are. */
  async startEngine(host: Host): Promise<void> {
    await host.startEngine(this.liveRestore.has(host) ? ['--live-restore'] : []);
  }

  startDaemon(host: Host): Promise<void> {
    return host.startDaemon();
  }

  /** Undoes everything that a fault may have left behind. */
  async heal(): Promise<void> {
    await Promise.all(
      this.hosts.map(async (host) => {
        host.thaw();
        await host.mend();
        await this.hearAll(host);
        if (!host.isRunning('engine')) await this.startEngine(host);
        if (!host.isRunning('daemon')) await host.startDaemon();
      }),
    );
  }

  /** Restarts an engine that keeps twins of other networks than these because it has lost count. @returns what it had miscounted. */
  async recount(host: Host, networks: readonly string[]): Promise<string[]> {
    const left = (await twinsOn(host)).filter((name) => !networks.includes(name));
    const miscounted: string[] = [];
    for (const name of left) if (await isMiscounted(host, name)) miscounted.push(name);
    if (miscounted.length === 0) return [];
    await host.stopService('engine');
    await this.startEngine(host);
    return miscounted.map(
      (name) => `the engine of ${host.name} had lost count of who is on ${name}, and was restarted`,
    );
  }

  /** Every manager shows all nodes ready, all managers reachable, and one that leads. @returns what is not so. */
  async unsettled(): Promise<string[]> {
    const words = await Promise.all(
      this.managers.map((host) => this.#notWhole(host).catch((error: unknown) => messageOf(error))),
    );
    return words.flatMap((each, at) => (each === undefined ? [] : `${this.managers[at]?.name} shows ${each}`));
  }

  /** @returns what it shows instead of a whole swarm. */
  async #notWhole(asked: Host): Promise<string | undefined> {
    const nodes = await apiJson<NodeObject[]>(asked, 'GET', '/nodes');
    const managers = nodes.flatMap(({ ManagerStatus }) => ManagerStatus ?? []);
    const isWhole =
      nodes.length === this.hosts.length &&
      nodes.every(({ Status }) => Status.State === 'ready') &&
      managers.filter(({ Reachability }) => Reachability === 'reachable').length === this.managers.length &&
      managers.filter(({ Leader }) => Leader === true).length === 1;
    if (isWhole) return undefined;
    const words = nodes.map(({ Description, Status, ManagerStatus }) => [
      Description?.Hostname,
      Status.State,
      ManagerStatus,
    ]);
    return JSON.stringify(words);
  }
}

/** @param hosts at least three. */
export async function createSoakSwarm(hosts: number, say?: (line: string) => void): Promise<SoakSwarm> {
  const lab = await createLab({ hosts, ...(say === undefined ? {} : { say }) });
  try {
    const swarm = new SoakSwarm(lab);
    const first = lab.host(0);
    await first.waggle(['swarm', 'init', '--advertise-addr', first.address]);
    const token = (await first.waggle(['swarm', 'join-token', '-q', 'manager'])).stdout.trim();
    for (const host of lab.hosts.slice(1)) {
      if (swarm.managers.includes(host))
        await host.waggle(['swarm', 'join', '--token', token, `${first.address}:2377`]);
      else await joinSwarm(first, host);
    }
    await eventually('a whole swarm', async () => (await swarm.unsettled()).length === 0, SLOW);
    return swarm;
  } catch (error) {
    await lab.destroy();
    throw error;
  }
}
