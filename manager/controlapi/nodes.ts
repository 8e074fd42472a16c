import type { NodeObject, NodeSpec } from '../../proto/objects/node.ts';
import { compareTaskStates, isTerminal } from '../../proto/objects/task-state.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { rfc3339, sleep } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ReadTx, WriteTx } from '../store/transaction.ts';
import { clusterOf } from './cluster.ts';
import type { ApiObject, ControlApi, Filters } from './control-api.ts';
import type { ControlModules, ControlOptions } from './control-modules.ts';
import {
  assertFilterKeys,
  type Condition,
  filterValues,
  matchesLabels,
  matchesPrefix,
  select,
  wordsOf,
} from './filters.ts';
import { comesTrue } from './object-wait.ts';
import { withRemoval } from './removed-nodes.ts';
import { renderNode } from './render/node.ts';
import { tlsInfo } from './render/tls-info.ts';
import { resolve } from './resolve.ts';
import { outOfSequence, swarmError } from './swarm-error.ts';
import { NODE_SHAPE, shaped } from '../../proto/objects/spec-shape.ts';

type Methods = Pick<ControlApi, 'listNodes' | 'getNode' | 'updateNode' | 'removeNode'>;

/** Twice as long as the leader waits to hear of a manager before it takes it for unreachable (rolemanager). */
const SPARED_MS = 3_000;
const LOOK_MS = 100;
const FILTER_KEYS = ['id', 'label', 'membership', 'name', 'node.label', 'role'];
/** What the demotion of a manager may take. A removal that is refused is tried a second time (leaderproxy), within the time that its client has. */
const DEMOTION_MS = 6_000;
const ROLES: readonly string[] = ['worker', 'manager'];
const AVAILABILITIES: readonly string[] = ['active', 'pause', 'drain'];

export class NodeControl implements Methods {
  readonly #options: ControlOptions;
  readonly #modules: ControlModules;

  constructor(options: ControlOptions, modules: ControlModules) {
    this.#options = options;
    this.#modules = modules;
  }

  async listNodes({ filters }: { filters: Filters }): Promise<ApiObject[]> {
    const conditions = conditionsOf(filters);
    return this.#modules.store.view((tx) => {
      const tls = tlsInfo(clusterOf(tx).RootCA.Certificate);
      return select(tx.all('nodes'), conditions).map((node) => renderNode(node, tls));
    });
  }

  async getNode({ ref }: { ref: string }): Promise<ApiObject> {
    return this.#modules.store.view((tx) =>
      renderNode(resolve(tx, 'nodes', ref), tlsInfo(clusterOf(tx).RootCA.Certificate)),
    );
  }

  async updateNode(args: { ref: string; version: number; spec: NodeSpec }): Promise<Record<string, never>> {
    const spec = shaped(NODE_SHAPE, args.spec);
    validateSpec(spec);
    if (spec.Role === 'worker') await this.#untilSpared(args.ref);
    await this.#modules.store.update((tx) => {
      const node = resolve(tx, 'nodes', args.ref);
      if (node.Spec.Role === 'manager' && spec.Role === 'worker') {
        assertNotLastManager(tx, node);
        this.#assertQuorumKept(tx, node);
      }
      if (node.Spec.Role === 'worker' && spec.Role === 'manager' && !this.#options.promotion) {
        throw new WaggleError('unimplemented', 'promoting a node to manager is not supported yet');
      }
      if (node.Version.Index !== args.version) throw outOfSequence();
      tx.update('nodes', { ...node, Spec: spec });
    });
    return {};
  }

  /** A manager that has not been heard of for a moment may only be busy: the demotion of another one waits for it a little. */
  async #untilSpared(ref: string): Promise<void> {
    const { store, clock } = this.#modules;
    const deadline = clock.monotonic() + SPARED_MS;
    while (clock.monotonic() < deadline) {
      const isSpared = store.view((tx) => {
        const node = resolve(tx, 'nodes', ref);
        return node.Spec.Role === 'worker' || this.#isSpared(tx, node);
      });
      if (isSpared) return;
      await sleep(clock, LOOK_MS);
    }
  }

  #assertQuorumKept(tx: WriteTx, node: NodeObject): void {
    if (this.#isSpared(tx, node)) return;
    const text = "can't remove member from the raft: this would result in a loss of quorum";
    throw swarmError('failed-precondition', text);
  }

  /** Whether the managers keep their quorum without it, and without those that are on their way out already. */
  #isSpared(tx: ReadTx, node: NodeObject): boolean {
    if (node.RaftID === undefined) return true;
    const demoted = [...tx.all('nodes')].filter((other) => other.Spec.Role === 'worker');
    const leaving = [node, ...demoted].flatMap(({ RaftID }) => (RaftID === undefined ? [] : [RaftID]));
    return this.#modules.canSpareManagers(leaving);
  }

  /** Takes the node, what it held and its right to come back, in one change. The end of a demotion is waited for. */
  async removeNode({ ref, force }: { ref: string; force: boolean }): Promise<Record<string, never>> {
    const { store, clock } = this.#modules;
    const present = store.view((tx) => resolve(tx, 'nodes', ref));
    assertNotWanted(present, force);
    const holds = (node: NodeObject | undefined): boolean =>
      node === undefined || node.Spec.Role === 'manager' || !isStillManager(node);
    await comesTrue({ table: 'nodes', id: present.ID, holds, timeoutMs: DEMOTION_MS }, this.#modules);
    await store.update(
      (tx) => {
        const node = resolve(tx, 'nodes', ref);
        assertNotWanted(node, force);
        if (isStillManager(node)) throw isManager(node);
        const cluster = clusterOf(tx);
        tx.update('clusters', { ...cluster, RemovedNodes: withRemoval(cluster, node.ID, clock.now()) });
        for (const task of tx.find('tasks', 'node', node.ID)) giveUp(tx, task, rfc3339(clock.now()));
        for (const attachment of tx.find('attachments', 'node', node.ID)) tx.remove('attachments', attachment.ID);
        tx.remove('nodes', node.ID);
      },
      { actor: 'control' },
    );
    return {};
  }
}

function conditionsOf(filters: Filters): Condition<NodeObject>[] {
  assertFilterKeys(filters, FILTER_KEYS);
  const names = filterValues(filters, 'name');
  const roles = wordsOf(filters, 'role', ['worker', 'manager']);
  const memberships = wordsOf(filters, 'membership', ['accepted', 'pending']);
  const labels = filterValues(filters, 'label');
  return [
    (node) => matchesPrefix(node.ID, filterValues(filters, 'id')),
    (node) => names.length === 0 || (node.Description !== undefined && matchesPrefix(node.Description.Hostname, names)),
    (node) => labels.length === 0 || matchesLabels(node.Description?.Engine.Labels, labels),
    (node) => matchesLabels(node.Spec.Labels, filterValues(filters, 'node.label')),
    (node) => roles.length === 0 || roles.includes(node.Spec.Role),
    // Every node that holds a certificate is a member; there is no waiting list.
    () => memberships.length === 0 || memberships.includes('accepted'),
  ];
}

function validateSpec(spec: NodeSpec): void {
  if (!ROLES.includes(spec.Role)) {
    throw new WaggleError('invalid-argument', `invalid Role: ${JSON.stringify(spec.Role ?? '')}`);
  }
  if (!AVAILABILITIES.includes(spec.Availability)) {
    throw new WaggleError('invalid-argument', `invalid Availability: ${JSON.stringify(spec.Availability ?? '')}`);
  }
}

function assertNotLastManager(tx: WriteTx, node: NodeObject): void {
  if (tx.pinFound('nodes', 'role', 'manager').some((other) => other.ID !== node.ID)) return;
  throw swarmError('failed-precondition', 'attempting to demote the last manager of the swarm');
}

function assertNotWanted(node: NodeObject, force: boolean): void {
  if (node.Spec.Role === 'manager') throw isManager(node);
  if (!force && node.Status.State === 'ready') {
    throw swarmError('failed-precondition', `node ${node.ID} is not down and can't be removed`);
  }
}

/** While it is being demoted a manager is still a member of the raft group; one that is down cannot give up its certificate. */
function isStillManager(node: NodeObject): boolean {
  const mayGiveUp = node.CertificateRole === 'manager' && node.Status.State === 'ready';
  return mayGiveUp || node.ManagerStatus !== undefined;
}

function isManager(node: NodeObject): WaggleError {
  return swarmError(
    'failed-precondition',
    `node ${node.ID} is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal`,
  );
}

/** Nobody can report on the task any more: what it held must be free to go. */
function giveUp(tx: WriteTx, task: TaskObject, at: string): void {
  if (isTerminal(task.Status.State)) return;
  if (compareTaskStates(task.Status.State, 'assigned') >= 0) {
    const message = 'Task belonged to a node that has been deleted';
    tx.update('tasks', { ...task, Status: { ...task.Status, Timestamp: at, State: 'orphaned', Message: message } });
  } else if (compareTaskStates(task.DesiredState, 'remove') < 0) {
    tx.update('tasks', { ...task, DesiredState: 'remove' });
  }
}
