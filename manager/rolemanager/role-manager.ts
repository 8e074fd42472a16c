import type { NodeObject } from '../../proto/objects/node.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { ControlLoop, type LoopBody } from '../store/control-loop.ts';
import type { Store } from '../store/transaction.ts';
import type { RaftGroup, RaftId } from './raft-group.ts';
import { keepsQuorum, planRoles, type RoleStep } from './role-plan.ts';

const PERIOD_MS = 250;
/** A member that has not been heard of for this long, 15 heartbeats, is unreachable. */
const SILENCE_MS = 1_500;

export interface RoleManagerModules {
  store: Store;
  raft: RaftGroup;
  /** Members that say themselves where they are (host:port), when that is not what the store has. */
  moved: () => ReadonlyMap<RaftId, string>;
  clock: Clock;
  log: Log;
}

/** Keeps Raft's membership and the nodes' manager status in line with their roles. Leader only. */
export class RoleManager implements Startable {
  readonly #modules: RoleManagerModules;
  readonly #loop: ControlLoop;
  /** Since when each member may be expected to be heard of. */
  readonly #expectedSince = new Map<RaftId, number>();
  #nodes: () => NodeObject[] = () => [];

  constructor(modules: RoleManagerModules) {
    this.#modules = modules;
    const body: LoopBody = {
      name: 'rolemanager',
      tables: ['nodes'],
      debounceMs: 20,
      onView: () => this.#begin(),
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

  /** True when those that can be reached are still a majority of the managers once `leaving` are none any more. */
  canSpare(leaving: readonly RaftId[]): boolean {
    const status = this.#modules.raft.status();
    return keepsQuorum(status.configuration.voters, leaving, this.#listen(status));
  }

  /** Followers do not hear of each other: all get the time to be heard of, but for the former leader, whom all heard. */
  #begin(): void {
    const { store, raft, clock } = this.#modules;
    this.#nodes = () => store.view((tx) => [...tx.all('nodes')]);
    const { id: self, progress } = raft.status();
    const former = this.#nodes().find((node) => node.ManagerStatus?.Leader === true)?.RaftID;
    for (const id of progress.keys()) {
      this.#expectedSince.set(id, id === former && id !== self ? Number.NEGATIVE_INFINITY : clock.monotonic());
    }
  }

  async #tick(): Promise<number> {
    const { raft, store } = this.#modules;
    const status = raft.status();
    if (status.leader !== status.id) return PERIOD_MS;
    const plan = planRoles(this.#nodes(), status, this.#listen(status), this.#modules.moved());
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

  #listen({ id: self, progress }: ReturnType<RaftGroup['status']>): Set<RaftId> {
    const { raft, clock } = this.#modules;
    const now = clock.monotonic();
    for (const member of this.#expectedSince.keys()) if (!progress.has(member)) this.#expectedSince.delete(member);
    const isReachable = (member: RaftId): boolean => {
      const since = this.#expectedSince.get(member) ?? now;
      this.#expectedSince.set(member, since);
      return member === self || now - Math.max(since, raft.lastHeard(member) ?? since) < SILENCE_MS;
    };
    return new Set([...progress.keys()].filter(isReachable));
  }
}
