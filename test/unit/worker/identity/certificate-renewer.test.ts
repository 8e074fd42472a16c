import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { newUnlockKey } from '../../../../proto/objects/unlock-key.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { CertificateRenewer, renewalTimeMs } from '../../../../worker/identity/certificate-renewer.ts';
import type { Identity } from '../../../../worker/identity/identity.ts';
import { IdentityStore } from '../../../../worker/identity/identity-store.ts';
import { joinSwarm } from '../../../../worker/identity/join-swarm.ts';
import { type LoopbackManager, startLoopbackManager, temporaryFolder } from '../../../fixtures/loopback-manager.ts';

/** For what takes a moment here, and longer on a busy machine. */
const WAIT = { timeout: 10_000 };

describe('renewalTimeMs', () => {
  it.each([
    { id: 'earliest', random: 0, at: 150 },
    { id: 'latest', random: 1, at: 180 },
  ])('$id', ({ random, at }) => {
    expect(renewalTimeMs(100, 200, random)).toBe(at);
  });
});

describe('CertificateRenewer', () => {
  let manager: LoopbackManager;
  let disk: { folder: string; remove: () => Promise<void> };
  let store: IdentityStore;
  let identity: Identity;
  let renewer: CertificateRenewer | undefined;
  let addresses: string[];
  /** Asked delays; a renewal that is due runs at once, all else never. */
  let delays: number[];

  beforeEach(async () => {
    manager = await startLoopbackManager({ allowManagers: true });
    disk = await temporaryFolder();
    store = new IdentityStore({ dataDir: disk.folder });
    const modules = { store, clock: systemClock, random: () => 0, log: silentLog };
    const options = { remoteAddrs: [manager.address], availability: 'active' } as const;
    identity = await joinSwarm({ ...options, token: manager.cluster().JoinTokens.Worker }, modules);
    addresses = [manager.address];
    delays = [];
  });
  afterEach(async () => {
    await renewer?.stop();
    await manager.stop();
    await disk.remove();
  });

  async function startAt(now: number): Promise<CertificateRenewer> {
    const clock = {
      now: () => now,
      monotonic: () => now,
      after(delayMs: number, callback: () => void) {
        if (delayMs === 20_000) return () => undefined;
        delays.push(delayMs);
        return delayMs > 0 ? () => undefined : systemClock.after(0, callback);
      },
    };
    const modules = { identity, store, managers: () => addresses, clock, random: () => 0.5, log: silentLog };
    const made = new CertificateRenewer(modules);
    await made.start();
    return made;
  }

  it('sleeps in stretches of a day until it is time', async () => {
    renewer = await startAt(identity.notBefore);
    expect(delays).toEqual([24 * 3_600_000]);
  });

  it('renews what is overdue, durably and for the same node', async () => {
    const { certificate, key } = identity.tls();
    const changed = vi.fn();
    identity.onChange(changed);
    renewer = await startAt(identity.notBefore + (identity.notAfter - identity.notBefore) * 0.66);
    await vi.waitFor(() => expect(changed).toHaveBeenCalledOnce(), WAIT);
    expect(identity.tls().certificate).not.toBe(certificate);
    expect(identity.tls().key).not.toBe(key);
    expect((await store.load())?.tls()).toEqual(identity.tls());
  });

  it('replaces at once a key that was on the disk without its lock, and keeps the new one under it', async () => {
    await manager.store.update((tx) => {
      const node = tx.get('nodes', identity.nodeId);
      if (node !== undefined) tx.update('nodes', { ...node, Spec: { ...node.Spec, Role: 'manager' } });
    });
    renewer = await startAt(identity.notBefore);
    renewer.renewNow();
    await vi.waitFor(() => expect(identity.role).toBe('manager'), WAIT);
    const { key } = identity.tls();
    const unlockKey = newUnlockKey((size) => new Uint8Array(size));
    await store.relock({ key: unlockKey, version: Number.MAX_SAFE_INTEGER });
    await vi.waitFor(() => expect(identity.tls().key).not.toBe(key), WAIT);
    expect(store.renewalDue).toBe(false);
    const again = new IdentityStore({ dataDir: disk.folder });
    expect((await again.load())?.isLocked).toBe(true);
    expect(await again.unlock(unlockKey)).toEqual(identity.tls());
  });

  it('takes a new role at once', async () => {
    renewer = await startAt(identity.notBefore);
    await manager.store.update((tx) => {
      const node = tx.get('nodes', identity.nodeId);
      if (node !== undefined) tx.update('nodes', { ...node, Spec: { ...node.Spec, Role: 'manager' } });
    });
    renewer.renewNow();
    renewer.renewNow();
    await vi.waitFor(() => expect(identity.role).toBe('manager'), WAIT);
    expect((await store.load())?.role).toBe('manager');
  });

  it('tries again after 5 s while no manager answers, and keeps the certificate', async () => {
    const before = identity.tls();
    addresses = [];
    renewer = await startAt(identity.notAfter - 1000);
    await vi.waitFor(() => expect(delays).toHaveLength(2), WAIT);
    expect(delays[1]).toBe(4500);
    expect(identity.tls()).toBe(before);
  });
});
