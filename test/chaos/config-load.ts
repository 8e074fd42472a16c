import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import type { Host } from '../lab/host.ts';
import type { SeededRandom } from '../sim/raft/seeded-random.ts';
import type { ConfigClient } from './config-client.ts';
import type { Command } from './config-register.ts';
import type { Outcome, Sighting } from './history.ts';

/** Keeps the histories of single registers short enough to be searched. */
const OPERATIONS_PER_KEY = 40;
const KEYS_AT_A_TIME = 3;
const THINK_MS = { min: 1, max: 60 };
const PAUSE_AFTER_FAILURE_MS = 100;

export interface ConfigLoadModules {
  hosts: readonly Host[];
  client: ConfigClient;
  random: SeededRandom;
  clock: Clock;
}

/** Clients that write and read through all managers until they are told to end. */
export class ConfigLoad {
  readonly #modules: ConfigLoadModules;
  /** What was seen of each key last, for updates that have a chance. */
  readonly #seen = new Map<string, Sighting>();
  #isOver = false;
  #clients: Promise<void>[] = [];
  #begun = 0;
  #lastAcknowledged = 0;
  #longestGapMs = 0;

  constructor(modules: ConfigLoadModules) {
    this.#modules = modules;
  }

  /**
   * Each client stays with its manager: those of one that is away wait, the others go on.
   * @param name of this load; distinct in a run. @param clients of each manager.
   */
  start(name: string, clients: number): void {
    this.#isOver = false;
    this.#longestGapMs = 0;
    this.#lastAcknowledged = this.#modules.clock.monotonic();
    const { hosts } = this.#modules;
    this.#clients = Array.from({ length: clients * hosts.length }, (_, index) => {
      const host = hosts[index % hosts.length];
      if (host === undefined) throw new Error('there is no host to ask');
      return this.#work(`${name}-${index}`, host);
    });
  }

  /** Resolves when the last answer is in. @returns the longest time without an acknowledged write by any of the managers. */
  async stop(): Promise<number> {
    this.#isOver = true;
    this.#gap();
    await Promise.all(this.#clients);
    return this.#longestGapMs;
  }

  async #work(name: string, host: Host): Promise<void> {
    const { random, clock } = this.#modules;
    for (let count = 0; !this.#isOver; count++) {
      const outcome = await this.#step(`${name}-${count}`, host);
      await sleep(clock, outcome === 'failed' ? PAUSE_AFTER_FAILURE_MS : random.int(THINK_MS.min, THINK_MS.max));
    }
  }

  /** @param id no other step has. */
  async #step(id: string, host: Host): Promise<Outcome['kind']> {
    const { random, client } = this.#modules;
    if (random.chance(0.15)) return this.#acknowledged(await client.addMember(host, `set-${id}`));
    const turn = Math.floor(this.#begun++ / (OPERATIONS_PER_KEY * KEYS_AT_A_TIME));
    const key = `key-${turn}-${random.int(1, KEYS_AT_A_TIME)}`;
    const seen = this.#seen.get(key);
    const command = this.#command(id, seen);
    const answer = await client.ask(host, key, command, seen?.version);
    if (typeof answer === 'string') return command.kind === 'read' ? answer : this.#acknowledged(answer);
    this.#seen.set(key, answer);
    return 'done';
  }

  #command(value: string, seen: Sighting | undefined): Command {
    const { random } = this.#modules;
    if (random.chance(0.4)) return { kind: 'read' };
    if (random.chance(0.08)) return { kind: 'remove' };
    if (seen === undefined || random.chance(0.15)) return { kind: 'create', value };
    return { kind: 'update', expected: seen.value, value };
  }

  #acknowledged(outcome: Outcome['kind']): Outcome['kind'] {
    if (outcome === 'done' && !this.#isOver) {
      this.#gap();
      this.#lastAcknowledged = this.#modules.clock.monotonic();
    }
    return outcome;
  }

  #gap(): void {
    this.#longestGapMs = Math.max(this.#longestGapMs, this.#modules.clock.monotonic() - this.#lastAcknowledged);
  }
}
