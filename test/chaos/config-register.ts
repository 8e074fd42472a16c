import type { SequentialModel } from '../sim/raft/linearizability.ts';

/**
 * One config of the swarm, by its name, as a register: its label is the value, and an update with a version is a compare-and-swap
 * on the value that was read with that version. Every value is written once in a run, so each has one version at most.
 */

export type Command =
  | { kind: 'create'; value: string }
  | { kind: 'update'; expected: string; value: string }
  | { kind: 'remove' }
  | { kind: 'read' };

/** `=x`: the value x was read. `exists`, `missing` and `stale` are refusals, which change nothing. */
export type Result = 'ok' | 'exists' | 'missing' | 'stale' | `=${string}`;

export const CONFIG_REGISTER: SequentialModel<string | undefined, Command, Result> = {
  initial: undefined,
  apply(state, command) {
    if (command.kind === 'create') {
      return state === undefined ? { state: command.value, result: 'ok' } : { state, result: 'exists' };
    }
    if (state === undefined) return { state, result: 'missing' };
    if (command.kind === 'read') return { state, result: `=${state}` };
    if (command.kind === 'remove') return { state: undefined, result: 'ok' };
    return state === command.expected ? { state: command.value, result: 'ok' } : { state, result: 'stale' };
  },
  key: (state) => state ?? '',
  equal: (a, b) => a === b,
};
