import { createPublicKey, X509Certificate } from 'node:crypto';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CertificateAuthority } from '../../../../manager/ca/certificate-authority.ts';
import { ClusterMembership } from '../../../../manager/ca/cluster-membership.ts';
import { initCluster, type NewCluster, storeNewCluster } from '../../../../manager/ca/init-cluster.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { Caller } from '../../../../proto/rpc/caller.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { createCertificateRequest } from '../../../../worker/identity/certificate-request.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

describe('CertificateAuthority', () => {
  const clock = new VirtualClock();
  let created: NewCluster;
  let store: StateStore;
  beforeAll(async () => {
    created = await initCluster({ managerAddress: '10.0.0.1:2377' }, { clock });
  });
  beforeEach(async () => {
    store = memoryStore({ clock });
    await storeNewCluster(store, created);
  });

  const authority = (allowManagers = false): CertificateAuthority =>
    new CertificateAuthority({ allowManagers }, { store, clock, log: silentLog });
  const request = (token = '', csr = createCertificateRequest().csr, availability = 'active') => ({
    csr: Buffer.from(csr),
    token,
    availability,
  });
  const callerOf = (nodeId: string): Caller => ({ nodeId, role: 'worker', clusterId: created.cluster.ID });
  const node = (id: string): NodeObject | undefined => store.view((tx) => tx.get('nodes', id));
  const change = (id: string, changes: Partial<NodeObject>): Promise<void> =>
    store.update((tx) => {
      const present = tx.get('nodes', id);
      if (present !== undefined) tx.update('nodes', { ...present, ...changes });
    });

  it("leaves Docker's defaults where the spec has zeros, as the docker CLI sends them", async () => {
    const Raft = { SnapshotInterval: 7, KeepOldSnapshots: 0, ElectionTick: 0, HeartbeatTick: 0 };
    const { cluster } = await initCluster({ managerAddress: '10.0.0.1:2377', spec: { Raft } }, { clock });
    expect(cluster.Spec.Raft).toEqual({
      SnapshotInterval: 7,
      KeepOldSnapshots: 0,
      LogEntriesForSlowFollowers: 500,
      ElectionTick: 10,
      HeartbeatTick: 1,
    });
  });

  it('tells a manager what to lock its keys with, and nobody else', async () => {
    await store.update((tx) => {
      for (const cluster of [...tx.all('clusters')]) tx.update('clusters', { ...cluster, UnlockKey: 'SWMKEY-1-x' });
    });
    const cluster = store.view((tx) => [...tx.all('clusters')][0]);
    const tokens = created.cluster.JoinTokens;
    const issued = await authority(true).issue(request(tokens.Manager), undefined);
    expect(issued.lock).toEqual({ key: 'SWMKEY-1-x', version: cluster?.Version.Index });
    expect(await authority(true).issue(request(tokens.Worker), undefined)).not.toHaveProperty('lock');
    const { nodeId } = issued;
    await change(nodeId, { Spec: { Role: 'worker', Availability: 'active' } });
    expect(await authority(true).issue(request(), callerOf(nodeId))).not.toHaveProperty('lock');
  });

  it('makes a swarm as Docker does', () => {
    expect(created.cluster).toMatchObject({
      Spec: {
        Name: 'default',
        Orchestration: { TaskHistoryRetentionLimit: 5 },
        Dispatcher: { HeartbeatPeriod: 5e9 },
        CAConfig: { NodeCertExpiry: 7776e12 },
        EncryptionConfig: { AutoLockManagers: false },
      },
      DefaultAddrPool: ['10.0.0.0/8'],
      SubnetSize: 24,
      DataPathPort: 4789,
      RemovedNodes: [],
    });
    const root = new X509Certificate(created.material.root);
    expect(root.subject).toBe('CN=swarm-ca');
    expect(root.ca).toBe(true);
    expect(createPublicKey(root.publicKey.export({ type: 'spki', format: 'pem' })).asymmetricKeyDetails).toEqual({
      namedCurve: 'prime256v1',
    });
    expect(Date.parse(root.validTo)).toBe(clock.now() + 20 * 365 * DAY_MS);
    expect(Buffer.from(created.cluster.Keys[0]?.Key ?? '', 'base64')).toHaveLength(16);
  });

  it('writes a new swarm once only', async () => {
    await storeNewCluster(store, { ...created, node: { ...created.node, ID: 'other' } });
    expect(store.view((tx) => [tx.count('clusters'), tx.count('nodes')])).toEqual([1, 1]);
  });

  it('sets subject, names and life of a certificate itself', async () => {
    const issued = await authority().issue(request(created.cluster.JoinTokens.Worker), undefined);
    const certificate = new X509Certificate(issued.certificate);
    expect(certificate.subject.split('\n').toSorted()).toEqual(
      [`CN=${issued.nodeId}`, `O=${created.cluster.ID}`, 'OU=swarm-worker'].toSorted(),
    );
    expect(certificate.subjectAltName).toBe(`DNS:swarm-worker, DNS:${issued.nodeId}`);
    expect(Date.parse(certificate.validFrom)).toBe(clock.now() - HOUR_MS);
    expect(Date.parse(certificate.validTo)).toBe(clock.now() + 90 * DAY_MS);
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(new X509Certificate(created.material.root).publicKey)).toBe(true);
    expect(new X509Certificate(created.material.certificate).subjectAltName).toContain('DNS:swarm-manager, ');
  });

  it('takes the life of certificates from the cluster spec', async () => {
    await store.update((tx) => {
      for (const cluster of tx.all('clusters')) {
        tx.update('clusters', { ...cluster, Spec: { ...cluster.Spec, CAConfig: { NodeCertExpiry: 3600e9 } } });
      }
    });
    const issued = await authority().issue(request(created.cluster.JoinTokens.Worker), undefined);
    expect(Date.parse(new X509Certificate(issued.certificate).validTo)).toBe(clock.now() + HOUR_MS);
  });

  it('gives the same node to the same key, so that a lost answer leaves no second node', async () => {
    const { csr } = createCertificateRequest();
    const first = await authority().issue(request(created.cluster.JoinTokens.Worker, csr), undefined);
    const second = await authority().issue(request(created.cluster.JoinTokens.Worker, csr), undefined);
    expect(second.nodeId).toBe(first.nodeId);
    expect(store.view((tx) => tx.count('nodes'))).toBe(2);
  });

  const { csr } = createCertificateRequest();
  const broken = withLastByteChanged(csr);
  it.each([
    { id: 'no token', of: () => request(''), code: 'invalid-argument' },
    { id: 'a wrong token', of: () => request('SWMTKN-1-x'), code: 'invalid-argument' },
    { id: 'the manager token', of: () => request(created.cluster.JoinTokens.Manager), code: 'unimplemented' },
    { id: 'no request', of: () => request(created.cluster.JoinTokens.Worker, ''), code: 'invalid-argument' },
    {
      id: 'a huge request',
      of: () => request(created.cluster.JoinTokens.Worker, 'x'.repeat(1e6)),
      code: 'invalid-argument',
    },
    {
      id: 'a broken signature',
      of: () => request(created.cluster.JoinTokens.Worker, broken),
      code: 'invalid-argument',
    },
    {
      id: 'an unknown availability',
      of: () => request(created.cluster.JoinTokens.Worker, csr, 'lazy'),
      code: 'invalid-argument',
    },
  ])('refuses $id and makes no node', async ({ of, code }) => {
    await expect(authority().issue(of(), undefined)).rejects.toMatchObject({ code });
    expect(store.view((tx) => tx.count('nodes'))).toBe(1);
  });

  it('lets managers in when it may', async () => {
    const issued = await authority(true).issue(request(created.cluster.JoinTokens.Manager), undefined);
    expect(issued.role).toBe('manager');
    expect(node(issued.nodeId)).toMatchObject({ Spec: { Role: 'manager' }, CertificateRole: 'manager' });
  });

  describe('renewal', () => {
    const add = (id: string, changes: Partial<NodeObject>): Promise<void> =>
      store.update((tx) => {
        tx.create('nodes', {
          ID: id,
          Spec: { Role: 'worker', Availability: 'active' },
          Status: { State: 'ready' },
          CertificateRole: 'worker',
          ...changes,
        });
      });
    const manager = { Role: 'manager', Availability: 'active' } as const;

    it.each([
      { id: 'worker stays worker', allow: true, node: {}, role: 'worker' },
      { id: 'promoted', allow: true, node: { Spec: manager }, role: 'manager' },
      { id: 'promoted while managers cannot be added', allow: false, node: { Spec: manager }, role: 'worker' },
      {
        id: 'the one manager',
        allow: false,
        node: { Spec: manager, CertificateRole: 'manager' as const, RaftID: 1 },
        role: 'manager',
      },
      {
        id: 'demoted, still in Raft',
        allow: true,
        node: { CertificateRole: 'manager' as const, RaftID: 7 },
        role: 'manager',
      },
      { id: 'demoted, out of Raft', allow: true, node: { CertificateRole: 'manager' as const }, role: 'worker' },
    ])('follows the store: $id', async ({ allow, node: changes, role }) => {
      await add('n1', changes);
      const issued = await authority(allow).issue(request(), callerOf('n1'));
      expect(issued).toMatchObject({ nodeId: 'n1', role });
      expect(new X509Certificate(issued.certificate).subject).toContain(`OU=swarm-${role}`);
      expect(node('n1')?.CertificateRole).toBe(role);
    });

    it('is refused to a node that the swarm does not have', async () => {
      await expect(authority().issue(request(), callerOf('gone'))).rejects.toMatchObject({ code: 'not-found' });
    });
  });

  it('counts a removed node as removed until its time has passed', async () => {
    const membership = new ClusterMembership({ store, clock });
    await change(created.node.ID, {});
    await store.update((tx) => {
      for (const cluster of tx.all('clusters')) {
        const RemovedNodes = [
          { ID: 'old', Until: new Date(clock.now() - 1).toISOString() },
          { ID: 'new', Until: new Date(clock.now() + 1000).toISOString() },
        ];
        tx.update('clusters', { ...cluster, RemovedNodes });
      }
    });
    expect([membership.isRemoved('old'), membership.isRemoved('new'), membership.isRemoved('x')]).toEqual([
      false,
      true,
      false,
    ]);
    expect(membership.clusterId()).toBe(created.cluster.ID);
  });
});

/** The signature is what a request ends with. Changed as bytes: the last letter of base64 may hold bits that nobody reads. */
function withLastByteChanged(pem: string): string {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  der[der.length - 1] = (der.at(-1) ?? 0) ^ 1;
  return `-----BEGIN CERTIFICATE REQUEST-----\n${der.toString('base64')}\n-----END CERTIFICATE REQUEST-----\n`;
}
