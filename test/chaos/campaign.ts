import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Host } from '../lab/host.ts';
import { SeededRandom } from '../sim/raft/seeded-random.ts';
import { ConfigClient, type FailedRequest, listConfigs } from './config-client.ts';
import { ConfigLoad } from './config-load.ts';
import { breakdowns, doubleLeaders, lastTerm } from './daemon-logs.ts';
import { disagreements, readDisk } from './disk-states.ts';
import { FAULTS, LONE_FAULTS } from './faults.ts';
import { History, type RecordedOperation } from './history.ts';
import type { ManagerGroup } from './manager-group.ts';

/** Of each manager. */
const CLIENTS = 3;
const CALM_MS = 500;

export interface RoundReport {
  faults: string[];
  /** Names of the hosts that had them. */
  victims: string[];
  /** Longest time in which no client had a write acknowledged by any manager, ms. */
  gapMs: number;
  /** From the end of the faults until each manager took a write, ms. */
  settledMs: number;
  done: number;
  failures: readonly FailedRequest[];
}

export interface CampaignModules {
  group: ManagerGroup;
  clock: Clock;
  say: (line: string) => void;
}

/**
 * Clients read and write through all managers while things happen to these; then everything is mended, and what the clients were
 * told is compared with what is there. The seed decides what happens to whom; the timing is the machine's.
 */
export class Campaign {
  readonly #modules: CampaignModules;
  readonly #random: SeededRandom;
  readonly #history = new History();
  readonly #load: ConfigLoad;
  readonly #failures: FailedRequest[] = [];
  #rounds = 0;
  /** Names of what was there at the last check. */
  #present: readonly string[] = [];

  constructor({ seed }: { seed: number }, modules: CampaignModules) {
    this.#modules = modules;
    this.#random = new SeededRandom(seed);
    const client = new ConfigClient({ history: this.#history, onFailure: (failure) => this.#failures.push(failure) });
    const { group, clock } = modules;
    // Its own generator: how often the clients draw from it depends on the machine.
    this.#load = new ConfigLoad({ hosts: group.hosts, client, random: new SeededRandom(seed + 1), clock });
  }

  /** One round with what chance has in store. */
  next(): Promise<RoundReport> {
    const random = this.#random;
    if (random.chance(0.3)) return this.round([random.pick(Object.keys(LONE_FAULTS)) ?? '']);
    const names = Object.keys(FAULTS);
    const first = random.pick(names) ?? '';
    return this.round(random.chance(0.5) ? [first] : [first, random.pick(names) ?? '']);
  }

  /** The faults of these names, each on another manager, the first one mostly on the leader. @throws Error when it does not end as it should. */
  async round(names: readonly string[]): Promise<RoundReport> {
    const { group, clock, say } = this.#modules;
    const random = this.#random;
    const began = { failures: this.#failures.length, done: this.#history.counts.done };
    const leader = await group.leader();
    const followers = random.shuffle(group.others(leader));
    const victims = random.chance(0.6) ? [leader, ...followers] : [...followers, leader];
    const faults = names.map((name, at) => ({
      name,
      victim: victims[at] ?? leader,
      delayMs: at * random.int(0, 1_500),
    }));
    const described = faults.map(({ name, victim }) => `${name} ${victim === leader ? 'leader' : 'follower'}`);
    this.#load.start(`round-${this.#rounds++}`, CLIENTS);
    say(`  ${faults.map(({ name, victim }) => `${name} ${victim.name}`).join(' + ')}`);
    const results = await Promise.allSettled(
      faults.map(async ({ name, victim, delayMs }) => {
        await sleep(clock, CALM_MS + delayMs);
        await this.#inflict(name, victim);
      }),
    );
    await group.heal();
    const settledMs = await group.untilSettled();
    const gapMs = await this.#load.stop();
    const failed = results.flatMap((result) => (result.status === 'rejected' ? [messageOf(result.reason)] : []));
    if (failed.length > 0) throw new Error(`${described.join(' + ')}: ${failed.join('; ')}`);
    const report = {
      faults: described,
      victims: faults.map(({ victim }) => victim.name),
      gapMs,
      settledMs,
      done: this.#history.counts.done - began.done,
      failures: this.#failures.slice(began.failures),
    };
    say(lineOf(report));
    return report;
  }

  /** What is wrong by now, in so many words. Nobody else may write meanwhile. */
  async check(): Promise<string[]> {
    const { group } = this.#modules;
    const lists = await Promise.all(group.hosts.map((host) => listConfigs(host)));
    const [first = [], ...others] = lists.map((list) => JSON.stringify(list));
    const different = others.flatMap((list, at) =>
      list === first ? [] : [`${group.hosts[at + 1]?.name} shows another list`],
    );
    this.#present = (lists[0] ?? []).map(([name]) => name);
    return [
      ...different,
      ...this.#history.violations(this.#present),
      ...doubleLeaders(group.hosts),
      ...group.hosts.flatMap(breakdowns),
    ];
  }

  /** Kills all managers at once and compares what they have on their disks with each other and with what they showed; starts them again. */
  async checkDisks(): Promise<string[]> {
    const { group } = this.#modules;
    await Promise.all(group.hosts.map((host) => host.stopService('daemon', 'SIGKILL')));
    const disks = await Promise.all(
      group.hosts.map((host) => readDisk(host.name, group.dataDir(host), group.unlockKey)),
    );
    const found = disagreements(disks);
    await group.heal();
    await group.untilSettled();
    return [...found, ...(await this.check())];
  }

  /** What clients asked for and were told until the last check, see `History.operations`. */
  operations(): Iterable<RecordedOperation> {
    return this.#history.operations(this.#present);
  }

  get counts(): Readonly<Record<'done' | 'failed' | 'unknown', number>> {
    return this.#history.counts;
  }

  get term(): number {
    return Math.max(...this.#modules.group.hosts.map(lastTerm));
  }

  async #inflict(name: string, victim: Host): Promise<void> {
    const fault = FAULTS[name] ?? LONE_FAULTS[name];
    if (fault === undefined) throw new Error(`there is no fault ${name}`);
    await fault(this.#modules.group, victim, this.#random);
  }
}

function lineOf({ faults, victims, gapMs, settledMs, done, failures }: RoundReport): string {
  const texts = new Map<string, number>();
  for (const { host, outcome, text } of failures) {
    const key = `${outcome} at ${victims.includes(host) ? 'a victim' : 'another'}: ${text.slice(0, 160)}`;
    texts.set(key, (texts.get(key) ?? 0) + 1);
  }
  const unhappy = [...texts].map(([text, count]) => `\n      ${count} x ${text}`).join('');
  const times = `no write for ${Math.round(gapMs)} ms at most, settled ${Math.round(settledMs)} ms after`;
  return `${faults.join(' + ')}: ${done} done, ${times}${unhappy}`;
}
