import type { TaskObject } from '../../proto/objects/task.ts';
import type { AssignedNetwork, AssignedState } from '../network/assigned-network.ts';

/** AssignedState with those who want to hear of its changes. */
export class AssignedStore implements AssignedState {
  readonly networks = new Map<string, AssignedNetwork>();
  readonly tasks = new Map<string, TaskObject>();
  readonly #listeners = new Set<() => void>();

  /** Called after each change. @returns the unsubscribe. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  announce(): void {
    for (const listener of this.#listeners) listener();
  }
}
