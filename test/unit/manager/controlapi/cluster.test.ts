import { beforeEach, describe, expect, test } from 'vitest';
import { generateKeyPairSync } from 'node:crypto';
import type { ClusterSpec } from '../../../../proto/objects/cluster.ts';
import { validateNewClusterSpec } from '../../../../manager/controlapi/validation/cluster-spec.ts';
import { tlsInfo } from '../../../../manager/controlapi/render/tls-info.ts';
import { type ControlFixture, controlFixture, rpc, versionOf } from './control-fixture.ts';

let fixture: ControlFixture;
beforeEach(async () => {
  fixture = await controlFixture();
});

const update = (spec: Partial<ClusterSpec>, more: object = {}) =>
  fixture.control.updateCluster({
    version: versionOf(fixture, 'clusters', 'swarm1'),
    spec: { Name: 'default', ...spec },
    rotateWorkerToken: false,
    rotateManagerToken: false,
    rotateManagerUnlockKey: false,
    ...more,
  });

test('shows the swarm with its tokens and none of its keys', async () => {
  const shown = await fixture.control.getCluster();
  expect(shown).toMatchObject({
    ID: 'swarm1',
    Spec: { Name: 'default', Labels: {}, EncryptionConfig: { AutoLockManagers: false } },
    TLSInfo: { TrustRoot: 'not a certificate' },
    RootRotationInProgress: false,
    DefaultAddrPool: ['10.0.0.0/8'],
    SubnetSize: 24,
    DataPathPort: 4789,
    JoinTokens: { Worker: 'worker0', Manager: 'manager0' },
  });
  expect(JSON.stringify(shown)).not.toMatch(/root-key|gossip-key|hidden/);
  expect(await fixture.control.getUnlockKey()).toEqual({ UnlockKey: '' });
});

describe('updateCluster', () => {
  test('what is absent stays as it was', async () => {
    await update({ Dispatcher: { HeartbeatPeriod: 1e9 }, Name: '' });
    expect(fixture.store.view((tx) => tx.get('clusters', 'swarm1')?.Spec)).toMatchObject({
      Name: 'default',
      Orchestration: { TaskHistoryRetentionLimit: 5 },
      Dispatcher: { HeartbeatPeriod: 1e9 },
    });
    await update({ Orchestration: { TaskHistoryRetentionLimit: 0 } });
    expect(fixture.store.view((tx) => tx.get('clusters', 'swarm1')?.Spec)).toMatchObject({
      Orchestration: { TaskHistoryRetentionLimit: 0 },
      Dispatcher: { HeartbeatPeriod: 1e9 },
    });
  });

  test('rotates the token that was asked for', async () => {
    await update({}, { rotateWorkerToken: true });
    expect(await fixture.control.getJoinTokens()).toEqual({ Worker: 'token1', Manager: 'manager0' });
    await update({}, { rotateManagerToken: true });
    expect(await fixture.control.getJoinTokens()).toEqual({ Worker: 'token1', Manager: 'token2' });
  });

  test('has an unlock key while managers are locked, and shows it to who asks for it only', async () => {
    const key = async (): Promise<string> => (await fixture.control.getUnlockKey()).UnlockKey;
    const locked = { EncryptionConfig: { AutoLockManagers: true } };
    await update({}, { rotateManagerUnlockKey: true });
    expect(await key()).toBe('');
    await update(locked);
    const first = await key();
    expect(first).toMatch(/^SWMKEY-1-[A-Za-z0-9+/]{43}$/);
    expect(JSON.stringify(await fixture.control.getCluster())).not.toContain(first.slice(9));
    await update({ ...locked, Labels: { a: 'b' } });
    expect(await key()).toBe(first);
    await update(locked, { rotateManagerUnlockKey: true });
    const second = await key();
    expect(second).not.toBe(first);
    await update({});
    expect(await key()).toBe('');
    await update(locked);
    expect([first, second, '']).not.toContain(await key());
  });

  const refusals: { id: string; spec: Partial<ClusterSpec>; more?: object; code: string; message: string }[] = [
    {
      id: 'another name',
      spec: { Name: 'x' },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'modification of cluster name is not allowed'),
    },
    {
      id: 'short certificates',
      spec: { CAConfig: { NodeCertExpiry: 1e9 } },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'minimum certificate expiry time is: 1h0m0s'),
    },
    {
      id: 'negative heartbeat',
      spec: { Dispatcher: { HeartbeatPeriod: -1 } },
      code: 'invalid-argument',
      message: rpc('InvalidArgument', 'heartbeat time period cannot be a negative duration'),
    },
    {
      id: 'stale version',
      spec: {},
      more: { version: 0 },
      code: 'unknown',
      message: rpc('Unknown', 'update out of sequence'),
    },
    {
      id: 'an external authority',
      spec: { CAConfig: { ExternalCAs: [{ Protocol: 'cfssl', URL: 'https://ca' }] } },
      code: 'unimplemented',
      message: 'external certificate authorities are not supported yet',
    },
    {
      id: 'a signing key',
      spec: { CAConfig: { SigningCAKey: 'x' } },
      code: 'unimplemented',
      message: 'rotation of the root certificate is not supported yet',
    },
    {
      id: 'root rotation',
      spec: { CAConfig: { ForceRotate: 1 } },
      code: 'unimplemented',
      message: 'rotation of the root certificate is not supported yet',
    },
  ];
  test.each(refusals)('refuses $id', async ({ spec, more, code, message }) => {
    await expect(update(spec, more)).rejects.toMatchObject({ code, message });
  });
});

describe('a new swarm', () => {
  const accepted: { id: string; spec: Partial<ClusterSpec> }[] = [
    { id: 'nothing', spec: {} },
    { id: 'zeros', spec: { Name: '', CAConfig: { NodeCertExpiry: 0 }, Dispatcher: { HeartbeatPeriod: 0 } } },
    { id: 'what stock clients send', spec: { Name: 'default', CAConfig: { ExternalCAs: null, SigningCACert: '' } } },
    { id: 'a rotation: its root is new anyway', spec: { CAConfig: { ForceRotate: 6 } } },
  ];
  test.each(accepted)('may begin with $id', ({ spec }) => {
    expect(() => validateNewClusterSpec(spec)).not.toThrow();
  });

  // What it began with it could not have been given later, and whoever asked for it would rely on it.
  const refusals: { id: string; spec: Partial<ClusterSpec>; code: string }[] = [
    { id: 'another name', spec: { Name: 'x' }, code: 'invalid-argument' },
    { id: 'short certificates', spec: { CAConfig: { NodeCertExpiry: 1e9 } }, code: 'invalid-argument' },
    { id: 'negative heartbeat', spec: { Dispatcher: { HeartbeatPeriod: -1 } }, code: 'invalid-argument' },
    { id: 'negative Raft settings', spec: { Raft: { SnapshotInterval: -1 } }, code: 'invalid-argument' },
    {
      id: 'an external authority',
      spec: { CAConfig: { ExternalCAs: [{ Protocol: 'cfssl', URL: 'https://ca' }] } },
      code: 'unimplemented',
    },
    { id: 'a root from elsewhere', spec: { CAConfig: { SigningCACert: 'x' } }, code: 'unimplemented' },
  ];
  test.each(refusals)('does not begin with $id', ({ spec, code }) => {
    expect(() => validateNewClusterSpec(spec)).toThrow(expect.objectContaining({ code }));
  });
});

test('the issuer and key of a root certificate', () => {
  // A self-signed certificate, made once: CN=swarm-ca, P-256.
  const info = tlsInfo(SWARM_CA);
  expect(Buffer.from(info.CertIssuerSubject ?? '', 'base64').toString('latin1')).toContain('swarm-ca');
  expect(info.CertIssuerSubject).toBe('MBMxETAPBgNVBAMMCHN3YXJtLWNh');
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const length = publicKey.export({ type: 'spki', format: 'der' }).length;
  expect(Buffer.from(info.CertIssuerPublicKey ?? '', 'base64')).toHaveLength(length);
});

const SWARM_CA = `-----BEGIN CERTIFICATE-----
MIIBezCCASGgAwIBAgIUBuVGYwy1GRx+2aeYUjDL37i0zygwCgYIKoZIzj0EAwIw
EzERMA8GA1UEAwwIc3dhcm0tY2EwHhcNMjYxMTIwMTYzMDM4WhcNNDYxMTE1MTYz
MDM4WjATMREwDwYDVQQDDAhzd2FybS1jYTBZMBMGByqGSM49AgEGCCqGSM49AwEH
A0IABAs5M7F70Y9tMKIViC2W+8VJt7Xy3ZSBWjao6ZEiaeTWhAlraxdPQ8qKkd7G
xgyeqb9IZNZnTTL7mQYwTyRoKrujUzBRMB0GA1UdDgQWBBQThG0vN7t+Kyq/ID4o
WKQuy+FkQDAfBgNVHSMEGDAWgBQThG0vN7t+Kyq/ID4oWKQuy+FkQDAPBgNVHRMB
Af8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQDcC7Aot0JqOVlzG92cTuVGl2bT
twRj4LPF3A6ZRosaKQIgKZtY2+FovMqmSh1z6TMxZ/51es0xj0jKjeBm0TnQGcE=
-----END CERTIFICATE-----
`;
