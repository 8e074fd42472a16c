import { isDeepStrictEqual } from 'node:util';
import type { NetworkObject } from '../../proto/objects/network.ts';
import type { ServiceEndpoint } from '../../proto/objects/endpoint.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskNetworkAttachment, TaskObject } from '../../proto/objects/task.ts';
import { type BackoffOptions, backoffDelayMs } from '../../proto/runtime/backoff.ts';
import { type Clock, rfc3339 } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { MAX_CHANGES_PER_TRANSACTION, updateInBatches } from '../store/batched-update.ts';
import { ControlLoop, type LoopBody } from '../store/control-loop.ts';
import type { ReadTx, Store, StoreEvent, WriteTx } from '../store/transaction.ts';
import type { AddressBook } from './address-book.ts';
import type { AllocationOutcome } from './allocation-outcome.ts';
import { AllocatorState, needsAllocation } from './allocator-state.ts';
import { planEndpoint, releaseUnused } from './endpoint-plan.ts';
import type { Allocated } from './network-book.ts';
import type { AddressPools } from './subnet-plan.ts';
import { wantedPorts } from './port-audit.ts';
import { planTask } from './task-plan.ts';

export interface AllocatorOptions {
  /** How long a burst of changes is awaited; 10 unless given. */
  debounceMs?: number;
}

type NetworkPlan = { network: NetworkObject } & ({ allocated: Allocated } | { error: string });
type ServicePlan = { service: ServiceObject; endpoint: ServiceEndpoint };
type TaskPlan = { task: TaskObject } & (
  | { attachments: TaskNetworkAttachment[]; endpoint?: ServiceEndpoint }
  | { why: string }
);

const DEBOUNCE_MS = 10;
const RETRY: BackoffOptions = { minMs: 50, maxMs: 5_000, factor: 2, jitter: 0 };
/** An address given back outside the store's events (an attachment that failed) is noticed this late. */
const WAITING_RECHECK_MS = 1_000;
/** Ports are compared with committed state this often. */
const PORT_AUDIT_MS = 30_000;
const ALLOCATED = 'pending task scheduling';
const DEFAULT_POOLS: AddressPools = { pools: ['10.0.0.0/8'], subnetSize: 24 };

/**
 * Settles what must be unique in the swarm: subnets and VNIs of networks, virtual addresses and published ports of services,
 * addresses of tasks, which it then moves from new to pending. Leader only, one at a time. Everything is first
 * reserved in memory, then written; a write that fails is tried again with the same reservation.
 */
export class Allocator implements Startable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #state = new AllocatorState();
  readonly #loop: ControlLoop;
  /** Why a waiting service waits, told to its tasks' readers. */
  readonly #serviceWhy = new Map<string, string>();
  #portsAuditedAtMs = Number.NEGATIVE_INFINITY;
  /** Told already. */
  #duplicatePorts: ReadonlySet<string> = new Set();
  #failures = 0;
  #failed = false;

  constructor(options: AllocatorOptions, modules: { store: Store; clock: Clock; log: Log }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'manager/allocator' });
    this.#loop = new ControlLoop(this.#body(options.debounceMs ?? DEBOUNCE_MS), { ...modules, log: this.#log });
  }

  /** Who holds which address, live; filled once `start` has resolved. Shared with the AttachmentAllocator. */
  get addresses(): AddressBook {
    return this.#state.addresses;
  }

  /** Who holds which published port, live, as `tcp/80`. */
  get ports(): { serviceId: string; port: string }[] {
    const { ports } = this.#state;
    return ports.services().flatMap((serviceId) => ports.of(serviceId).map((port) => ({ serviceId, port })));
  }

  async start(): Promise<void> {
    await this.#loop.start();
  }

  async stop(): Promise<void> {
    await this.#loop.stop();
  }

  #body(debounceMs: number): LoopBody {
    return {
      name: 'allocator',
      tables: ['networks', 'services', 'tasks', 'attachments'],
      debounceMs,
      onView: (tx: ReadTx) => this.#load(tx),
      onEvents: (events: readonly StoreEvent[]) => this.#state.observe(events),
      tick: () => this.#tick(),
    };
  }

  #load(tx: ReadTx): void {
    for (const duplicate of this.#state.load(tx)) {
      this.#log.error({ ...duplicate }, 'address held twice: remove one of the holders');
    }
  }

  /** Networks, then services, then tasks: each needs what comes before. */
  async #tick(): Promise<number | undefined> {
    this.#failed = false;
    const { networks, services, tasks } = this.#state.dirty;
    await this.#eachSlice(networks, (ids) => this.#allocateNetworks(ids));
    if (!this.#failed) await this.#eachSlice(services, (ids) => this.#allocateServices(ids));
    if (!this.#failed) await this.#eachSlice(tasks, (ids) => this.#allocateTasks(ids));
    if (this.#failed) return backoffDelayMs(RETRY, ++this.#failures, 0);
    this.#failures = 0;
    const auditInMs = this.#auditPorts();
    if (services.size > 0) return 0;
    return this.#state.waiting.size > 0 ? WAITING_RECHECK_MS : auditInMs;
  }

  /** @returns in how many milliseconds the next one is due. */
  #auditPorts(): number {
    const now = this.#clock.monotonic();
    const dueInMs = this.#portsAuditedAtMs + PORT_AUDIT_MS - now;
    if (dueInMs > 0) return dueInMs;
    this.#portsAuditedAtMs = now;
    const { released, duplicates } = this.#store.view((tx) => this.#state.auditPorts(tx));
    if (released.length > 0) this.#log.warn({ released }, 'ports were held by services that do not have them');
    const told = this.#duplicatePorts;
    this.#duplicatePorts = new Set(duplicates.map((each) => JSON.stringify(each)));
    for (const duplicate of duplicates) {
      if (!told.has(JSON.stringify(duplicate))) this.#log.error({ ...duplicate }, 'port published by two services');
    }
    return PORT_AUDIT_MS;
  }

  /** Works through a dirty set; what comes in meanwhile is taken along, what fails ends the round. */
  async #eachSlice(dirty: Set<string>, work: (ids: string[]) => Promise<void>): Promise<void> {
    while (dirty.size > 0 && !this.#failed) await work([...dirty.values().take(MAX_CHANGES_PER_TRANSACTION)]);
  }

  async #allocateNetworks(ids: readonly string[]): Promise<void> {
    const plans = this.#store.view((tx) => {
      const pools = poolsOf(tx);
      return ids.flatMap((id) => {
        const network = tx.get('networks', id);
        const open = network !== undefined && network.Allocated === undefined && network.AllocationError === undefined;
        if (!open) this.#state.dirty.networks.delete(id);
        return open ? [this.#planNetwork(network, pools)] : [];
      });
    });
    const written = await this.#write(plans, (plan) => plan.network.ID, writeNetwork);
    for (const plan of written) {
      this.#state.dirty.networks.delete(plan.network.ID);
      const fields = { network: plan.network.ID, name: plan.network.Spec.Name };
      if ('error' in plan) this.#log.info({ ...fields, error: plan.error }, 'network cannot be allocated');
      else
        this.#log.info({ ...fields, subnets: plan.allocated.Subnets, vnis: plan.allocated.VNIs }, 'network allocated');
    }
  }

  #planNetwork(network: NetworkObject, pools: AddressPools): NetworkPlan {
    try {
      return { network, allocated: this.#state.networks.plan(network, pools) };
    } catch (error) {
      if (!(error instanceof WaggleError)) throw error;
      return { network, error: error.message };
    }
  }

  async #allocateServices(ids: readonly string[]): Promise<void> {
    const plans = this.#store.view((tx) => ids.flatMap((id) => this.#planService(tx, id)));
    const written = await this.#write(plans, (plan) => plan.service.ID, writeService);
    for (const plan of written) this.#serviceDone(plan);
  }

  #planService(tx: ReadTx, id: string): ServicePlan[] {
    const service = tx.get('services', id);
    if (service === undefined) {
      this.#state.dirty.services.delete(id);
      this.#serviceWhy.delete(id);
      return [];
    }
    const outcome = planEndpoint(service, tx, this.#state);
    if (!outcome.ok) {
      this.#wait(`service/${id}`, outcome);
      // What an earlier spec asked for, and what was taken before something else was found wanting.
      if (this.#state.ports.releaseExcept(id, wantedPorts(service))) this.#state.wake('ports');
      return [];
    }
    const plan = { service, endpoint: outcome.result };
    if (!isDeepStrictEqual(service.Endpoint, outcome.result)) return [plan];
    this.#serviceDone(plan);
    return [];
  }

  #serviceDone({ service, endpoint }: ServicePlan): void {
    this.#state.dirty.services.delete(service.ID);
    this.#serviceWhy.delete(service.ID);
    if (releaseUnused(service.ID, endpoint, this.#state.addresses, this.#state.ports)) this.#state.wake('ports');
    this.#state.wake(`service/${service.ID}`);
  }

  async #allocateTasks(ids: readonly string[]): Promise<void> {
    const plans = this.#store.view((tx) => ids.flatMap((id) => this.#planTask(tx, id)));
    const timestamp = rfc3339(this.#clock.now());
    const written = await this.#write(
      plans,
      (plan) => plan.task.ID,
      (tx, plan) => writeTask(tx, plan, timestamp),
    );
    for (const plan of plans) {
      if (!('why' in plan)) {
        if (written.has(plan)) this.#state.dirty.tasks.delete(plan.task.ID);
      } else if (!written.has(plan)) {
        // It waits without having said why: look at it again.
        this.#state.waiting.remove(`task/${plan.task.ID}`);
        this.#state.dirty.tasks.add(plan.task.ID);
      }
    }
  }

  #planTask(tx: ReadTx, id: string): TaskPlan[] {
    const task = tx.get('tasks', id);
    const service = task === undefined ? undefined : tx.get('services', task.ServiceID);
    if (task === undefined || !needsAllocation(task)) {
      this.#state.dirty.tasks.delete(id);
      return [];
    }
    const outcome = this.#outcomeOf(task, service, tx);
    if (outcome.ok) {
      return [
        {
          task,
          attachments: outcome.result,
          ...(service?.Endpoint === undefined ? {} : { endpoint: service.Endpoint }),
        },
      ];
    }
    this.#wait(`task/${id}`, outcome);
    return outcome.why === undefined || outcome.why === task.Status.Err ? [] : [{ task, why: outcome.why }];
  }

  #outcomeOf(
    task: TaskObject,
    service: ServiceObject | undefined,
    tx: ReadTx,
  ): AllocationOutcome<TaskNetworkAttachment[]> {
    const key = `service/${task.ServiceID}`;
    // Without its service a task is only waiting to be removed.
    if (service === undefined && task.ServiceID !== '') return { ok: false, waitsFor: [key] };
    const unsettled = this.#state.dirty.services.has(task.ServiceID) || this.#state.waiting.has(key);
    if (service === undefined || !unsettled) return planTask(task, service, tx, this.#state.addresses);
    const why = this.#serviceWhy.get(task.ServiceID);
    return { ok: false, waitsFor: [key], ...(why === undefined ? {} : { why }) };
  }

  #wait(item: string, outcome: { waitsFor: string[]; why?: string }): void {
    const [kind, id = ''] = item.split('/');
    this.#state.waiting.put(item, outcome.waitsFor);
    if (kind === 'service') {
      this.#state.dirty.services.delete(id);
      if (outcome.why === undefined) this.#serviceWhy.delete(id);
      else this.#serviceWhy.set(id, outcome.why);
    } else this.#state.dirty.tasks.delete(id);
    if (outcome.why !== undefined) this.#log.debug({ item, why: outcome.why }, 'cannot be allocated yet');
  }

  /** @returns the plans that were written; the others have met a newer state or failed, and the round ends. */
  async #write<P>(
    plans: readonly P[],
    idOf: (plan: P) => string,
    write: (tx: WriteTx, plan: P) => boolean,
  ): Promise<Set<P>> {
    const fresh = new Map<P, boolean>();
    const options = { actor: 'allocator' } as const;
    const failures = await updateInBatches(this.#store, plans, (tx, plan) => fresh.set(plan, write(tx, plan)), options);
    for (const { item } of failures) fresh.set(item, false);
    const [failure] = failures;
    if (failure !== undefined) {
      const fields = { items: failures.map(({ item }) => idOf(item)).slice(0, 10), error: messageOf(failure.error) };
      this.#log.warn(fields, 'allocations not written, will retry');
    }
    const written = new Set(plans.filter((plan) => fresh.get(plan) === true));
    if (written.size < plans.length) this.#failed = true;
    return written;
  }
}

function poolsOf(tx: ReadTx): AddressPools {
  for (const { DefaultAddrPool: pools, SubnetSize: subnetSize } of tx.all('clusters')) {
    return {
      pools: pools.length > 0 ? pools : DEFAULT_POOLS.pools,
      subnetSize: subnetSize || DEFAULT_POOLS.subnetSize,
    };
  }
  return DEFAULT_POOLS;
}

function writeNetwork(tx: WriteTx, plan: NetworkPlan): boolean {
  const network = tx.get('networks', plan.network.ID);
  if (network?.Version.Index !== plan.network.Version.Index) return false;
  tx.update('networks', {
    ...network,
    ...('error' in plan ? { AllocationError: plan.error } : { Allocated: plan.allocated }),
  });
  return true;
}

function writeService(tx: WriteTx, plan: ServicePlan): boolean {
  const service = tx.get('services', plan.service.ID);
  if (service?.Version.Index !== plan.service.Version.Index) return false;
  tx.update('services', { ...service, Endpoint: plan.endpoint });
  return true;
}

function writeTask(tx: WriteTx, plan: TaskPlan, timestamp: string): boolean {
  const task = tx.get('tasks', plan.task.ID);
  if (task?.Version.Index !== plan.task.Version.Index) return false;
  if ('why' in plan) {
    tx.update('tasks', { ...task, Status: { ...task.Status, Timestamp: timestamp, Err: plan.why } });
    return true;
  }
  tx.update('tasks', {
    ...task,
    NetworksAttachments: plan.attachments,
    ...(plan.endpoint === undefined ? {} : { Endpoint: plan.endpoint }),
    Status: { Timestamp: timestamp, State: 'pending', Message: ALLOCATED },
  });
  return true;
}
