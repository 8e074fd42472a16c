import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { Overlay } from '../../../../../worker/network/overlay/overlay.ts';
import type { DesiredOverlay } from '../../../../../worker/network/overlay/overlay-state.ts';
import { plan } from '../../../../../worker/network/overlay/plan.ts';
import { RepairCounts } from '../../../../../worker/network/repair-counts.ts';
import { ModelKernel } from '../../../../fixtures/model-kernel.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

const NETWORK = 'abcdefghijklmnopqrstuvwxy';
const NAMESPACE = '1-abcdefghij';

let clock: VirtualClock;
let kernel: ModelKernel;
let desired: DesiredOverlay | undefined;
let overlay: Overlay;
let repairs: RepairCounts;

beforeEach(() => {
  clock = new VirtualClock();
  kernel = new ModelKernel();
  repairs = new RepairCounts();
  desired = {
    networkId: NETWORK,
    vni: 4097,
    subnets: [{ subnet: '10.0.0.0/16', gateway: '10.0.0.1/16' }],
    mtu: 1450,
    dataPath: 'vxlan',
    vtep: '192.168.0.1',
    port: 4789,
    local: [{ endpointId: 'e1', address: '10.0.0.2', mac: '02:42:0a:00:00:02', link: 'vethe1' }],
    peers: [{ endpointId: 'p1', address: '10.0.0.3', mac: '02:42:0a:00:00:03', vtep: '192.168.0.2', since: 1 }],
  };
  overlay = new Overlay(NETWORK, { kernel, desired: () => desired, clock, random: () => 0.5, log: silentLog, repairs });
});

afterEach(() => overlay.stop());

function state() {
  return kernel.space(NAMESPACE).state;
}

describe('Overlay', () => {
  it('makes everything for the first container, and programs peers after', async () => {
    await overlay.connect('vethe1', 'wge1');
    expect(state().ports.get('vethe1')).toMatchObject({ master: 'br0', up: true, mtu: 1450 });
    await settle();
    expect(plan(desired, state())).toEqual([]);
    expect(state().neighbours.size).toBe(1);
    expect(overlay.idle).toBe(true);
  });

  it('asks the kernel once, and works from memory after that', async () => {
    await overlay.connect('vethe1', 'wge1');
    await settle();
    overlay.refresh();
    await settle();
    expect(kernel.observations).toBe(1);
  });

  it('tells the caller in the kernel words when a link cannot be made, and retries', async () => {
    kernel.refuse = (operation) => (operation.kind === 'create-vxlan' ? 'RTNETLINK answers: File exists' : undefined);
    await expect(overlay.connect('vethe1', 'wge1')).rejects.toThrow('create-vxlan: RTNETLINK answers: File exists');
    expect(overlay.dirty).toBe(true);
    kernel.refuse = () => undefined;
    await clock.advance(200);
    expect(overlay.idle).toBe(true);
    expect(state().vxlan?.up).toBe(true);
  });

  it('fails only the container whose veth cannot be made', async () => {
    await overlay.connect('vethe1', 'wge1');
    kernel.refuseVeth = 'No buffer space available';
    const others = [overlay.settleLinks(), overlay.connect('vethe2', 'wge2')];
    const results = await Promise.allSettled(others);
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
  });

  it('keeps a failed row dirty, with growing delays, until it is in', async () => {
    let attempts = 0;
    kernel.refuse = (operation) => {
      if (operation.kind !== 'put-neighbour') return undefined;
      attempts++;
      return attempts <= 4 ? 'No buffer space available' : undefined;
    };
    await overlay.connect('vethe1', 'wge1');
    await clock.advance(100 + 200);
    expect(overlay.dirty).toBe(true);
    await clock.advance(400 + 800);
    expect(attempts).toBe(5);
    expect(plan(desired, state())).toEqual([]);
    expect(overlay.idle).toBe(true);
  });

  it('finds drift at an audit and not before', async () => {
    await overlay.connect('vethe1', 'wge1');
    await settle();
    state().forwarding.clear();
    overlay.refresh();
    await settle();
    expect(state().forwarding.size).toBe(0);
    overlay.audit();
    await settle();
    expect(state().forwarding.size).toBe(1);
  });

  it('counts what it repairs by kind, and not what it was about to do anyway', async () => {
    await overlay.connect('vethe1', 'wge1');
    await settle();
    state().forwarding.clear();
    Object.assign(state().bridge ?? {}, { up: false });
    const peer = { endpointId: 'p2', address: '10.0.0.4', mac: '02:42:0a:00:00:04', vtep: '192.168.0.2', since: 1 };
    if (desired !== undefined) desired = { ...desired, peers: [...desired.peers, peer] };
    overlay.audit();
    await settle();
    expect(plan(desired, state())).toEqual([]);
    expect(repairs.toRecord()).toEqual({ 'forwarding missing': 1, 'link down': 1 });
    overlay.audit();
    await settle();
    expect(repairs.toRecord()).toEqual({ 'forwarding missing': 1, 'link down': 1 });
  });

  it('counts nothing when it does not know what was there before', async () => {
    kernel.space(NAMESPACE).state = { ...state(), namespace: true };
    overlay.audit();
    await settle();
    expect(plan(desired, state())).toEqual([]);
    expect(repairs.toRecord()).toEqual({});
  });

  it('is examined without being changed, and tells when it was not at rest', async () => {
    await overlay.connect('vethe1', 'wge1');
    await settle();
    state().forwarding.clear();
    const calm = await overlay.examine();
    expect([calm.settled, calm.observed.forwarding.size, state().forwarding.size]).toEqual([true, 0, 0]);
    const examining = overlay.examine();
    overlay.refresh();
    expect((await examining).settled).toBe(false);
  });

  it('names a lost port at once, and one that it has never seen at the second audit', async () => {
    await overlay.connect('vethe1', 'wge1');
    await settle();
    state().ports.clear();
    const local = { endpointId: 'e2', address: '10.0.0.9', mac: '02:42:0a:00:00:09', link: 'vethe2' };
    if (desired !== undefined) desired = { ...desired, local: [...desired.local, local] };
    overlay.audit();
    await settle();
    expect(overlay.missingPorts).toEqual(['vethe1']);
    overlay.audit();
    await settle();
    expect(overlay.missingPorts).toEqual(['vethe1', 'vethe2']);
  });

  it('removes the namespace with the last container', async () => {
    await overlay.connect('vethe1', 'wge1');
    desired = undefined;
    await overlay.settleLinks();
    expect(state().namespace).toBe(false);
  });

  it('serves a container that joins while many peers are being programmed', async () => {
    await overlay.connect('vethe1', 'wge1');
    const peers = Array.from({ length: 5000 }, (_, index) => ({
      endpointId: `p${index}`,
      address: `10.0.${(index >> 8) + 1}.${index & 255}`,
      mac: `02:42:0a:00:${((index >> 8) + 1).toString(16).padStart(2, '0')}:${(index & 255).toString(16).padStart(2, '0')}`,
      vtep: '192.168.0.2',
      since: 1,
    }));
    if (desired === undefined) throw new Error('unreachable');
    const port = { endpointId: 'e2', address: '10.0.0.4', mac: '02:42:0a:00:00:04', link: 'vethe2' };
    desired = { ...desired, peers, local: [...desired.local, port] };
    overlay.refresh();
    await overlay.connect('vethe2', 'wge2');
    expect(state().neighbours.size).toBeLessThan(peers.length);
    for (let turn = 0; turn < 20; turn++) await settle();
    expect(plan(desired, state())).toEqual([]);
  });

  it('lets nobody wait for ever when it stops', async () => {
    kernel.observe = () => new Promise(() => undefined);
    const waiting = overlay.connect('vethe1', 'wge1');
    void overlay.stop();
    await expect(waiting).rejects.toThrow('being shut down');
    overlay = new Overlay(NETWORK, {
      kernel,
      desired: () => desired,
      clock,
      random: () => 0.5,
      log: silentLog,
      repairs,
    });
  });

  describe('an address that has another MAC', () => {
    const OTHER = '02:42:00:00:00:99';
    const peer = (mac: string) => ({ endpointId: 'p1', address: '10.0.0.3', mac, vtep: '192.168.0.2', since: 1 });

    async function begin(): Promise<void> {
      await overlay.connect('vethe1', 'wge1');
      await settle();
      expect(kernel.announced).toEqual([]);
    }

    async function change(to: Partial<DesiredOverlay>): Promise<void> {
      if (desired !== undefined) desired = { ...desired, ...to };
      overlay.refresh();
      await settle();
    }

    it('is told to the containers, though nobody had it for a while', async () => {
      await begin();
      await change({ peers: [] });
      await change({ peers: [{ ...peer(OTHER), address6: 'fd00::3' }] });
      expect(kernel.announced).toEqual([`10.0.0.3 ${OTHER}`]);
      await change({ peers: [{ ...peer(OTHER), vtep: '192.168.0.3' }] });
      expect(kernel.announced).toHaveLength(1);
    });

    it('is told when it has come here', async () => {
      await begin();
      const here = { endpointId: 'e2', address: '10.0.0.3', mac: OTHER, link: 'vethe2' };
      await change({ peers: [], local: [...(desired?.local ?? []), here] });
      expect(kernel.announced).toEqual([`10.0.0.3 ${OTHER}`]);
    });

    it('is told after a restart, and again by the audit until it could be', async () => {
      await begin();
      await overlay.stop();
      if (desired !== undefined) desired = { ...desired, peers: [peer(OTHER)] };
      overlay = new Overlay(NETWORK, {
        kernel,
        desired: () => desired,
        clock,
        random: () => 0.5,
        log: silentLog,
        repairs,
      });
      kernel.refuseAnnouncements = true;
      overlay.refresh();
      await settle();
      overlay.audit();
      await settle();
      expect(kernel.announced).toEqual([]);
      kernel.refuseAnnouncements = false;
      overlay.audit();
      await settle();
      overlay.audit();
      await settle();
      expect(kernel.announced).toEqual([`10.0.0.3 ${OTHER}`]);
    });
  });
});
