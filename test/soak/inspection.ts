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

/** Names that nobody has any more are asked for, the newest first; each costs a second, since it goes on to servers that are not there. */
const GONE_NAMES = 4;
const AGAIN_MS = 300;
const LATE_MS = 15_000;
const LEAST_MS = 20_000;

export interface InspectionModules {
  swarm: SoakSwarm;
  inventory: Inventory;
  random: SeededRandom;
  clock: Clock;
}

/** What was found by looking at everything, in the order of looking. */
export interface InspectionReport {
  /** What has not become right in time. */
  violations: string[];
  /** From the end of the faults until each kind of thing was right, ms. */
  settledMs: Record<string, number>;
  /** What was the last to become right where it took long. */
  late: string[];
}

/** One thing to look at. @returns what is wrong with it. */
type Look = () => Promise<string[]>;

/** Looks at the swarm, the engines, the kernels and the containers until all is as it should be, or `patienceMs` are over. */
export class Inspection {
  readonly #modules: InspectionModules;

  constructor(modules: InspectionModules) {
    this.#modules = modules;
  }

  async run(patienceMs: number): Promise<InspectionReport> {
    const { swarm, inventory, clock } = this.#modules;
    const began = clock.monotonic();
    const settledMs: Record<string, number> = { swarm: Math.round(await swarm.untilSettled()) };
    const violations = await this.#acknowledged();
    const looks: Record<string, Look> = {
      services: async () => {
        const { view, containers } = await this.#see();
        return serviceDifferences(view, inventory.services, swarm.hosts.length, containers);
      },
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
      zombies: () => Promise.resolve(swarm.hosts.flatMap(zombies)),
    };
    const late: string[] = [];
    for (const [name, look] of Object.entries(looks)) {
      const beganToLook = clock.monotonic();
      const { wrong, before } = await this.#until(look, began + patienceMs);
      violations.push(...wrong.map((each) => `${name}: ${each}`));
      settledMs[name] = Math.round(clock.monotonic() - began);
      if (wrong.length === 0 && clock.monotonic() - beganToLook > LATE_MS)
        late.push(...before.map((each) => `${name}: ${each}`));
    }
    return { violations, settledMs, late };
  }

  /** Looks again and again, for a moment at least, until nothing is wrong or it is too late. @returns also what was found the time before. */
  async #until(look: Look, deadline: number): Promise<{ wrong: string[]; before: string[] }> {
    const { clock } = this.#modules;
    const began = clock.monotonic();
    let again = false;
    for (let before: string[] = []; ; ) {
      const wrong = await look().catch((error: unknown) => [messageOf(error)]);
      if (wrong.length === 0 || (clock.monotonic() > deadline && again)) return { wrong, before };
      again = clock.monotonic() - began > LEAST_MS;
      before = wrong;
      await sleep(clock, AGAIN_MS);
    }
  }

  async #see(): Promise<{ view: SwarmView; containers: EngineContainer[] }> {
    const { swarm } = this.#modules;
    const view = await swarmView(swarm.lab.host(0));
    const containers = await engineContainers(swarm.hosts, new Set(view.networks.map(({ name }) => name)));
    return { view, containers };
  }

  /** What was acknowledged is there, and what was removed is not; from now on the inventory is sure of everything. */
  async #acknowledged(): Promise<string[]> {
    const { inventory, swarm } = this.#modules;
    const { view, containers } = await this.#see();
    const lone = containers.filter(({ taskId }) => taskId === '').map(({ name }) => name);
    const services = view.services.map(({ Spec }) => Spec.Name);
    const violations = [
      ...inventory.settle(
        'network',
        inventory.networks,
        view.networks.map(({ name }) => name),
      ),
      ...inventory.settle('container', inventory.containers, lone),
      ...inventory.settle('service', inventory.services, services),
    ];
    // Engines have their twins of these networks and no others.
    for (const host of swarm.hosts) {
      const { stdout } = await host.docker(['network', 'ls', '--filter', 'driver=waggle', '--format', '{{.Name}}']);
      const present = stdout.split('\n').filter((line) => line !== '');
      violations.push(
        ...different(
          `twins on ${host.name}`,
          view.networks.map(({ name }) => name),
          present,
        ),
      );
    }
    return violations;
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
