import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { FileTable } from '../../storage/file-table.ts';
import type { AddressLeases } from '../assigned-network.ts';
import { DurableRows } from '../durable-rows.ts';
import { subnetOf } from '../network-facts.ts';
import { withoutPrefix } from '../overlay/address.ts';
import type { NetworkFacts } from '../overlay/overlay-state.ts';

const UNCLAIMED_MS = 60_000;
const SWEEP_MS = 10_000;
/** A container start must not hang on a manager that does not answer. */
const ALLOCATE_TIMEOUT_MS = 10_000;

/** An address that the manager leased to this node. */
export interface Lease {
  networkId: string;
  /** CIDR. */
  address: string;
  reference: string;
  /** Milliseconds since the epoch. */
  leasedAt: number;
  /** Set once CreateEndpoint has come for it. */
  endpointId?: string;
}

export interface LeaseBookModules {
  leases: AddressLeases;
  /** Makes a reference that no other request of this node has had. */
  newReference(): string;
  clock: Clock;
  log: Log;
}

/**
 * The leased addresses of this node, on disk. An address that no endpoint claims within 60 s is given back: the engine
 * has failed between asking for it and using it.
 */
export class LeaseBook {
  readonly #rows: DurableRows<Lease>;
  readonly #modules: LeaseBookModules;
  readonly #log: Log;
  /** References under which an address is being asked for. */
  readonly #asked = new Set<string>();
  #cancelSweep: CancelTimer | undefined;

  constructor(table: FileTable<Lease>, modules: LeaseBookModules) {
    this.#rows = new DurableRows(table, modules);
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/ipam' });
  }

  async open(): Promise<void> {
    await this.#rows.open();
    this.#scheduleSweep();
  }

  close(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    this.#rows.close();
  }

  find(networkId: string, address: string): Lease | undefined {
    return this.#rows.get(keyOf(networkId, address));
  }

  all(): Lease[] {
    return [...this.#rows.values()];
  }

  /** True for a lease that is in the book, or that is being asked for. */
  knows(reference: string): boolean {
    return this.#asked.has(reference) || this.all().some((lease) => lease.reference === reference);
  }

  /**
   * Leases an address, any of the network's IPv4 or IPv6 ones, or this very one. @returns CIDR.
   * @throws WaggleError as AddressLeases does; deadline-exceeded after 10 s.
   */
  async allocate(network: NetworkFacts, address: string | undefined, ipv6 = false): Promise<string> {
    const reference = this.#modules.newReference();
    this.#asked.add(reference);
    try {
      return await this.#lease(network, reference, address, ipv6);
    } finally {
      this.#asked.delete(reference);
    }
  }

  async #lease(network: NetworkFacts, reference: string, address: string | undefined, ipv6: boolean): Promise<string> {
    const { networkId } = network;
    const leased = await this.#allocateInTime(
      this.#modules.leases.allocate(networkId, address, reference, ipv6),
      networkId,
    );
    if (subnetOf(network, withoutPrefix(leased)) === undefined) {
      this.#modules.leases.release(networkId, withoutPrefix(leased));
      throw new WaggleError('internal', `the manager gave ${leased}, which is in no subnet of the network`);
    }
    const lease: Lease = { networkId, address: leased, reference, leasedAt: this.#modules.clock.now() };
    try {
      await this.#rows.put(keyOf(networkId, leased), lease);
    } catch (error) {
      this.#modules.leases.release(networkId, withoutPrefix(leased));
      throw error;
    }
    return leased;
  }

  /** @returns the lease's reference; undefined for an address that is none of ours, such as a task's. */
  async claim(networkId: string, address: string, endpointId: string): Promise<string | undefined> {
    const lease = this.find(networkId, address);
    if (lease === undefined) return undefined;
    await this.#rows.put(keyOf(networkId, address), { ...lease, endpointId });
    return lease.reference;
  }

  /** Gives an address back, whether or not it is in the book. */
  release(networkId: string, address: string): void {
    this.#rows.delete(keyOf(networkId, address));
    this.#modules.leases.release(networkId, withoutPrefix(address));
  }

  /** As AddressLeases tells. */
  untilReleased(networkId: string, address: string): Promise<void> {
    return this.#modules.leases.untilReleased(networkId, withoutPrefix(address));
  }

  async #allocateInTime(answer: Promise<string>, networkId: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let late = false;
      const cancel = this.#modules.clock.after(ALLOCATE_TIMEOUT_MS, () => {
        late = true;
        reject(new WaggleError('deadline-exceeded', 'no manager has given an address in time'));
      });
      answer.then(
        (leased) => {
          cancel();
          if (late) this.#modules.leases.release(networkId, withoutPrefix(leased));
          else resolve(leased);
        },
        (error: unknown) => {
          cancel();
          reject(error instanceof Error ? error : new WaggleError('unknown', String(error)));
        },
      );
    });
  }

  #scheduleSweep(): void {
    this.#cancelSweep = this.#modules.clock.after(SWEEP_MS, () => {
      const now = this.#modules.clock.now();
      for (const lease of this.all()) {
        if (lease.endpointId !== undefined || now - lease.leasedAt < UNCLAIMED_MS) continue;
        this.#log.info(
          { network: lease.networkId, address: lease.address },
          'giving back an address that was not used',
        );
        this.release(lease.networkId, lease.address);
      }
      this.#scheduleSweep();
    });
  }
}

function keyOf(networkId: string, address: string): string {
  return `${networkId} ${withoutPrefix(address)}`;
}
