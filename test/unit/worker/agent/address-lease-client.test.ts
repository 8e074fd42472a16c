import type { ServiceError } from '@grpc/grpc-js';
import { readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AttachmentAllocator } from '../../../../manager/dispatcher/attachment-allocator.ts';
import { ManagerConnection } from '../../../../proto/rpc/manager-connection.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { AddressLeaseClient } from '../../../../worker/agent/address-lease-client.ts';
import { hastenedClock } from '../../../fixtures/hastened-clock.ts';
import { type LoopbackManager, startLoopbackManager, temporaryFolder } from '../../../fixtures/loopback-manager.ts';

const hurried = hastenedClock(8);

/** Leases of one network, and faults. */
class FakeAllocator implements AttachmentAllocator {
  readonly held = new Map<string, string>();
  failures = 0;
  /** Allocations that are made while their answer is lost. */
  lost = 0;
  #next = 2;
  allocate(_node: string, _network: string, address: string | undefined, reference: string): Promise<string> {
    const holder = address === undefined ? undefined : this.held.get(address);
    if (address === '10.0.1.1' || (holder !== undefined && holder !== reference))
      return Promise.reject(new WaggleError('already-exists', 'Address already in use'));
    const known = [...this.held].find(([, holder]) => holder === reference)?.[0];
    const given = known ?? address ?? `10.0.1.${this.#next++}`;
    this.held.set(given, reference);
    if (this.lost-- > 0) return Promise.reject(new WaggleError('unavailable', 'the leader changed'));
    return Promise.resolve(`${given}/24`);
  }
  release(_node: string, _network: string, address: string): Promise<void> {
    if (this.failures-- > 0) return Promise.reject(new WaggleError('unavailable', 'no quorum'));
    this.held.delete(address);
    return Promise.resolve();
  }
  report(
    _node: string,
    held: readonly { address: string }[],
    givenUp: readonly string[],
  ): ReturnType<AttachmentAllocator['report']> {
    const kept = new Set(held.map((one) => one.address));
    const unused = [...this.held].filter(([address]) => !kept.has(address));
    for (const [address] of unused) if (givenUp.includes(`id of ${address}`)) this.held.delete(address);
    return Promise.resolve(unused.map(([address, reference]) => ({ ID: `id of ${address}`, Reference: reference })));
  }
}

const nobodys = (): boolean => false;

describe('AddressLeaseClient', () => {
  let allocator: FakeAllocator;
  let manager: LoopbackManager;
  let connection: ManagerConnection;
  let disk: { folder: string; remove: () => Promise<void> };
  let leases: AddressLeaseClient;
  beforeEach(async () => {
    allocator = new FakeAllocator();
    manager = await startLoopbackManager({ allocator });
    connection = new ManagerConnection(manager.address, manager.identity.tls());
    // Its handshake is not to be hurried.
    await new Promise<void>((resolve, reject) =>
      connection.resources.waitForReady(new Date(systemClock.now() + 10_000), (error) =>
        error === undefined ? resolve() : reject(error),
      ),
    );
    disk = await temporaryFolder();
    leases = newLeases();
    await leases.start();
  });
  afterEach(async () => {
    await leases.stop();
    connection.close();
    await manager.stop();
    await disk.remove();
  });
  const newLeases = (): AddressLeaseClient =>
    new AddressLeaseClient({ dataDir: disk.folder }, { clock: hurried, random: () => 0, log: silentLog });
  const eventually = (check: () => void | Promise<void>): Promise<void> =>
    vi.waitFor(check, { timeout: 10_000, interval: 2 });

  it('gives the same address for the same reference, and passes errors on', async () => {
    leases.attach(connection);
    expect(await leases.allocate('n', undefined, 'r1')).toBe('10.0.1.2/24');
    expect(await leases.allocate('n', undefined, 'r1')).toBe('10.0.1.2/24');
    const taken = leases.allocate('n', '10.0.1.1', 'r2');
    await expect(taken).rejects.toMatchObject({ code: 'already-exists', message: 'Address already in use' });
    expect(((await taken.catch((error: Error) => error)) as Error).cause as ServiceError).toBeDefined();
  });

  it('says so when no manager can be reached, and waits a little for one', async () => {
    await expect(leases.allocate('n', undefined, 'r1')).rejects.toMatchObject({ code: 'unavailable' });
    const waiting = leases.allocate('n', undefined, 'r1');
    leases.attach(connection);
    expect(await waiting).toBe('10.0.1.2/24');
  });

  it('asks again while managers change, and has one address for it', async () => {
    leases.attach(connection);
    allocator.lost = 3;
    expect(await leases.allocate('n', undefined, 'r1')).toBe('10.0.1.2/24');
    expect([...allocator.held]).toEqual([['10.0.1.2', 'r1']]);
    allocator.lost = Number.POSITIVE_INFINITY;
    await expect(leases.allocate('n', undefined, 'r2')).rejects.toMatchObject({ code: 'unavailable' });
  });

  it('releases until the manager knows, over a restart too', async () => {
    allocator.held.set('10.0.1.9', 'old');
    leases.release('n', '10.0.1.9');
    await eventually(async () => {
      expect(await readdir(`${disk.folder}/agent/releases`)).toEqual(['n%2F10.0.1.9.json']);
    });
    await leases.stop();
    leases = newLeases();
    await leases.start();
    allocator.failures = 3;
    leases.attach(connection);
    await eventually(() => expect(allocator.held.size).toBe(0));
    await eventually(async () => expect(await readdir(`${disk.folder}/agent/releases`)).toEqual([]));
  });

  it('tells when a release is known', async () => {
    leases.attach(connection);
    await leases.allocate('n', '10.0.1.7', 'r1');
    allocator.failures = 2;
    leases.release('n', '10.0.1.7');
    await leases.untilReleased('n', '10.0.1.7');
    expect(allocator.held.size).toBe(0);
    await leases.untilReleased('n', '10.0.1.7');
  });

  it.each([
    { id: 'nobody can be told', failures: 0, isAttached: false },
    { id: 'nobody takes it for long', failures: Number.POSITIVE_INFINITY, isAttached: true },
  ])('lets nobody wait for a release that $id', async ({ failures, isAttached }) => {
    allocator.held.set('10.0.1.7', 'r1');
    allocator.failures = failures;
    if (isAttached) leases.attach(connection);
    leases.release('n', '10.0.1.7');
    await leases.untilReleased('n', '10.0.1.7');
    expect([...allocator.held]).toEqual([['10.0.1.7', 'r1']]);
  });

  it('lets nobody wait for a release any more that is not wanted, or when it stops', async () => {
    allocator.failures = Number.POSITIVE_INFINITY;
    leases.attach(connection);
    leases.release('n', '10.0.1.7');
    const waiting = leases.untilReleased('n', '10.0.1.7');
    await leases.stop();
    await waiting;
    await leases.untilReleased('n', '10.0.1.7');
  });

  it('asks what is held when it is to tell it, and no allocation is under way', async () => {
    leases.attach(connection);
    const allocation = leases.allocate('n', '10.0.1.7', 'r1');
    await new Promise(setImmediate);
    let given: string[] = [];
    await leases.report(() => {
      given = [...allocator.held.keys()];
      return given.map((address) => ({ networkId: 'n', address }));
    }, nobodys);
    await allocation;
    expect(given).toEqual(['10.0.1.7']);
  });

  it('gives up what it does not hold and nobody here has asked for', async () => {
    for (const [address, reference] of [
      ['10.0.1.7', 'held'],
      ['10.0.1.8', 'asked'],
      ['10.0.1.9', 'lost'],
    ] as const)
      allocator.held.set(address, reference);
    const held = [{ networkId: 'n', address: '10.0.1.7' }];
    const report = leases.report(
      () => held,
      (reference) => reference === 'asked',
    );
    // It is said when there is somebody to be told.
    leases.attach(connection);
    await report;
    expect([...allocator.held.values()]).toEqual(['held', 'asked']);
  });

  it('gives up nothing that is in use by the time of giving up', async () => {
    leases.attach(connection);
    allocator.held.set('10.0.1.9', 'found later');
    let looks = 0;
    const held = (): { networkId: string; address: string }[] =>
      looks++ === 0 ? [] : [{ networkId: 'n', address: '10.0.1.9' }];
    await leases.report(held, nobodys);
    expect([looks, allocator.held.size]).toEqual([2, 1]);
  });

  it('has stopped only when a release is on the disk', async () => {
    leases.release('n', '10.0.1.9');
    await leases.stop();
    expect(await readdir(`${disk.folder}/agent/releases`)).toEqual(['n%2F10.0.1.9.json']);
  });

  it('has an address released before it asks for it again', async () => {
    leases.attach(connection);
    await leases.allocate('n', '10.0.1.7', 'r1');
    leases.attach(undefined);
    leases.release('n', '10.0.1.8');
    leases.release('n', '10.0.1.7');
    const again = leases.allocate('n', '10.0.1.7', 'r2');
    allocator.failures = 1;
    leases.attach(connection);
    expect(await again).toBe('10.0.1.7/24');
    await eventually(() => expect([...allocator.held]).toEqual([['10.0.1.7', 'r2']]));
  });

  it('never lets an old release take away a new lease of the same address', async () => {
    leases.attach(connection);
    await leases.allocate('n', '10.0.1.7', 'r1');
    leases.release('n', '10.0.1.7');
    await leases.allocate('n', '10.0.1.7', 'r2');
    await leases.report(() => [{ networkId: 'n', address: '10.0.1.7' }], nobodys);
    // Whatever was to be released before it is by then.
    allocator.held.set('10.0.1.8', 'old');
    leases.release('n', '10.0.1.8');
    await eventually(() => expect([...allocator.held]).toEqual([['10.0.1.7', 'r2']]));
  });
});
