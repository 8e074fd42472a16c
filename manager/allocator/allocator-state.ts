import { clusterPortsOf } from '../../proto/objects/endpoint.ts';
import type { AttachmentObject, NetworkObject } from '../../proto/objects/network.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { compareTaskStates, isTerminal } from '../../proto/objects/task-state.ts';
import type { ReadTx, StoreEvent } from '../store/transaction.ts';
import { AddressBook, type Holding } from './address-book.ts';
import { NetworkBook } from './network-book.ts';
import { auditPorts, type PortAudit } from './port-audit.ts';
import { PortBook } from './port-book.ts';
import { WaitingList } from './waiting-list.ts';

/** An address that two rows of the store have. */
export interface DuplicateAddress {
  networkId: string;
  address: string;
  owner: string;
  other: string;
}

/** True for a task that the allocator has yet to finish. */
export function needsAllocation(task: TaskObject): boolean {
  return task.Status.State === 'new' && compareTaskStates(task.DesiredState, 'complete') <= 0;
}

/**
 * Everything the allocator knows: who holds what, and what is yet to be done. Items are named `network/ID`,
 * `service/ID`, `task/ID`, `attachment/ID`, which are also the names of holders in the address book. Pure.
 */
export class AllocatorState {
  readonly addresses = new AddressBook();
  readonly networks = new NetworkBook();
  readonly ports = new PortBook();
  readonly waiting = new WaitingList();
  readonly dirty = { networks: new Set<string>(), services: new Set<string>(), tasks: new Set<string>() };
  #loaded = false;

  constructor() {
    this.addresses.onFree((networkId) => this.wake(`network/${networkId}`));
  }

  /**
   * Takes over committed state and marks what is unfinished. What was reserved and not yet committed stays reserved as
   * long as its holder may still want it. @returns addresses that two holders have; the lower ID keeps them.
   */
  load(tx: ReadTx): DuplicateAddress[] {
    this.waiting.clear();
    for (const set of Object.values(this.dirty)) set.clear();
    this.#loadNetworks(tx);
    this.#loadPorts(tx);
    const duplicates = this.#loadAddresses(tx);
    if (!this.#loaded) this.addresses.resumeAfterHighest();
    this.#loaded = true;
    for (const service of tx.all('services')) this.dirty.services.add(service.ID);
    for (const task of tx.all('tasks')) if (needsAllocation(task)) this.dirty.tasks.add(task.ID);
    return duplicates;
  }

  observe(events: readonly StoreEvent[]): void {
    for (const event of events) {
      if (event.table === 'networks') this.#observeNetwork(event.before, event.after);
      else if (event.table === 'services') this.#observeService(event.before, event.after);
      else if (event.table === 'tasks') this.#observeTask(event.before, event.after);
      else if (event.table === 'attachments') this.#observeAttachment(event.before, event.after);
    }
  }

  /** Compares the ports with committed state; services that have to give one up, or may get one now, are looked at again. */
  auditPorts(tx: ReadTx): PortAudit {
    const audit = auditPorts(tx, this.ports, this.dirty.services);
    if (audit.released.length > 0) this.wake('ports');
    for (const { other } of audit.duplicates) if (!this.waiting.has(`service/${other}`)) this.dirty.services.add(other);
    return audit;
  }

  /** Something happened that others wait for: they are to be looked at again. */
  wake(key: string): void {
    for (const item of this.waiting.wake(key)) {
      const [kind, id = ''] = item.split('/');
      if (kind === 'service') this.dirty.services.add(id);
      else this.dirty.tasks.add(id);
    }
  }

  #loadNetworks(tx: ReadTx): void {
    for (const id of new Set([...this.networks.networkIds(), ...this.addresses.networkIds()])) {
      if (tx.get('networks', id) === undefined) this.#dropNetwork(id);
    }
    for (const network of tx.all('networks')) this.#takeNetwork(network);
  }

  #takeNetwork(network: NetworkObject): void {
    if (network.Allocated !== undefined) {
      this.networks.set(network.ID, network.Allocated);
      this.addresses.define(network.ID, network.Allocated.Subnets);
    } else if (network.AllocationError === undefined) {
      this.dirty.networks.add(network.ID);
    }
  }

  #dropNetwork(id: string): void {
    this.dirty.networks.delete(id);
    this.networks.remove(id);
    this.addresses.drop(id);
  }

  #loadPorts(tx: ReadTx): void {
    for (const id of this.ports.services()) this.ports.releaseExcept(id);
    for (const service of [...tx.all('services')].toSorted(byId)) {
      for (const { protocol, port } of clusterPortsOf(service.Endpoint)) this.ports.take(service.ID, protocol, port);
    }
  }

  #loadAddresses(tx: ReadTx): DuplicateAddress[] {
    const reserved = this.addresses.holdings();
    for (const { holder } of reserved) this.addresses.release(holder);
    const duplicates: DuplicateAddress[] = [];
    for (const { holder, networkId, address } of claimsOf(tx)) {
      const owner = this.addresses.claim(networkId, holder, address);
      if (owner !== undefined) duplicates.push({ networkId, address, owner, other: holder });
    }
    for (const { holder, networkId, address } of reserved) {
      if (!this.addresses.holdsLike(networkId, holder, address) && this.#mayYetCommit(tx, holder)) {
        this.addresses.give(networkId, holder, address);
      }
    }
    return duplicates;
  }

  #mayYetCommit(tx: ReadTx, holder: string): boolean {
    const [kind, id = ''] = holder.split('/');
    if (kind === 'service') return tx.get('services', id) !== undefined;
    const task = tx.get('tasks', id);
    return kind === 'task' ? task !== undefined && needsAllocation(task) : this.addresses.isPinned(holder);
  }

  #observeNetwork(before: NetworkObject | undefined, after: NetworkObject | undefined): void {
    const id = (after ?? before)?.ID ?? '';
    this.dirty.networks.delete(id);
    if (after === undefined) this.#dropNetwork(id);
    else this.#takeNetwork(after);
    this.wake(`network/${id}`);
  }

  #observeService(before: ServiceObject | undefined, after: ServiceObject | undefined): void {
    const id = (after ?? before)?.ID ?? '';
    this.waiting.remove(`service/${id}`);
    if (after !== undefined) {
      this.dirty.services.add(id);
      return;
    }
    this.dirty.services.delete(id);
    this.addresses.release(`service/${id}`);
    if (this.ports.releaseExcept(id)) this.wake('ports');
    this.wake(`service/${id}`);
  }

  #observeAttachment(before: AttachmentObject | undefined, after: AttachmentObject | undefined): void {
    const id = (after ?? before)?.ID ?? '';
    if (after === undefined) this.addresses.release(`attachment/${id}`);
    else this.addresses.claim(after.NetworkID, `attachment/${id}`, after.Address);
  }

  #observeTask(before: TaskObject | undefined, after: TaskObject | undefined): void {
    const id = (after ?? before)?.ID ?? '';
    if (after !== undefined && needsAllocation(after)) {
      // One that waits goes on waiting when only its explanation changed.
      if (!this.waiting.has(`task/${id}`)) this.dirty.tasks.add(id);
      return;
    }
    this.dirty.tasks.delete(id);
    this.waiting.remove(`task/${id}`);
    if (after === undefined || isTerminal(after.Status.State)) {
      this.addresses.release(`task/${id}`);
      return;
    }
    if (before?.NetworksAttachments === after.NetworksAttachments) return;
    for (const { networkId, holder, address } of taskClaims(after)) this.addresses.claim(networkId, holder, address);
  }
}

/** Every address that the store says is held, in order of the holders' IDs. */
function claimsOf(tx: ReadTx): Holding[] {
  const claims: (Holding & { ID: string })[] = [];
  for (const task of tx.all('tasks')) {
    if (!isTerminal(task.Status.State)) claims.push(...taskClaims(task).map((claim) => ({ ...claim, ID: task.ID })));
  }
  for (const service of tx.all('services')) {
    for (const { NetworkID: networkId, Addr: address } of service.Endpoint?.VirtualIPs ?? []) {
      claims.push({ ID: service.ID, holder: `service/${service.ID}`, networkId, address });
    }
  }
  for (const { ID, NetworkID: networkId, Address: address } of tx.all('attachments')) {
    claims.push({ ID, holder: `attachment/${ID}`, networkId, address });
  }
  return claims.sort(byId);
}

function taskClaims(task: TaskObject): Holding[] {
  return (task.NetworksAttachments ?? []).flatMap(({ NetworkID: networkId, Addresses }) =>
    Addresses.map((address) => ({ holder: `task/${task.ID}`, networkId, address })),
  );
}

function byId(a: { ID: string }, b: { ID: string }): number {
  if (a.ID === b.ID) return 0;
  return a.ID < b.ID ? -1 : 1;
}
