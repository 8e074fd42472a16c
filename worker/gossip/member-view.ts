import type { Clock } from '../../proto/runtime/clock.ts';
import type { SwimCore } from './core/swim-core.ts';
import type { Member, Members } from './members.ts';

/** Members for the rest of the daemon: what the core knows, in times of the wall clock. */
export class MemberView implements Members {
  readonly #core: SwimCore;
  readonly #clock: Clock;
  readonly #listeners = new Set<(nodeIds: ReadonlySet<string>) => void>();

  constructor(core: SwimCore, clock: Clock) {
    this.#core = core;
    this.#clock = clock;
  }

  get awareness(): number {
    return this.#core.awareness;
  }

  all(): readonly Member[] {
    return this.#core.peers.flatMap(({ nodeId }) => this.get(nodeId) ?? []);
  }

  get(nodeId: string): Member | undefined {
    const standing = this.#core.standing(nodeId);
    const peer = this.#core.peer(nodeId);
    if (standing === undefined || peer === undefined) return undefined;
    const { incarnation, state, changedAtMs } = standing;
    const sinceMs = this.#clock.now() - (this.#clock.monotonic() - changedAtMs);
    return { ...peer, incarnation, state, sinceMs };
  }

  onChange(listener: (nodeIds: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get listeners(): Iterable<(nodeIds: ReadonlySet<string>) => void> {
    return this.#listeners;
  }
}
