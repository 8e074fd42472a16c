import os from 'node:os';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { leftovers, removeAllContainers, startCommand } from '../fixtures/network-swarm.ts';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { apiJson } from '../lab/swarm.ts';
import { SeededRandom } from '../sim/raft/seeded-random.ts';
import { type ChangeResult, Changes, type Lane } from './changes.ts';
import { Durations } from './durations.ts';
import { endForgotten } from './forgotten-containers.ts';
import { Inspection, type InspectionReport } from './inspection.ts';
import { Inventory } from './inventory.ts';
import { daemonSize, type HostState, hostState, residue } from './residue.ts';
import { LONE_SOAK_FAULTS, SOAK_FAULTS } from './soak-faults.ts';
import type { SoakSwarm } from './soak-swarm.ts';

const LONE_FAULT = 0.06;
const SECOND_FAULT = 0.25;
/**
 * From the end of the faults until everything was looked at and found right. Seconds are usual, and told; the bound is for what is noticed only by
 * comparing: endpoints that the engine has lost (30 s, and 10 s to confirm), and addresses whose lease was lost on the way to its
 * node (a minute old at least, and then up to 30 s); the rest is for the looks themselves.
 */
const PATIENCE_MS = 120_000;
/** What had to be waited for so long is told. */
const LATE_MS = 5_000;
/** Connections come and go with who leads. */
const MORE_FILES = 20;
/** Cycles at the same time. */
const HANDS = 3;
const END = { timeoutMs: 120_000, everyMs: 500 };
/** What is left of a fault may make a change fail for so long. */
const AFTERMATH_MS = 8_000;

/** Refusals that one must expect: nobody looks first whether a change makes sense, and a busy machine may be without a leader for a while. */
const JUST = [
  /is in use by|update out of sequence|already exists in network|is already attached to network|is not connected to|is not running|could not find an available IP/,
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
  /** What the engines got wrong by themselves. */
  readonly #notes: string[] = [];
  readonly #durations = new Durations();
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
    const { clock } = this.#modules;
    const isCalm = this.#fault === undefined && began - this.#calmSince > AFTERMATH_MS;
    if (ok && isCalm) this.#durations.add(`change: ${name}`, clock.monotonic() - began);
    if (ok) return;
    const words = text
      .replaceAll(/[0-9a-f]{12,}/g, 'ID')
      .replaceAll(/\b([a-z])\d+\b/g, '$1N')
      .slice(-220);
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
    const began = this.#modules.clock.monotonic();
    await this.#calm();
    const calmedMs = this.#modules.clock.monotonic() - began;
    const report = await this.#inspection.run(PATIENCE_MS);
    this.#violations.push(...report.violations);
    this.#tell(cycle, calmedMs, report);
  }

  #tell(cycle: number, calmedMs: number, { settlings, notes }: InspectionReport): void {
    const { networks, containers, services } = this.#inventory;
    const has = `${networks.size} networks, ${containers.size} containers, ${services.size} services`;
    const late = settlings.filter(({ before }) => before.length > 0);
    const settled = late.map(
      ({ what, byMs, waitedMs }) => `waited ${seconds(waitedMs)} s for ${what}, right after ${seconds(byMs)} s`,
    );
    const { say } = this.#modules;
    const load = `load ${os.loadavg()[0]?.toFixed(0)}`;
    say(`cycle ${cycle}: ${has}; ${settled.join(', ') || 'all right when first looked at'}; ${load}`);
    const looks = settlings.map(({ what, lookMs }) => `${what} ${seconds(lookMs)}`);
    say(`    until the faults were over ${seconds(calmedMs)} s; looks took ${looks.join(', ')} s`);
    say(`    daemons: ${this.#sizes()}`);
    for (const { what, byMs, before } of late.filter((each) => each.waitedMs > LATE_MS)) {
      say(`    late: ${what}: ${before.join('; ').slice(0, 400)}, and right ${seconds(byMs)} s after the faults`);
    }
    for (const note of notes) say(`    note: ${note}`);
    this.#notes.push(...notes);
    const waitedMs = late.reduce((sum, each) => sum + each.waitedMs, 0);
    this.#durations.add('after the faults: waited until all was right, without the looks that found it so', waitedMs);
    for (const each of late)
      this.#durations.add(`after the faults: waited for ${each.what}, when it was not right at once`, each.waitedMs);
    for (const { what, lookMs } of settlings) this.#durations.add(`look: ${what}`, lookMs);
    this.#durations.add('faults: the last one’s rest, engines and daemons that start', calmedMs);
  }

  /** How long things took, and what the engines got wrong by themselves. */
  summary(): string[] {
    return [...this.#durations.lines(), ...this.#notes.map((note) => `note: ${note}`)];
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
    for (const kind of [this.#inventory.services, this.#inventory.containers]) kind.clear();
    const emptied = await this.#inspection.run(PATIENCE_MS);
    const unfilled = await this.#fill();
    for (const { name } of [...this.#inventory.networks.values()]) {
      await eventually(`${name} to be removed`, () => manager.waggle(['network', 'rm', name]), END);
    }
    this.#inventory.networks.clear();
    return [...emptied.violations, ...unfilled, ...(await this.#untilNothingIsLeft())];
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
        const onHost = async (host: Host, index: number): Promise<void> => {
          for (let at = index; at < room; at += swarm.hosts.length) {
            const { exitCode, stderr } = await host.docker(startCommand(`fill-${name}-${at}`, name), { check: false });
            if (exitCode !== 0) violations.push(`${name} (${subnet}) has no room for container ${at}: ${stderr}`);
          }
        };
        await Promise.all(swarm.hosts.map(onHost));
        return violations;
      }),
    );
    for (const host of swarm.hosts) await removeAllContainers(host);
    return filled.flat();
  }

  async #untilNothingIsLeft(): Promise<string[]> {
    const { swarm, say } = this.#modules;
    const { violations, notes } = await this.#inspection.run(PATIENCE_MS);
    for (const host of swarm.hosts) notes.push(...(await endForgotten(host)));
    for (const note of notes) say(`    note: ${note}`);
    this.#notes.push(...notes);
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
    const tasks = await apiJson<unknown[]>(swarm.lab.host(0), 'GET', '/tasks');
    for (const host of swarm.hosts) {
      const [files, before] = [daemonSize(host)?.files ?? 0, this.#filesBefore.get(host) ?? 0];
      if (files > before + MORE_FILES) left.push(`${host.name}'s daemon has ${files} files open, and had ${before}`);
    }
    this.#modules.say(`end: daemons: ${this.#sizes()}`);
    return [...left, ...violations, ...(tasks.length === 0 ? [] : [`${tasks.length} tasks of services that are gone`])];
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function sizeWords(host: Host): string {
  const size = daemonSize(host);
  return size === undefined ? 'away' : `${size.residentMiB} MiB, ${size.files} files after ${size.upSeconds} s`;
}
