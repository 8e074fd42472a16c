import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { checkNetworks } from '../fixtures/network-diagnosis.ts';
import type { SeededRandom } from '../sim/raft/seeded-random.ts';
import { engineContainers, type EngineContainer } from './engine-containers.ts';
import type { Inventory } from './inventory.ts';
import { different, kernelDifferences } from './kernel-rows.ts';
import { nameQuestions, unreachable, wronglyNamed } from './reachability.ts';
import { zombies } from './residue.ts';
import type { SoakSwarm } from './soak-swarm.ts';
import { serviceDifferences, type SwarmView, swarmView } from './swarm-view.ts';
import { twinsOn } from './twins.ts';

/** Names that nobody has any more are asked for, the newest first; each costs a second, since it goes on to servers that are not there. */
const GONE_NAMES = 4;
const AGAIN_MS = 300;
const MOMENT_MS = 1_000;
/** On a machine that is too busy to look twice in time, there is time for a second look. */
const LEAST_MS = 20_000;
/** Twins are gone long before, unless the engine does not let them go. */
const MISCOUNT_MS = 30_000;

export interface InspectionModules {
  swarm: SoakSwarm;
  inventory: Inventory;
  random: SeededRandom;
  clock: Clock;
}

/** How one kind of thing came to be right. */
export interface Settling {
  what: string;
  /** From the end of the faults to the beginning of the look that found nothing wrong, ms: it was right by then. */
  byMs: number;
  /** Of it, since the first look at it had begun: 0 when that found nothing wrong. */
  waitedMs: number;
  /** What that look took itself. */
  lookMs: number;
  /** What the look before found, of which a first look has none. */
  before: readonly string[];
}

export interface InspectionReport {
  /** What has not become right in time. */
  violations: string[];
  /** In the order of looking, each when the one before it was right. */
  settlings: Settling[];
  /** What went wrong in the engines alone, and was put right. */
  notes: string[];
}

/** One thing to look at. @returns what is wrong with it. */
type Look = () => Promise<string[]>;

/** Looks at the swarm, the engines, the kernels and the containers until all is as it should be, or `patienceMs` are over. */
export class Inspection {
  readonly #modules: InspectionModules;
  #notes: string[] = [];

  constructor(modules: InspectionModules) {
    this.#modules = modules;
  }

  async run(patienceMs: number): Promise<InspectionReport> {
    const { swarm, clock } = this.#modules;
    const began = clock.monotonic();
    const violations: string[] = [];
    const settlings: Settling[] = [];
    this.#notes = [];
    const looks: Record<string, Look> = { swarm: () => swarm.unsettled(), ...this.#looks() };
    for (const [what, look] of Object.entries(looks)) {
      const firstAt = clock.monotonic();
      const { wrong, before, lookedAt } = await this.#until(look, began + patienceMs);
      violations.push(...wrong.map((each) => `${what}: ${each}`));
      if (wrong.length > 0) continue;
      const waitedMs = before.length > 0 ? lookedAt - firstAt : 0;
      settlings.push({ what, byMs: lookedAt - began, waitedMs, lookMs: clock.monotonic() - lookedAt, before });
      if (what === 'swarm') violations.push(...(await this.#acknowledged()));
    }
    return { violations, settlings, notes: this.#notes };
  }

  #looks(): Record<string, Look> {
    const { swarm, inventory, clock } = this.#modules;
    return {
      services: async () => {
        const { view, containers } = await this.#see();
        return serviceDifferences(view, inventory.services, swarm.hosts.length, containers);
      },
      twins: this.#twins(),
      check: async () => {
        const { Findings } = await checkNetworks(swarm.lab.host(0));
        return Findings.map((each) => JSON.stringify(each));
      },
      kernel: async () => {
        const { view, containers } = await this.#see();
        return [...doubleAddresses(containers), ...(await kernelDifferences(swarm.hosts, view.networks, containers))];
      },
      pings: async () => unreachable((await this.#see()).containers),
      names: () => this.#names(),
      zombies: async () => {
        // Everybody who has just died is one, for a moment.
        const before = swarm.hosts.flatMap(zombies);
        if (before.length > 0) await sleep(clock, MOMENT_MS);
        return swarm.hosts.flatMap(zombies).filter((each) => before.includes(each));
      },
    };
  }

  /** Looks again and again, for a moment at least, until nothing is wrong or it is too late. @returns also what was found the time before. */
  async #until(look: Look, deadline: number): Promise<{ wrong: string[]; before: string[]; lookedAt: number }> {
    const { clock } = this.#modules;
    const began = clock.monotonic();
    let again = false;
    for (let before: string[] = []; ; ) {
      const lookedAt = clock.monotonic();
      const wrong = await look().catch((error: unknown) => [messageOf(error)]);
      if (wrong.length === 0 || (clock.monotonic() > deadline && again)) return { wrong, before, lookedAt };
      again = clock.monotonic() - began > LEAST_MS;
      before = wrong;
      await sleep(clock, AGAIN_MS);
    }
  }

  /** Engines have their twins of the swarm's networks and no others. */
  #twins(): Look {
    const { swarm, clock } = this.#modules;
    let deadline = Number.POSITIVE_INFINITY;
    return async () => {
      deadline = Math.min(deadline, clock.monotonic() + MISCOUNT_MS);
      const names = (await swarmView(swarm.lab.host(0))).networks.map(({ name }) => name);
      const found = await Promise.all(
        swarm.hosts.map(async (host) => {
          const wrong = different(`twins on ${host.name}`, names, await twinsOn(host));
          if (wrong.length > 0 && clock.monotonic() > deadline) this.#notes.push(...(await swarm.recount(host, names)));
          return wrong;
        }),
      );
      return found.flat();
    };
  }

  async #see(): Promise<{ view: SwarmView; containers: EngineContainer[] }> {
    const { swarm } = this.#modules;
    const view = await swarmView(swarm.lab.host(0));
    const containers = await engineContainers(swarm.hosts, new Set(view.networks.map(({ name }) => name)));
    return { view, containers };
  }

  /** What was acknowledged is there, and what was removed is not; from now on the inventory is sure of everything. */
  async #acknowledged(): Promise<string[]> {
    const { inventory } = this.#modules;
    const { view, containers } = await this.#see();
    const lone = containers.filter(({ taskId }) => taskId === '').map(({ name }) => name);
    const services = view.services.map(({ Spec }) => Spec.Name);
    const networks = view.networks.map(({ name }) => name);
    return [
      ...inventory.settle('network', inventory.networks, networks),
      ...inventory.settle('container', inventory.containers, lone),
      ...inventory.settle('service', inventory.services, services),
    ];
  }

  async #names(): Promise<string[]> {
    const { inventory, random } = this.#modules;
    const { view, containers } = await this.#see();
    const names = new Map(view.services.map(({ ID, Spec }) => [ID, Spec.Name]));
    const serviceOfTask = new Map(view.tasks.map(({ ID, ServiceID }) => [ID, names.get(ServiceID) ?? '']));
    const gone = inventory.gone.filter((name) => /^[cs]\d/.test(name)).slice(-GONE_NAMES);
    const questions = nameQuestions(containers, { serviceOfTask, services: [...names.values()], gone }, random);
    return wronglyNamed(questions);
  }
}

function doubleAddresses(containers: readonly EngineContainer[]): string[] {
  const holders = new Map<string, string[]>();
  for (const { name, host, networks } of containers) {
    for (const [network, { address, address6 }] of networks) {
      for (const each of [address, address6].filter((text) => text !== '')) {
        const key = `${network} ${each}`;
        holders.set(key, [...(holders.get(key) ?? []), `${name} on ${host.name}`]);
      }
    }
  }
  return [...holders].filter(([, each]) => each.length > 1).map(([key, each]) => `${key} is of ${each.join(' and ')}`);
}
