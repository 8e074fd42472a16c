import { newId } from '../../proto/objects/naming.ts';
import type { AttachmentObject, NetworkObject } from '../../proto/objects/network.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { updateInBatches } from '../store/batched-update.ts';
import type { ReadTx, Store } from '../store/transaction.ts';

export type LeaseGrant =
  | { ok: true /** CIDR. */; address: string }
  | { ok: false; reason: 'unknown-network' | 'malformed' | 'out-of-range' | 'taken' | 'exhausted' };

/** The live record of who holds which address: the allocator's, so that nothing is given twice. Synchronous. */
export interface AddressLedger {
  /** The same holder gets the same address again. */
  give(networkId: string, holder: string, wanted?: string, family?: 4 | 6): LeaseGrant;
  release(holder: string): void;
  /** A pinned holder keeps its address while its row is not yet in the store. */
  pin(holder: string): void;
  unpin(holder: string): void;
}

export interface AllocateRequest {
  nodeId: string;
  networkId: string;
  /** This very address, with or without prefix length; any when absent or empty. */
  address?: string;
  /** Any of the IPv6 subnets, where no address is asked for. */
  ipv6?: boolean;
  reference: string;
}

/** What a node says of the addresses that it has leased. */
export interface AddressReport {
  nodeId: string;
  /** Really in use, with or without prefix length; others than leased ones do no harm. */
  held: readonly { networkId: string; address: string }[];
  /** IDs of leases that an earlier report has called unused. */
  givenUp: readonly string[];
}

/** An address reserved for a row whose fate is unknown, or that is just being written. */
interface Reservation {
  id: string;
  networkId: string;
  sinceMs: number;
  writing?: Promise<string>;
}

/** A proposal whose outcome is unknown may still be committed for this long. */
const UNKNOWN_OUTCOME_MS = 60_000;

/**
 * Addresses for containers that are not tasks: rows of `attachments`, chosen from the allocator's ledger. Used on the
 * leader only, after the allocator was started.
 */
export class AttachmentAllocator {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #addresses: AddressLedger;
  readonly #reservations = new Map<string, Reservation>();

  constructor(
    _options: Record<string, never>,
    modules: { store: Store; clock: Clock; log: Log; addresses: AddressLedger },
  ) {
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'manager/resourceapi' });
    this.#addresses = modules.addresses;
  }

  /**
   * Resolves with the address (CIDR) once it is committed. The same node and reference get the same answer, also
   * while the first request is under way.
   * @throws WaggleError not-found, permission-denied (not attachable), failed-precondition (network without subnet),
   * invalid-argument, out-of-range (none left, or not of the network), already-exists (taken), or what the store throws.
   */
  async allocate(request: AllocateRequest): Promise<string> {
    this.#sweep();
    const held = this.#store.view((tx) => findLease(tx, request));
    if (held !== undefined) return held.Address;
    this.#store.view((tx) => attachable(tx, request.networkId));
    const key = `${request.nodeId}/${request.networkId}/${request.reference}`;
    const reservation = this.#reservations.get(key) ?? {
      id: newId(),
      networkId: request.networkId,
      sinceMs: this.#clock.monotonic(),
    };
    reservation.writing ??= this.#lease(key, reservation, request);
    return await reservation.writing;
  }

  /** Resolves once the lease is gone. An address that this node does not hold is no error. */
  async release(request: { nodeId: string; networkId: string; address: string }): Promise<void> {
    const wanted = bare(request.address);
    await this.#remove((tx) =>
      tx
        .find('attachments', 'node', request.nodeId)
        .filter((row) => row.NetworkID === request.networkId && bare(row.Address) === wanted),
    );
  }

  /**
   * Compares the node's leases with what its engine really uses. Those that are not in use and that the node has given up are removed:
   * by their IDs, so that a report that comes late cannot take what was leased after it. @returns the others that are not in use;
   * only the node can tell whether they are on their way to it, or were lost with a daemon that asked for them.
   */
  async report(request: AddressReport): Promise<AttachmentObject[]> {
    this.#sweep();
    const held = new Set(request.held.map(({ networkId, address }) => `${networkId}/${bare(address)}`));
    const givenUp = new Set(request.givenUp);
    const unused = (tx: ReadTx): AttachmentObject[] =>
      tx
        .find('attachments', 'node', request.nodeId)
        .filter((row) => !held.has(`${row.NetworkID}/${bare(row.Address)}`));
    const removed = givenUp.size === 0 ? 0 : await this.#remove((tx) => unused(tx).filter(({ ID }) => givenUp.has(ID)));
    if (removed > 0) this.#log.info({ node: request.nodeId, leases: removed }, 'leases not in use released');
    return this.#store.view(unused);
  }

  /** Reserves before it proposes; synchronous up to the proposal. */
  async #lease(key: string, reservation: Reservation, request: AllocateRequest): Promise<string> {
    const holder = `attachment/${reservation.id}`;
    // One whose outcome is unknown is tried again as it was: it may already be in the log.
    const wanted = this.#reservations.has(key) ? '' : (request.address ?? '');
    const family = request.ipv6 === true ? 6 : 4;
    const grant = this.#addresses.give(request.networkId, holder, wanted === '' ? undefined : wanted, family);
    if (!grant.ok) throw refusal(grant.reason, request);
    this.#addresses.pin(holder);
    this.#reservations.set(key, reservation);
    try {
      const address = await this.#store.update((tx) => {
        const other = findLease(tx, request);
        if (other !== undefined) return other.Address;
        attachable(tx, request.networkId);
        const { nodeId: NodeID, networkId: NetworkID, reference: Reference } = request;
        tx.create('attachments', { ID: reservation.id, NetworkID, NodeID, Address: grant.address, Reference });
        return grant.address;
      });
      this.#settle(key, reservation, address === grant.address);
      return address;
    } catch (error) {
      delete reservation.writing;
      reservation.sinceMs = this.#clock.monotonic();
      if (!outcomeUnknown(error)) this.#settle(key, reservation, false);
      throw error;
    }
  }

  /** The row is in the store, or never will be. */
  #settle(key: string, reservation: Reservation, committed: boolean): void {
    const holder = `attachment/${reservation.id}`;
    this.#reservations.delete(key);
    this.#addresses.unpin(holder);
    if (!committed) this.#addresses.release(holder);
  }

  /** Gives up reservations whose proposal cannot be committed any more. */
  #sweep(): void {
    const oldest = this.#clock.monotonic() - UNKNOWN_OUTCOME_MS;
    for (const [key, reservation] of this.#reservations) {
      if (reservation.writing !== undefined || reservation.sinceMs > oldest) continue;
      const committed = this.#store.view((tx) => tx.get('attachments', reservation.id) !== undefined);
      this.#settle(key, reservation, committed);
    }
  }

  async #remove(choose: (tx: ReadTx) => readonly AttachmentObject[]): Promise<number> {
    const rows = this.#store.view(choose);
    const failures = await updateInBatches(this.#store, rows, (tx, row) => {
      if (tx.get('attachments', row.ID) !== undefined) tx.remove('attachments', row.ID);
    });
    const failed = new Set(failures.map(({ item }) => item.ID));
    for (const { ID } of rows) if (!failed.has(ID)) this.#addresses.release(`attachment/${ID}`);
    const [failure] = failures;
    if (failure !== undefined) throw failure.error;
    return rows.length;
  }
}

function findLease(tx: ReadTx, request: AllocateRequest): AttachmentObject | undefined {
  return tx
    .find('attachments', 'reference', request.reference)
    .find((row) => row.NodeID === request.nodeId && row.NetworkID === request.networkId);
}

function attachable(tx: ReadTx, networkId: string): NetworkObject {
  const network = tx.get('networks', networkId);
  if (network === undefined) throw new WaggleError('not-found', `network ${networkId} not found`);
  if (network.Spec.Attachable !== true) {
    throw new WaggleError('permission-denied', `network ${networkId} not manually attachable`);
  }
  if (network.AllocationError !== undefined) throw new WaggleError('failed-precondition', network.AllocationError);
  if (network.Allocated === undefined) throw new WaggleError('unavailable', `network ${networkId} has no subnet yet`);
  return network;
}

function refusal(reason: Exclude<LeaseGrant, { ok: true }>['reason'], request: AllocateRequest): WaggleError {
  switch (reason) {
    case 'unknown-network':
      return new WaggleError('unavailable', `network ${request.networkId} has no subnet yet`);
    case 'malformed':
      return new WaggleError('invalid-argument', `invalid IP address: ${request.address ?? ''}`);
    case 'out-of-range':
      return new WaggleError('out-of-range', 'Requested address is out of range');
    case 'taken':
      return new WaggleError('already-exists', 'Address already in use');
    case 'exhausted':
      return new WaggleError('out-of-range', 'could not find an available IP');
  }
}

/** True when the proposal may yet be committed, whatever was thrown. */
function outcomeUnknown(error: unknown): boolean {
  return !(error instanceof WaggleError) || error.code === 'unavailable' || error.code === 'deadline-exceeded';
}

function bare(address: string): string {
  return address.split('/')[0] ?? address;
}
