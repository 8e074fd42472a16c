import { type BackoffOptions, backoffDelayMs } from '../../proto/runtime/backoff.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { LoopBody } from '../store/control-loop.ts';
import type { ReadTx, Store, StoreEvent, WriteTx } from '../store/transaction.ts';
import { decideService, type ServiceDecision } from './decide-service.ts';
import { DirtyServices } from './dirty-services.ts';
import { applySteps } from './step-writer.ts';
import type { UpdateProgress } from './update/update-progress.ts';

/** As swarmkit's MaxChangesPerTransaction. */
const MAX_CHANGES = 200;

const RETRY: BackoffOptions = { minMs: 50, maxMs: 5_000, factor: 2, jitter: 0.5 };

/** What one transaction came to for one service. */
interface Outcome {
  serviceId: string;
  decision: ServiceDecision;
  /** Every step of the decision was carried out. */
  whole: boolean;
}

/**
 * Turns services into tasks: decides on every dirty service inside the transaction that writes the decision, so that
 * it is always made from the state that it changes. Holds nothing that a new leader would miss.
 */
export class ServiceLoop implements LoopBody {
  readonly name = 'orchestrator';
  readonly tables = ['clusters', 'nodes', 'services', 'tasks'] as const;
  readonly debounceMs: number;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: Random;
  readonly #newId: () => string;
  #dirty = new DirtyServices();
  #progress = new Map<string, UpdateProgress>();
  #failures = 0;

  constructor(
    options: { debounceMs: number },
    modules: { store: Store; clock: Clock; log: Log; random: Random; newId: () => string },
  ) {
    this.debounceMs = options.debounceMs;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#log = modules.log;
    this.#random = modules.random;
    this.#newId = modules.newId;
  }

  onView(tx: ReadTx): void {
    this.#dirty = new DirtyServices();
    this.#progress = new Map();
    this.#dirty.markAll(tx);
  }

  onEvents(events: readonly StoreEvent[]): void {
    for (const event of events) this.#dirty.markEvent(event);
  }

  async tick(): Promise<number | undefined> {
    this.#store.view((tx) => this.#dirty.resolve(tx, this.#clock.now()));
    // What becomes dirty meanwhile has its own tick to come.
    for (let batch = this.#dirty.take(); batch.length > 0; ) {
      try {
        batch = this.#finish(batch, await this.#write(batch));
        this.#failures = 0;
      } catch (error) {
        for (const id of batch) this.#dirty.mark(id);
        this.#failures++;
        const delayMs = backoffDelayMs(RETRY, this.#failures, this.#random());
        this.#log.warn({ error: messageOf(error), failures: this.#failures, delayMs }, 'services are not written yet');
        return delayMs;
      }
    }
    return this.#dirty.nextInMs(this.#clock.now());
  }

  #write(batch: readonly string[]): Promise<Outcome[]> {
    // Smaller after failures: what was too large, or lost its races because of its size, gets through in the end.
    const limit = Math.max(1, Math.floor(MAX_CHANGES / 4 ** this.#failures));
    return this.#store.update((tx) => this.#pass(tx, batch, limit), { actor: 'orchestrator' });
  }

  /** Runs again whole when it loses a race, so it touches nothing but the transaction. */
  #pass(tx: WriteTx, batch: readonly string[], limit: number): Outcome[] {
    const outcomes: Outcome[] = [];
    const nowMs = this.#clock.now();
    let room = limit;
    for (const serviceId of batch) {
      if (room <= 0) break;
      const decision = decideService(tx, serviceId, this.#progress.get(serviceId), { nowMs, newId: this.#newId });
      const { changes, whole } = applySteps(tx, decision.steps, room, limit);
      outcomes.push({ serviceId, decision, whole });
      room -= changes;
      if (!whole) break;
    }
    return outcomes;
  }

  /** Takes over what was committed. @returns the services that did not get their turn, or not wholly. */
  #finish(batch: readonly string[], outcomes: readonly Outcome[]): string[] {
    const unfinished = outcomes.filter(({ whole }) => !whole).map(({ serviceId }) => serviceId);
    for (const { serviceId, decision } of outcomes) {
      if (decision.progress === undefined) this.#progress.delete(serviceId);
      else this.#progress.set(serviceId, decision.progress);
      this.#dirty.wakeAt(serviceId, decision.wakeAtMs);
      this.#report(serviceId, decision);
    }
    return [...unfinished, ...batch.slice(outcomes.length)];
  }

  #report(serviceId: string, decision: ServiceDecision): void {
    const changes = decision.steps.flat();
    if (changes.length === 0) return;
    this.#log.debug({ service: serviceId, changes: changes.length }, 'service is brought to order');
    for (const change of changes) {
      if (change.kind !== 'service' || change.service.UpdateStatus === undefined) continue;
      const { State: state, Message: message } = change.service.UpdateStatus;
      this.#log.info({ service: serviceId, name: change.service.Spec.Name, state, message }, 'service update');
    }
  }
}
