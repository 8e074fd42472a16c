import type { NodeObject } from '../../proto/objects/node.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { ControlLoop, type LoopBody } from '../store/control-loop.ts';
import type { Store } from '../store/transaction.ts';
import type { RaftGroup, RaftId } from './raft-group.ts';
import { planRoles, type RoleStep } from './role-plan.ts';

const PERIOD_MS = 500;
/** A member that has not been heard of for this long is unreachable. */
const SILENCE_MS = 3_000;

export interface RoleManagerModules {
  store: Store;
  raft: RaftGroup;
  clock: Clock;
  log: Log;
}

/** Keeps Raft's membership and the nodes' manager status in line with their roles. Leader only. */
export class RoleManager implements Startable {
  readonly #modules: RoleManagerModules;
  readonly #loop: ControlLoop;
  readonly #heardAt = new Map<RaftId, number>();
  #nodes: () => NodeObject[] = () => [];

  constructor(modules: RoleManagerModules) {
    this.#modules = modules;
    const body: LoopBody = {
      name: 'rolemanager',
      tables: ['nodes'],
      debounceMs: 20,
      onView: () => this.#begin(),
      onEvents: () => undefined,
      tick: () => this.#tick(),
    };
    this.#loop = new ControlLoop(body, modules);
  }

  start(): Promise<void> {
    return this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  /** A new leader has not heard of anybody yet: all get the time to be heard of. */
  #begin(): void {
    const { store, raft, clock } = this.#modules;
    this.#nodes = () => store.view((tx) => [...tx.all('nodes')]);
    for (const id of raft.status().progress.keys()) this.#heardAt.set(id, clock.monotonic());
  }

  async #tick(): Promise<number> {
    const { raft, store } = this.#modules;
    const status = raft.status();
    if (status.leader !== status.id) return PERIOD_MS;
    const plan = planRoles(this.#nodes(), status, this.#listen(status));
    if (plan.statuses.length > 0 || plan.released.length > 0) {
      await store.update((tx) => {
        for (const { nodeId, status: next } of plan.statuses) {
          const node = tx.get('nodes', nodeId);
          if (node?.RaftID !== undefined) tx.update('nodes', { ...node, ManagerStatus: next });
        }
        for (const nodeId of plan.released) {
          const node = tx.get('nodes', nodeId);
          if (node === undefined || node.Spec.Role === 'manager') continue;
          const { RaftID: _id, ManagerStatus: _status, ...released } = node;
          tx.update('nodes', released);
        }
      });
    }
    await this.#take(plan.step);
    return PERIOD_MS;
  }

  async #take(step: RoleStep): Promise<void> {
    const { raft, log } = this.#modules;
    if (step.kind === 'none') return;
    if (step.kind === 'transfer') {
      log.info({ to: step.to }, 'handing leadership over before leaving the managers');
      raft.transferTo(step.to);
      return;
    }
    try {
      await raft.changeMembers({ changes: [step.change] });
      log.info({ ...step.change }, 'managers changed');
    } catch (error) {
      // Another change may be under way, or leadership lost: the next pass sees.
      log.debug({ ...step.change, error: messageOf(error) }, 'managers could not be changed yet');
    }
  }

  #listen({ id, progress }: ReturnType<RaftGroup['status']>): Set<RaftId> {
    const now = this.#modules.clock.monotonic();
    for (const [member, { recentlyActive }] of progress) {
      if (member === id || recentlyActive || !this.#heardAt.has(member)) this.#heardAt.set(member, now);
    }
    return new Set([...progress.keys()].filter((member) => now - (this.#heardAt.get(member) ?? 0) < SILENCE_MS));
  }
}
