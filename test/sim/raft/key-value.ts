import type { SequentialModel } from './linearizability.ts';

/** The replicated object of the simulation: a map from names to numbers, 0 where nothing was written. */

export type Command =
  | { kind: 'put'; key: string; value: number }
  | { kind: 'swap'; key: string; expected: number; value: number }
  | { kind: 'get'; key: string };

/** What a command answers: the value before it, which for a swap also tells whether it was done. */
export type Result = number;

export function encodeCommand(command: Command): Uint8Array {
  return Buffer.from(JSON.stringify(command));
}

export function decodeCommand(data: Uint8Array): Command {
  return JSON.parse(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString()) as Command;
}

export class KeyValueMachine {
  readonly #values: Map<string, number>;

  constructor(values: ReadonlyMap<string, number> = new Map()) {
    this.#values = new Map(values);
  }

  apply(command: Command): Result {
    const before = this.read(command.key);
    if (command.kind === 'put' || (command.kind === 'swap' && command.expected === before)) {
      this.#values.set(command.key, command.value);
    }
    return before;
  }

  read(key: string): Result {
    return this.#values.get(key) ?? 0;
  }

  values(): ReadonlyMap<string, number> {
    return new Map(this.#values);
  }
}

/** One key of it. */
export const REGISTER: SequentialModel<number, Command, Result> = {
  initial: 0,
  apply(state, command) {
    if (command.kind === 'put') return { state: command.value, result: state };
    if (command.kind === 'swap' && command.expected === state) return { state: command.value, result: state };
    return { state, result: state };
  },
  key: String,
  equal: (a, b) => a === b,
};
