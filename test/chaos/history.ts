import { isLinearizable, type Operation } from '../sim/raft/linearizability.ts';
import { type Command, CONFIG_REGISTER, type Result } from './config-register.ts';

/** What became of a request: carried out or refused for a reason of its own; certainly not carried out; nobody knows. */
export type Outcome = { kind: 'done'; result: Result } | { kind: 'failed' } | { kind: 'unknown' };

/** A config as a manager shows it. */
export interface Sighting {
  id: string;
  version: number;
  value: string;
}

/** For checkers of linearizability other than ours: what was asked of which object, and what came of it. */
export interface RecordedOperation extends Operation<Command, Result> {
  /** Objects with different names have nothing to do with each other. */
  key: string;
}

interface Member {
  call: number;
  /** When its outcome was known. */
  at: number;
  outcome: Outcome;
}

/**
 * What clients asked for and were told, in the order in which they saw it. Left out is what says nothing: requests that certainly
 * were not carried out, and reads that were not answered.
 */
export class History {
  readonly #registers = new Map<string, Set<Operation<Command, Result>>>();
  readonly #members = new Map<string, Member>();
  readonly #sightings = new Map<string, Sighting>();
  readonly #contradictions: string[] = [];
  #moment = 0;
  readonly counts = { done: 0, failed: 0, unknown: 0 };

  /** One operation on a register; what is returned is told its outcome. */
  begin(key: string, command: Command): (outcome: Outcome) => void {
    const operation: Operation<Command, Result> = { call: ++this.#moment, command };
    const register = this.#registers.get(key) ?? new Set();
    this.#registers.set(key, register.add(operation));
    return (outcome) => {
      this.counts[outcome.kind]++;
      if (outcome.kind === 'done') operation.outcome = { at: ++this.#moment, result: outcome.result };
      else if (outcome.kind === 'failed' || command.kind === 'read') register.delete(operation);
    };
  }

  /** One creation under a name that nobody else uses, of what is never removed; what is returned is told its outcome. */
  beginMember(name: string): (outcome: Outcome) => void {
    const call = ++this.#moment;
    return (outcome) => {
      this.counts[outcome.kind]++;
      if (outcome.kind === 'done' && outcome.result !== 'ok') {
        this.#contradictions.push(`${name} was created once, and answered "${outcome.result}"`);
      }
      this.#members.set(name, { call, at: ++this.#moment, outcome });
    };
  }

  /** A value is written by one request: seen in two objects or versions, that request was applied twice. */
  saw(name: string, sighting: Sighting): void {
    const before = this.#sightings.get(sighting.value);
    this.#sightings.set(sighting.value, sighting);
    if (before === undefined || (before.id === sighting.id && before.version === sighting.version)) return;
    this.#contradictions.push(`${name}: ${JSON.stringify(before)} became ${JSON.stringify(sighting)}`);
  }

  /**
   * All operations, those of one key in the order of their calls; of a member its creation, and a read in the end by `present`, the
   * names that are there then. `call` and `outcome.at` are moments of one count, all distinct.
   */
  *operations(present: readonly string[]): Generator<RecordedOperation> {
    for (const [key, register] of this.#registers) for (const operation of register) yield { key, ...operation };
    const there = new Set(present);
    let moment = this.#moment;
    for (const [key, { call, at, outcome }] of this.#members) {
      const command: Command = { kind: 'create', value: key };
      if (outcome.kind === 'done') yield { key, call, command, outcome: { at, result: outcome.result } };
      else if (outcome.kind === 'unknown') yield { key, call, command };
      const result = there.has(key) ? (`=${key}` as const) : 'missing';
      yield { key, call: ++moment, command: { kind: 'read' }, outcome: { at: ++moment, result } };
    }
  }

  /** What no single copy of the objects could have answered, and what was lost or is there twice in `present`, the names in the end. */
  violations(present: readonly string[]): string[] {
    const strange = [...this.#registers]
      .filter(([, register]) => !isLinearizable(CONFIG_REGISTER, [...register]))
      .map(([key, register]) => `${key} is not linearizable: ${JSON.stringify([...register])}`);
    return [...this.#contradictions, ...strange, ...this.#lostOrDoubled(present)];
  }

  #lostOrDoubled(present: readonly string[]): string[] {
    const times = new Map<string, number>();
    for (const name of present) times.set(name, (times.get(name) ?? 0) + 1);
    const doubled = [...times].filter(([, count]) => count > 1).map(([name]) => `${name} is there more than once`);
    const wrong = [...this.#members].flatMap(([name, { outcome }]) => {
      if (outcome.kind === 'done' && !times.has(name)) return [`${name} was acknowledged and is lost`];
      if (outcome.kind === 'failed' && times.has(name))
        return [`${name} is there, its creation was said to have failed`];
      return [];
    });
    return [...doubled, ...wrong];
  }
}
