import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { Tunnel } from '../../../../../worker/network/encryption/tunnel.ts';
import { publicKeyOf } from '../../../../../worker/network/encryption/tunnel-key.ts';
import { ModelTunnel } from '../../../../fixtures/model-tunnel.ts';
import { VirtualClock } from '../../../../fixtures/virtual-clock.ts';

const KEY = `${'B'.repeat(42)}A=`;
const OTHER = { nodeId: 'n2', publicKey: KEY, address: '250.0.0.2', dataPathAddress: '10.0.0.2' };
const SWARM = { address: '250.0.0.1', dataPathPort: 4789, members: [OTHER] };

describe('Tunnel', () => {
  let folder: string;
  let clock: VirtualClock;
  let kernel: ModelTunnel;
  let tunnel: Tunnel;
  const make = (): Tunnel => new Tunnel({ nodeId: 'n1', folder }, { kernel, clock, random: () => 0.5, log: silentLog });

  beforeEach(async () => {
    folder = path.join(mkdtempSync(path.join(tmpdir(), 'waggle-tunnel-')), 'keys');
    clock = new VirtualClock();
    kernel = new ModelTunnel();
    tunnel = make();
    await tunnel.start();
  });
  afterEach(async () => {
    await tunnel.stop();
    rmSync(path.dirname(folder), { recursive: true, force: true });
  });

  it('makes a key that root alone can read, and keeps it over a restart', async () => {
    const file = path.join(folder, 'n1');
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(publicKeyOf(Buffer.from(readFileSync(file, 'utf8'), 'base64'))).toBe(tunnel.publicKey);
    const next = make();
    await next.start();
    expect(next.publicKey).toBe(tunnel.publicKey);
  });

  it('is up when it opens, with the other hosts as its peers', async () => {
    tunnel.learn(SWARM);
    expect(kernel.done).toEqual([]);
    await tunnel.open(1500);
    expect(tunnel.path()).toEqual({ vtep: '250.0.0.1', vxlanPort: 4792, mtu: 1440 });
    expect(kernel.state.device?.peers).toEqual(
      new Map([[KEY, { endpoint: '10.0.0.2:4790', allowed: ['250.0.0.2/32'] }]]),
    );
    expect(tunnel.repairs).toEqual({});
  });

  it('gives no path before a manager has told its address, and opens when one has', async () => {
    await expect(tunnel.open(1500)).rejects.toThrow('no manager has given this node its tunnel address yet');
    expect(() => tunnel.path()).toThrow('no manager');
    expect(kernel.done).toEqual([]);
    expect(tunnel.learn(SWARM)).toBe(true);
    await tunnel.open(1500);
    expect(tunnel.learn(SWARM)).toBe(false);
  });

  it('gives no path when a step fails, and tries again by itself', async () => {
    tunnel.learn(SWARM);
    kernel.failing.push('set-key', 'add-route');
    await expect(tunnel.open(1500)).rejects.toThrow('set-key: set-key');
    expect(kernel.state.route).toBe(false);
    await clock.advance(10_000);
    expect(tunnel.path().vtep).toBe('250.0.0.1');
    expect(kernel.wasOpenToAll).toBe(false);
  });

  it('repairs at once when its process dies, and counts it', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    kernel.die();
    await tunnel.reconcile('needed', 1500);
    expect(kernel.state.route).toBe(true);
    expect(tunnel.repairs).toEqual({ 'tunnel device missing': 1 });
    expect(kernel.wasOpenToAll).toBe(false);
  });

  it('tells what was changed, repairs it, and counts it by kind', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    expect(await tunnel.differences()).toEqual([]);
    kernel.state.device?.peers.clear();
    kernel.state.guard = 'none';
    const found = (await tunnel.differences()).map(({ kind, object }) => `${kind} ${object}`);
    expect(found).toEqual(['tunnel guard missing table inet waggle-tunnel', 'tunnel peer missing 250.0.0.2']);
    await tunnel.reconcile('needed', 1500);
    expect(await tunnel.differences()).toEqual([]);
    expect(tunnel.repairs).toEqual({ 'tunnel guard missing': 1, 'tunnel peer missing': 1 });
  });

  it('counts what was changed once, and also when its repair fails at first', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    kernel.state.device?.peers.clear();
    kernel.failing.push('put-peer', 'put-peer');
    for (let pass = 0; pass < 3; pass++) await tunnel.reconcile('needed', 1500);
    expect(await tunnel.differences()).toEqual([]);
    expect(tunnel.repairs).toEqual({ 'tunnel peer missing': 1 });
  });

  it('counts what was changed also when something else is wanted by then', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    kernel.state.guard = 'none';
    tunnel.learn({
      ...SWARM,
      members: [
        ...SWARM.members,
        { nodeId: 'n3', publicKey: `${'C'.repeat(42)}A=`, address: '250.0.0.3', dataPathAddress: '10.0.0.3' },
      ],
    });
    await tunnel.reconcile('needed', 1500);
    expect(tunnel.repairs).toEqual({ 'tunnel guard missing': 1 });
  });

  it('follows the other hosts while it is open, and stays open meanwhile', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    const third = { nodeId: 'n3', publicKey: `${'C'.repeat(42)}A=`, address: '250.0.0.3', dataPathAddress: 'fd00::3' };
    tunnel.learn({ ...SWARM, members: [third] });
    expect(tunnel.path().vtep).toBe('250.0.0.1');
    await tunnel.reconcile('needed', 1500);
    expect([...(kernel.state.device?.peers.values() ?? [])]).toEqual([
      { endpoint: '[fd00::3]:4790', allowed: ['250.0.0.3/32'] },
    ]);
    // The path to a host by IPv6 is narrower.
    expect(tunnel.path().mtu).toBe(1420);
  });

  it('takes a new key into use when the managers tell of it, and not before, over a restart too', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    const former = tunnel.publicKey;
    await tunnel.rotateKey();
    const next = tunnel.publicKey;
    expect(next).not.toBe(former);
    await tunnel.reconcile('needed', 1500);
    expect(kernel.state.device?.publicKey).toBe(former);
    await tunnel.stop();
    tunnel = make();
    await tunnel.start();
    expect(tunnel.publicKey).toBe(next);
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    expect(kernel.state.device?.publicKey).toBe(former);
    kernel.done.length = 0;
    const own = { nodeId: 'n1', publicKey: next, address: '250.0.0.1', dataPathAddress: '10.0.0.1' };
    tunnel.learn({ ...SWARM, members: [own, OTHER] });
    await tunnel.reconcile('needed', 1500);
    expect(kernel.done.map(({ kind }) => kind)).toEqual(['set-key', 'greet']);
    expect(kernel.state.device?.publicKey).toBe(next);
    const last = make();
    await last.start();
    expect(last.publicKey).toBe(next);
  });

  it.each([
    ['key', { ...OTHER, publicKey: 'remove' }],
    ['tunnel address', { ...OTHER, address: '10.0.0.9' }],
    ['outer address', { ...OTHER, dataPathAddress: 'host.example' }],
  ])('leaves out a member with a wrong %s', async (_, member) => {
    tunnel.learn({ ...SWARM, members: [member] });
    await tunnel.open(1500);
    expect(kernel.state.device?.peers.size).toBe(0);
  });

  it('leaves what is there while it is not known whether it is needed, and takes it away when it is not', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    await tunnel.stop();
    tunnel = make();
    await tunnel.start();
    tunnel.learn(SWARM);
    kernel.done.length = 0;
    await tunnel.reconcile('kept', 1500);
    expect(kernel.done).toEqual([]);
    expect(() => tunnel.path()).toThrow('not up yet');
    await tunnel.open(1500);
    expect(kernel.done.map(({ kind }) => kind)).toEqual(['put-endpoint']);
    await tunnel.reconcile('none', 1500);
    expect(kernel.state).toEqual({ guard: 'none', blackhole: false, route: false });
    expect(() => tunnel.path()).toThrow('not up yet');
  });

  it('sends from an address that the host has, also where that is another one than in its last life', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    kernel.hear(KEY);
    await tunnel.stop();
    kernel.hostAddress = '10.0.0.9';
    tunnel = make();
    await tunnel.start();
    tunnel.learn(SWARM);
    kernel.failing.push('put-endpoint');
    await tunnel.reconcile('needed', 1500);
    await clock.advance(10_000);
    expect(kernel.sourceFor(KEY)).toBe('10.0.0.9');
    kernel.done.length = 0;
    await tunnel.reconcile('needed', 1500);
    expect(kernel.done).toEqual([]);
    expect(tunnel.repairs).toEqual({});
  });

  it('leaves neither device nor key when the node leaves', async () => {
    tunnel.learn(SWARM);
    await tunnel.open(1500);
    await tunnel.purge();
    expect(kernel.state).toEqual({ guard: 'none', blackhole: false, route: false });
    expect(() => statSync(folder)).toThrow('ENOENT');
  });

  it('says what to install on a host that cannot encrypt, and notices when it can', async () => {
    kernel.able = { able: false, reason: 'this host cannot encrypt: install it' };
    tunnel = make();
    let changes = 0;
    tunnel.onCapability(() => changes++);
    await tunnel.start();
    tunnel.learn(SWARM);
    expect(tunnel.publicKey).toBe('');
    await expect(tunnel.open(1500)).rejects.toThrow('this host cannot encrypt: install it');
    expect(kernel.done).toEqual([]);
    kernel.able = { able: true, by: 'kernel' };
    await tunnel.reconcile('none', 1500);
    expect(changes).toBe(0);
    await clock.advance(5_000);
    await tunnel.reconcile('none', 1500);
    expect(changes).toBe(1);
    expect(tunnel.publicKey).not.toBe('');
    await tunnel.open(1500);
    expect(tunnel.path().vtep).toBe('250.0.0.1');
  });
});
