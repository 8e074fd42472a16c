import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { leftovers, removeAllContainers, startCommand } from '../fixtures/network-swarm.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { apiJson } from '../lab/swarm.ts';
import { SeededRandom } from '../sim/raft/seeded-random.ts';
import { type ChangeResult, Changes, type Lane } from './changes.ts';
import { Inspection, type InspectionReport } from './inspection.ts';
import { Inventory } from './inventory.ts';
import { daemonSize, type HostState, hostState, residue } from './residue.ts';
import { LONE_SOAK_FAULTS, SOAK_FAULTS } from './soak-faults.ts';
import type { SoakSwarm } from './soak-swarm.ts';

const LONE_FAULT = 0.06;
const SECOND_FAULT = 0.25;
/** Seconds are enough on a machine that has nothing else to do; what it takes is told. Calls that were lost are noticed by comparing, a minute later at the most. */
const PATIENCE_MS = 300_000;
/** Connections come and go with who leads. */
const MORE_FILES = 20;
/** Cycles at the same time. */
const HANDS = 3;
const END = { timeoutMs: 120_000, everyMs: 500 };
/** What is left of a fault may make a change fail for so long. */
const AFTERMATH_MS = 8_000;

/** Refusals that one must expect: nobody looks first whether a change makes sense, and a busy machine may be without a leader for a while. */
const JUST = [
  /is in use by|update out of sequence|already exists in network|is not connected to|is not running|could not find an available IP/,
  /No such container|not found/,
  /no manager can be reached|does not have a leader|leadership was lost|no answer from|Connection dropped|in time/,
];

export interface SoakOptions {
  cycles: number;
  seed: number;
  checkEvery: number;
  /** Of a cycle to begin with a fault, while none is under way. */
  faultChance: number;
  /** Milliseconds after which no more cycles begin; none when absent. */
  limitMs?: number;
}

export interface SoakModules {
  swarm: SoakSwarm;
  clock: Clock;
  say: (line: string) => void;
}

/**
 * Networks, containers and services come, go and change while things happen to the hosts; every few cycles the faults end, and all
 * that should be must be, and nothing else. What a fault makes fail is not held against anybody. The seed decides what is done to
 * whom; the timing is the machine's, so that two runs of a seed are alike and not the same.
 */
export class Soak {
  readonly counts: Record<string, number> = {};
  /** Changes that were refused, by what was said. */
  readonly refusals = new Map<string, number>();
  readonly #options: SoakOptions;
  readonly #modules: SoakModules;
  readonly #random: SeededRandom;
  readonly #inventory = new Inventory();
  readonly #changes: Changes;
  readonly #inspection: Inspection;
  readonly #violations: string[] = [];
  readonly #before = new Map<Host, HostState>();
  readonly #filesBefore = new Map<Host, number>();
  #fault: Promise<void> | undefined;
  #calmSince = 0;

  constructor(options: SoakOptions, modules: SoakModules) {
    this.#options = options;
    this.#modules = modules;
    this.#random = new SeededRandom(options.seed);
    const shared = { ...modules, inventory: this.#inventory };
    this.#changes = new Changes({ ...shared, random: this.#random });
    this.#inspection = new Inspection({ ...shared, random: this.#random });
  }

  /** @returns what was wrong; it ends early when something is. */
  async run(): Promise<string[]> {
    const { cycles, checkEvery, limitMs } = this.#options;
    const { clock } = this.#modules;
    await this.#look();
    const deadline = clock.monotonic() + (limitMs ?? Number.POSITIVE_INFINITY);
    for (let done = 0; done < cycles && clock.monotonic() < deadline; ) {
      let left = Math.min(checkEvery, cycles - done);
      done += left;
      const hand = async (): Promise<void> => {
        while (left-- > 0) await this.#cycle();
      };
      await Promise.all(Array.from({ length: HANDS }, hand));
      await this.#inspect(done);
      if (this.#violations.length > 0) return this.#violations;
    }
    return [...(await this.#end()), ...this.#violations];
  }

  /** At the hosts as they are when nothing of ours is there any more; what the first overlay makes the engines make has been made. */
  async #look(): Promise<void> {
    const { hosts, lab } = this.#modules.swarm;
    const manager = lab.host(0);
    await manager.waggle(['network', 'create', '-d', 'overlay', '--attachable', 'first']);
    for (const host of hosts) {
      await eventually(`${host.name} to take a container`, () => host.docker(startCommand('first', 'first')), END);
      await removeAllContainers(host);
    }
    await eventually('the first network to be removed', () => manager.waggle(['network', 'rm', 'first']), END);
    for (const host of hosts) {
      await eventually(`${host.name} to be empty`, async () => (await leftovers(host)).length === 0, END);
      this.#before.set(host, await hostState(host));
      this.#filesBefore.set(host, daemonSize(host)?.files ?? 0);
    }
    this.#modules.say(`begin: daemons: ${this.#sizes()}`);
  }

  /** Something comes, something goes, and mostly something is altered. */
  async #cycle(): Promise<void> {
    const random = this.#random;
    if (this.#fault === undefined && random.chance(this.#options.faultChance)) this.#beginFault();
    const lanes: Lane[] = random.chance(0.6) ? ['make', 'remove', 'alter'] : ['make', 'remove'];
    for (const lane of random.shuffle(lanes)) {
      const began = this.#modules.clock.monotonic();
      const result = await this.#changes.begin(lane);
      if (result !== undefined) this.#judge(result, began);
    }
  }

  #judge({ name, object, ok, text }: ChangeResult, began: number): void {
    this.counts[name] = (this.counts[name] ?? 0) + 1;
    if (ok) return;
    const words = text
      .replaceAll(/[0-9a-f]{12,}/g, 'ID')
      .replaceAll(/\b([a-z])\d+\b/g, '$1N')
      .slice(-220);
    const isCalm = this.#fault === undefined && began - this.#calmSince > AFTERMATH_MS;
    const key = `${isCalm ? 'calm' : 'fault'} ${name}: ${words}`;
    this.refusals.set(key, (this.refusals.get(key) ?? 0) + 1);
    if (isCalm && !JUST.some((pattern) => pattern.test(text)))
      this.#violations.push(`refused without a fault: ${name} ${object}: ${text.slice(-300)}`);
  }

  #beginFault(): void {
    const { swarm } = this.#modules;
    const random = this.#random;
    const lone = random.chance(LONE_FAULT);
    const kinds = lone ? LONE_SOAK_FAULTS : SOAK_FAULTS;
    const count = !lone && random.chance(SECOND_FAULT) ? 2 : 1;
    const preferLeader = random.chance(0.3);
    const order = random.shuffle(swarm.hosts);
    const chosen = Array.from({ length: count }, () => random.pick(Object.keys(kinds)) ?? '');
    const seeds = chosen.map(() => random.int(0, 1e9));
    const begin = async (): Promise<void> => {
      const leader = preferLeader ? await swarm.leader() : undefined;
      const victims = leader === undefined ? order : [leader, ...order.filter((host) => host !== leader)];
      const names = chosen.map(
        (name, at) => `${name} ${victims[at]?.name}${victims[at] === leader ? ' (leader)' : ''}`,
      );
      this.#modules.say(`    ${names.join(' + ')}`);
      await Promise.all(
        chosen.map(async (name, at) => {
          const victim = victims[at];
          if (victim === undefined) return;
          this.counts[`fault ${name}`] = (this.counts[`fault ${name}`] ?? 0) + 1;
          swarm.victims.add(victim);
          // Its own generator: it draws while the changes draw, too.
          await kinds[name]?.(swarm, victim, new SeededRandom(seeds[at] ?? 0));
          swarm.victims.delete(victim);
        }),
      );
    };
    this.#fault = begin()
      .catch((error: unknown) => {
        this.#violations.push(`${chosen.join(' + ')}: ${messageOf(error)}`);
      })
      .finally(() => {
        this.#fault = undefined;
        this.#calmSince = this.#modules.clock.monotonic();
      });
  }

  async #inspect(cycle: number): Promise<void> {
    await this.#calm();
    const report = await this.#inspection.run(PATIENCE_MS);
    this.#violations.push(...report.violations);
    this.#tell(cycle, report);
  }

  #tell(cycle: number, { settledMs, late }: InspectionReport): void {
    const { networks, containers, services } = this.#inventory;
    const has = `${networks.size} networks, ${containers.size} containers, ${services.size} services`;
    const times = Object.entries(settledMs).map(([name, ms]) => `${name} ${(ms / 1000).toFixed(1)}`);
    this.#modules.say(`cycle ${cycle}: ${has}; right after ${times.join(', ')} s`);
    this.#modules.say(`    daemons: ${this.#sizes()}`);
    for (const each of late) this.#modules.say(`    late: ${each.slice(0, 400)}`);
  }

  #sizes(): string {
    return this.#modules.swarm.hosts.map((host) => `${host.name} ${sizeWords(host)}`).join('; ');
  }

  async #calm(): Promise<void> {
    await this.#fault;
    const { swarm } = this.#modules;
    await swarm.heal();
    this.#calmSince = this.#modules.clock.monotonic();
  }

  /** Takes everything away. @returns what is still there: nothing, or what cannot be got rid of. */
  async #end(): Promise<string[]> {
    const { swarm } = this.#modules;
    const manager = swarm.lab.host(0);
    for (const { name } of [...this.#inventory.services.values()]) await manager.waggle(['service', 'rm', name]);
    for (const host of swarm.hosts)
      await eventually(`containers of ${host.name} to go`, () => removeAllContainers(host), END);
    const violations = await this.#fill();
    for (const { name } of [...this.#inventory.networks.values()]) {
      await eventually(`${name} to be removed`, () => manager.waggle(['network', 'rm', name]), END);
    }
    for (const kind of [this.#inventory.services, this.#inventory.containers, this.#inventory.networks]) kind.clear();
    return [...violations, ...(await this.#untilNothingIsLeft())];
  }

  /** A network of little room takes as many containers as it has addresses: none was lost on the way. */
  async #fill(): Promise<string[]> {
    const { swarm } = this.#modules;
    const small = [...this.#inventory.networks.values()].filter(({ subnet }) => subnet !== undefined);
    const filled = await Promise.all(
      small.map(async ({ name, subnet = '' }) => {
        // Network, broadcast and gateway are not for containers.
        const room = 2 ** (32 - Number(subnet.split('/')[1])) - 3;
        const violations: string[] = [];
        for (let at = 0; at < room; at++) {
          const host = swarm.hosts[at % swarm.hosts.length] ?? swarm.lab.host(0);
          const { exitCode, stderr } = await host.docker(startCommand(`fill-${name}-${at}`, name), { check: false });
          if (exitCode !== 0) violations.push(`${name} (${subnet}) took ${at} containers: ${stderr}`);
        }
        return violations;
      }),
    );
    for (const host of swarm.hosts) await removeAllContainers(host);
    return filled.flat();
  }

  async #untilNothingIsLeft(): Promise<string[]> {
    const { swarm } = this.#modules;
    let left: string[] = [];
    await eventually(
      'nothing to be left',
      async () => {
        const found = await Promise.all(
          swarm.hosts.map(async (host) => residue(host, this.#before.get(host) ?? new Map(), await hostState(host))),
        );
        left = found.flat();
        return left.length === 0;
      },
      END,
    ).catch(() => undefined);
    const { violations } = await this.#inspection.run(PATIENCE_MS);
    const tasks = await apiJson<unknown[]>(swarm.lab.host(0), 'GET', '/tasks');
    for (const host of swarm.hosts) {
      const [files, before] = [daemonSize(host)?.files ?? 0, this.#filesBefore.get(host) ?? 0];
      if (files > before + MORE_FILES) left.push(`${host.name}'s daemon has ${files} files open, and had ${before}`);
    }
    this.#modules.say(`end: daemons: ${this.#sizes()}`);
    return [...left, ...violations, ...(tasks.length === 0 ? [] : [`${tasks.length} tasks of services that are gone`])];
  }
}

function sizeWords(host: Host): string {
  const size = daemonSize(host);
  return size === undefined ? 'away' : `${size.residentMiB} MiB, ${size.files} files after ${size.upSeconds} s`;
}
