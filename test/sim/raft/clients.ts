import type { EventQueue } from './event-queue.ts';
import { type Command, REGISTER, type Result } from './key-value.ts';
import { isLinearizable, type Operation } from './linearizability.ts';
import type { Answer, Member } from './member.ts';
import type { SeededRandom } from './seeded-random.ts';

interface Modules {
  queue: EventQueue;
  random: SeededRandom;
  /** Members that run. */
  members: () => readonly Member[];
}

const THINK_MS = { min: 1, max: 30 };
const PATIENCE_MS = 400;
/** Keeps the histories of single keys short enough to be searched. */
const OPERATIONS_PER_KEY = 24;

/** Concurrent clients, and the history that they saw. */
export class Clients {
  readonly #modules: Modules;
  readonly #histories = new Map<string, Set<Operation<Command, Result>>>();
  /** What was seen of each key last, for swaps that have a chance. */
  readonly #seen = new Map<string, Result>();
  #moment = 0;
  #begun = 0;
  #answered = 0;
  #stopped = false;

  constructor(modules: Modules) {
    this.#modules = modules;
  }

  get answered(): number {
    return this.#answered;
  }

  start(count: number): void {
    for (let client = 0; client < count; client++) this.#think();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** The keys whose history no single register could have given. */
  anomalies(): string[] {
    return [...this.#histories]
      .filter(([, history]) => !isLinearizable(REGISTER, [...history]))
      .map(([key, history]) => `${key}: ${JSON.stringify([...history])}`);
  }

  #think(): void {
    const { queue, random } = this.#modules;
    if (!this.#stopped) queue.schedule(random.int(THINK_MS.min, THINK_MS.max), () => this.#act());
  }

  #act(): void {
    const member = this.#target();
    if (member === undefined) return this.#think();
    const key = `k${Math.floor(this.#begun / OPERATIONS_PER_KEY)}`;
    const command = this.#command(key);
    const isBarrierRead = command.kind === 'get' && this.#modules.random.chance(0.7);
    const operation: Operation<Command, Result> = { call: ++this.#moment, command };
    const history = this.#histories.get(key) ?? new Set();
    this.#histories.set(key, history.add(operation));
    let isOver = false;
    const finish = (answer: Answer): void => {
      if (isOver) return;
      isOver = true;
      this.#record(operation, history, answer);
      this.#think();
    };
    const begun = isBarrierRead ? member.read(key, finish) : member.propose(command, finish);
    if (begun) this.#begun++;
    else finish({ kind: 'lost' });
    this.#modules.queue.schedule(PATIENCE_MS, () => finish({ kind: 'unknown' }));
  }

  #record(operation: Operation<Command, Result>, history: Set<Operation<Command, Result>>, answer: Answer): void {
    if (answer.kind === 'done') {
      this.#answered++;
      operation.outcome = { at: ++this.#moment, result: answer.result };
      const { command } = operation;
      this.#seen.set(command.key, command.kind === 'put' ? command.value : answer.result);
    } else if (answer.kind === 'lost' || operation.command.kind === 'get') {
      history.delete(operation);
    }
  }

  /** Mostly one that thinks it leads; there may be several. */
  #target(): Member | undefined {
    const { random, members } = this.#modules;
    const all = members();
    const leaders = all.filter((member) => member.status().role === 'leader');
    return random.pick(leaders.length > 0 && random.chance(0.95) ? leaders : all);
  }

  #command(key: string): Command {
    const { random } = this.#modules;
    const value = this.#moment + 1;
    if (random.chance(0.4)) return { kind: 'get', key };
    if (random.chance(0.7)) return { kind: 'put', key, value };
    return { kind: 'swap', key, expected: this.#seen.get(key) ?? 0, value };
  }
}
