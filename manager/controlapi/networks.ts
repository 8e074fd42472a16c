import type { NetworkObject, NetworkSpec } from '../../proto/objects/network.ts';
import { compareTaskStates } from '../../proto/objects/task-state.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ReadTx, WriteTx } from '../store/transaction.ts';
import type { ApiNetwork, ControlApi, Filters } from './control-api.ts';
import type { ControlModules } from './control-modules.ts';
import {
  assertFilterKeys,
  type Condition,
  filterValues,
  matchesExactly,
  matchesLabels,
  matchesPart,
  matchesPrefix,
  select,
} from './filters.ts';
import { untilAllocated } from './network-allocation.ts';
import { renderNetwork } from './render/network.ts';
import { renderPeers, renderServices } from './render/network-usage.ts';
import { resolve } from './resolve.ts';
import { swarmError } from './swarm-error.ts';
import { NETWORK_SHAPE, shaped } from '../../proto/objects/spec-shape.ts';
import { networkWarning, validateNetworkSpec } from './validation/network-spec.ts';

type Methods = Pick<ControlApi, 'listNetworks' | 'getNetwork' | 'createNetwork' | 'removeNetwork'>;

const FILTER_KEYS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];

export class NetworkControl implements Methods {
  readonly #modules: ControlModules;

  constructor(modules: ControlModules) {
    this.#modules = modules;
  }

  async listNetworks({ filters }: { filters: Filters }): Promise<ApiNetwork[]> {
    assertFilterKeys(filters, FILTER_KEYS);
    return this.#modules.store.view((tx) =>
      select(tx.all('networks'), [...conditionsOf(filters), danglingCondition(tx, filters)]).map(renderNetwork),
    );
  }

  async getNetwork({ ref, verbose }: { ref: string; verbose: boolean }): Promise<ApiNetwork> {
    return this.#modules.store.view((tx) => {
      const network = resolve(tx, 'networks', ref);
      const services = verbose ? { Services: renderServices(tx, network) } : {};
      return { ...renderNetwork(network), Peers: renderPeers(tx, network), ...services };
    });
  }

  async createNetwork({ spec: given }: { spec: NetworkSpec }): Promise<{ Id: string; Warning: string }> {
    const spec = shaped(NETWORK_SHAPE, given);
    validateNetworkSpec(spec);
    const { store, newId } = this.#modules;
    const id = newId();
    await store.update((tx) => {
      if (tx.find('networks', 'name', spec.Name).length > 0) {
        throw new WaggleError('already-exists', `network with name ${spec.Name} already exists`);
      }
      tx.create('networks', { ID: id, Spec: spec });
    });
    try {
      await untilAllocated(id, this.#modules);
    } catch (error) {
      await store.update((tx) => removeIfUnused(tx, id));
      throw error;
    }
    return { Id: id, Warning: networkWarning(spec) };
  }

  async removeNetwork({ ref }: { ref: string }): Promise<Record<string, never>> {
    await this.#modules.store.update((tx) => {
      const network = resolve(tx, 'networks', ref);
      const user = userOf(tx, network);
      pinUsers(tx, network);
      if (user !== undefined) throw swarmError('failed-precondition', `network ${network.ID} is in use by ${user}`);
      tx.remove('networks', network.ID);
    });
    return {};
  }
}

/** A service spec that names it, a task that is or may yet come to be on it, or a container that holds an address. */
function userOf(tx: ReadTx, network: NetworkObject): string | undefined {
  const [service] = tx.find('services', 'network', network.ID);
  if (service !== undefined) return `service ${service.ID}`;
  const task = tx.find('tasks', 'network', network.ID).find((one) => isLive(tx, one));
  if (task !== undefined) return `task ${task.ID}`;
  const [attachment] = tx.find('attachments', 'network', network.ID);
  return attachment === undefined ? undefined : `task ${attachment.ID}`;
}

/** Nobody may begin to use the network while it is being removed. */
function pinUsers(tx: WriteTx, network: NetworkObject): void {
  tx.pinFound('services', 'network', network.ID);
  tx.pinFound('tasks', 'network', network.ID);
  tx.pinFound('attachments', 'network', network.ID);
}

/** What is left of a service that was removed is only waiting to be stopped, also before the orchestrator has said so. */
function isLive(tx: ReadTx, task: TaskObject): boolean {
  if (task.ServiceID !== '' && tx.get('services', task.ServiceID) === undefined) return false;
  return compareTaskStates(task.DesiredState, 'running') <= 0 && compareTaskStates(task.Status.State, 'running') <= 0;
}

/** Undoes a creation that failed; one that was settled or taken into use in the meantime stays. */
function removeIfUnused(tx: WriteTx, id: string): void {
  const network = tx.get('networks', id);
  if (network === undefined || network.Allocated !== undefined || userOf(tx, network) !== undefined) return;
  pinUsers(tx, network);
  tx.remove('networks', id);
}

function conditionsOf(filters: Filters): Condition<NetworkObject>[] {
  const types = filterValues(filters, 'type');
  const unknown = types.find((type) => type !== 'custom' && type !== 'builtin');
  if (unknown !== undefined) throw new WaggleError('invalid-argument', `invalid filter: 'type'='${unknown}'`);
  return [
    (network) => matchesPrefix(network.ID, filterValues(filters, 'id')),
    (network) => matchesPart(network.Spec.Name, filterValues(filters, 'name')),
    (network) => matchesLabels(network.Spec.Labels, filterValues(filters, 'label')),
    () => matchesExactly('swarm', filterValues(filters, 'scope')),
    (network) => matchesExactly(network.Allocated?.Driver ?? 'overlay', filterValues(filters, 'driver')),
    // The predefined ones are each engine's own.
    () => matchesExactly('custom', types),
  ];
}

function danglingCondition(tx: ReadTx, filters: Filters): Condition<NetworkObject> {
  const values = filterValues(filters, 'dangling');
  const [value] = values;
  if (value === undefined) return () => true;
  if (values.length > 1) throw new WaggleError('invalid-argument', 'got more than one value for filter key "dangling"');
  if (!['0', 'false', '1', 'true'].includes(value)) {
    throw new WaggleError(
      'invalid-argument',
      `invalid value for filter 'dangling', must be "true" (or "1"), or "false" (or "0")`,
    );
  }
  const wanted = value === '1' || value === 'true';
  return (network) => (userOf(tx, network) === undefined) === wanted;
}
