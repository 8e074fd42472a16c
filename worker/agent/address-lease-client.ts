import path from 'node:path';
import type { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { firstFound } from '../../proto/runtime/first-found.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { AddressLeases } from '../network/assigned-network.ts';
import { FileTable } from '../storage/file-table.ts';

const RPC_TIMEOUT_MS = 5000;
/** How long an allocation waits for a manager, or asks again, as during a change of the leader. */
const PATIENCE_MS = 8000;
const ASK_AGAIN_MS = 200;
/** The engine's removal of a container waits for this. */
const RELEASED_WITHIN_MS = 3000;
const RETRY: BackoffOptions = { minMs: 200, maxMs: 8000, factor: 2, jitter: 0.3 };

export interface HeldAddress {
  networkId: string;
  /** Without prefix length. */
  address: string;
}

type Connection = Pick<ManagerConnection, 'resources'>;

/**
 * AddressLeases over the manager's ResourceAllocator. One call at a time, so that the release of an address can never
 * overtake, or be overtaken by, its next allocation.
 */
export class AddressLeaseClient implements AddressLeases, Startable {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #log: Log;
  readonly #table: FileTable<HeldAddress>;
  /** Not known to the manager yet, by `network/address`. */
  readonly #releases = new Map<string, HeldAddress>();
  readonly #abort = new AbortController();
  /** Told when there is a connection, a release need not be sent any more, or everything stops. */
  readonly #listeners = new Set<() => void>();
  #connection: Connection | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #releasing: Promise<void> | undefined;

  constructor(options: { dataDir: string }, modules: { clock: Clock; random: Random; log: Log }) {
    this.#table = new FileTable(path.join(options.dataDir, 'agent', 'releases'));
    this.#clock = modules.clock;
    this.#random = modules.random;
    this.#log = modules.log;
  }

  async start(): Promise<void> {
    for (const [key, held] of await this.#table.open()) this.#releases.set(key, held);
  }

  async stop(): Promise<void> {
    this.#abort.abort(new WaggleError('unavailable', 'the agent stops'));
    this.attach(undefined);
    this.#announce();
    await this.#releasing;
    await this.#turn.catch(() => undefined);
    await this.#table.settle();
  }

  /** The connection of the present session, if there is one. */
  attach(connection: Connection | undefined): void {
    this.#connection = connection;
    if (connection === undefined) return;
    this.#announce();
    this.#releaseAll();
  }

  async allocate(networkId: string, address: string | undefined, reference: string, ipv6 = false): Promise<string> {
    const deadline = this.#clock.monotonic() + PATIENCE_MS;
    for (;;) {
      await this.#until(() => this.#connection !== undefined, deadline - this.#clock.monotonic());
      try {
        return await this.#allocateNow(networkId, address, reference, ipv6);
      } catch (error) {
        // The same reference gets the same answer, so nothing is given twice.
        const isPassing = error instanceof WaggleError && error.code === 'unavailable' && !this.#abort.signal.aborted;
        if (!isPassing || this.#clock.monotonic() + ASK_AGAIN_MS >= deadline) throw error;
        await sleep(this.#clock, ASK_AGAIN_MS, this.#abort.signal);
      }
    }
  }

  #allocateNow(networkId: string, address: string | undefined, reference: string, ipv6: boolean): Promise<string> {
    return this.#inTurn(async () => {
      // Given back and wanted again: the manager must hear of the one before the other.
      if (address !== undefined) await this.#sendRelease(keyOf(networkId, address));
      const { resources } = this.#manager();
      const request = { networkId, address: address ?? '', reference, ipv6 };
      const answer = await callUnary(resources, resources.allocateAddress, request, this.#options());
      // It is wanted again: a release that has not been sent yet must not be.
      const key = keyOf(networkId, answer.address.split('/')[0] ?? '');
      if (this.#releases.has(key)) await this.#forget(key);
      return answer.address;
    });
  }

  release(networkId: string, address: string): void {
    const key = keyOf(networkId, address);
    const held = { networkId, address };
    this.#releases.set(key, held);
    // Without the file the release is lost only if the daemon dies before a manager has heard of it.
    this.#table.put(key, held).catch((error: unknown) => {
      this.#log.warn({ networkId, address, error: messageOf(error) }, 'release of an address is not on disk');
    });
    this.#releaseAll();
  }

  async untilReleased(networkId: string, address: string): Promise<void> {
    const key = keyOf(networkId, address);
    if (this.#connection !== undefined) await this.#until(() => !this.#releases.has(key), RELEASED_WITHIN_MS);
  }

  /**
   * Tells the manager every address in use, and gives up what it has leased to this node beside these: somebody here has asked for it,
   * and died before it could be used. Waits a while for a manager.
   * @param held asked when its turn has come, and no allocation is under way whose address it would lack.
   * @param isKnown whether a lease with that reference is asked for, or known. @throws WaggleError.
   */
  async report(held: () => readonly HeldAddress[], isKnown: (reference: string) => boolean): Promise<void> {
    await this.#until(() => this.#connection !== undefined, PATIENCE_MS);
    return await this.#inTurn(async () => {
      const { resources } = this.#manager();
      const tell = async (givenUp: string[]): Promise<{ id: string; reference: string }[]> => {
        const request = { held: [...held()], givenUp };
        return (await callUnary(resources, resources.reportAddresses, request, this.#options())).unused;
      };
      const lost = (await tell([])).filter(({ reference }) => !isKnown(reference));
      if (lost.length > 0) await tell(lost.map(({ id }) => id));
    });
  }

  destroy(): Promise<void> {
    return this.#table.destroy();
  }

  #releaseAll(): void {
    if (this.#abort.signal.aborted) return;
    this.#releasing ??= this.#drain().finally(() => {
      this.#releasing = undefined;
      if (this.#releases.size > 0 && this.#connection !== undefined) this.#releaseAll();
    });
  }

  async #drain(): Promise<void> {
    for (let failures = 0; this.#releases.size > 0 && this.#connection !== undefined; ) {
      const [key] = this.#releases.keys();
      if (key === undefined || this.#abort.signal.aborted) return;
      try {
        await this.#inTurn(() => this.#sendRelease(key));
        failures = 0;
      } catch (error) {
        failures++;
        this.#log.debug(
          { error: messageOf(error), failures, releases: this.#releases.size },
          'address not released yet',
        );
        const delay = backoffDelayMs(RETRY, failures, this.#random());
        await sleep(this.#clock, delay, this.#abort.signal).catch(() => undefined);
      }
    }
  }

  async #sendRelease(key: string): Promise<void> {
    const held = this.#releases.get(key);
    if (held === undefined) return;
    const { resources } = this.#manager();
    await callUnary(resources, resources.releaseAddress, held, this.#options());
    // It may have been given back once more meanwhile.
    if (this.#releases.get(key) !== held) return;
    await this.#forget(key);
  }

  /** The manager knows, or need not know any more. */
  async #forget(key: string): Promise<void> {
    this.#releases.delete(key);
    this.#announce();
    await this.#table.delete(key);
  }

  #inTurn<R>(work: () => Promise<R>): Promise<R> {
    const result = this.#turn.then(work, work);
    this.#turn = result.catch(() => undefined);
    return result;
  }

  /** Resolves too when time is up, or this stops. */
  async #until(condition: () => boolean, waitMs: number): Promise<void> {
    const look = (): true | undefined => condition() || this.#abort.signal.aborted || undefined;
    if (look()) return;
    await firstFound({ waitMs: Math.max(0, waitMs), clock: this.#clock }, look, (listener) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    });
  }

  #announce(): void {
    for (const listener of this.#listeners) listener();
  }

  #manager(): Connection {
    if (this.#connection !== undefined) return this.#connection;
    throw new WaggleError('unavailable', 'no manager can be reached to ask for an address');
  }

  #options(): { clock: Clock; timeoutMs: number; signal: AbortSignal } {
    return { clock: this.#clock, timeoutMs: RPC_TIMEOUT_MS, signal: this.#abort.signal };
  }
}

function keyOf(networkId: string, address: string): string {
  return `${networkId}/${address}`;
}
