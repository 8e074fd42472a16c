import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { BARE_MAC } from '../../../../../worker/network/overlay/shortcut-plan.ts';
import { LostLinks } from '../../../../../worker/network/overlay/lost-links.ts';
import { Overlay } from '../../../../../worker/network/overlay/overlay.ts';
import type { SandboxLink } from '../../../../../worker/network/overlay/overlay-kernel.ts';
import type { DesiredOverlay, LocalPort } from '../../../../../worker/network/overlay/overlay-state.ts';
import { RepairCounts } from '../../../../../worker/network/repair-counts.ts';
import { ModelKernel } from '../../../../fixtures/model-kernel.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

function local(name: string): LocalPort {
  return { endpointId: name.slice(4), address: '10.0.0.2', mac: '02:42:0a:00:00:02', link: name };
}

describe('LostLinks', () => {
  type Step = { saw: string } | { local: string[]; present: string[]; fresh: string[]; lost: string[] };
  const cases: { id: string; steps: Step[] }[] = [
    {
      id: 'what was there is lost at once, and told once',
      steps: [
        { local: ['a', 'b'], present: ['a', 'b'], fresh: [], lost: [] },
        { local: ['a', 'b'], present: ['b'], fresh: ['a'], lost: ['a'] },
        { local: ['a', 'b'], present: ['b'], fresh: [], lost: ['a'] },
        { local: ['a', 'b'], present: ['a', 'b'], fresh: [], lost: [] },
      ],
    },
    {
      id: 'what was never there only the second time',
      steps: [
        { local: ['a'], present: [], fresh: [], lost: [] },
        { local: ['a'], present: [], fresh: ['a'], lost: ['a'] },
      ],
    },
    {
      id: 'what was made by us is known as well',
      steps: [{ saw: 'a' }, { local: ['a'], present: [], fresh: ['a'], lost: ['a'] }],
    },
    {
      id: 'what was made again is lost no more, and may be lost again',
      steps: [
        { saw: 'a' },
        { local: ['a'], present: [], fresh: ['a'], lost: ['a'] },
        { saw: 'a' },
        { local: ['a'], present: ['a'], fresh: [], lost: [] },
        { local: ['a'], present: [], fresh: ['a'], lost: ['a'] },
      ],
    },
    {
      id: 'who leaves is forgotten, and begins anew',
      steps: [
        { saw: 'a' },
        { local: [], present: [], fresh: [], lost: [] },
        { local: ['a'], present: [], fresh: [], lost: [] },
      ],
    },
  ];
  it.each(cases)('$id', ({ steps }) => {
    const links = new LostLinks();
    for (const step of steps) {
      if ('saw' in step) {
        links.saw(step.saw);
        continue;
      }
      expect(links.note(step.local.map(local), new Set(step.present))).toEqual(step.fresh);
      expect(links.ports).toEqual(step.lost);
    }
  });
});

describe('an overlay whose container has lost its link', () => {
  const NETWORK = 'abcdefghijklmnopqrstuvwxy';
  const SANDBOX: SandboxLink = {
    key: '/run/docker/netns/1',
    mac: '02:42:0a:00:00:02',
    addresses: ['10.0.0.2/16'],
    routes: [],
  };
  let clock: VirtualClock;
  let kernel: ModelKernel;
  let desired: DesiredOverlay;
  let overlay: Overlay;
  let repairs: RepairCounts;
  let sandbox: SandboxLink | undefined;

  beforeEach(async () => {
    clock = new VirtualClock();
    kernel = new ModelKernel();
    repairs = new RepairCounts();
    sandbox = SANDBOX;
    desired = {
      networkId: NETWORK,
      vni: 4097,
      subnets: [{ subnet: '10.0.0.0/16', gateway: '10.0.0.1/16' }],
      mtu: 1450,
      dataPath: 'vxlan',
      vtep: '192.168.0.1',
      port: 4789,
      local: [local('vethe1')],
      peers: [],
    };
    const world = { clock, random: () => 0.5, log: silentLog };
    overlay = new Overlay(NETWORK, {
      kernel,
      desired: () => desired,
      sandboxLink: (port) => (port === 'vethe1' ? sandbox : undefined),
      repairs,
      ...world,
    });
    await overlay.connect('vethe1', 'wge1');
    await settle();
  });

  afterEach(() => overlay.stop());

  async function audit(): Promise<void> {
    overlay.audit();
    await settle();
  }

  it('gives it another one, once the namespace is there again, and counts both', async () => {
    kernel.space('1-abcdefghij').apply({ kind: 'delete-namespace' });
    await audit();
    expect(kernel.restored).toEqual([{ port: 'vethe1', ...SANDBOX }]);
    expect(kernel.space('1-abcdefghij').state.ports.has('vethe1')).toBe(true);
    expect(repairs.toRecord()).toEqual({ 'namespace missing': 1, 'port missing': 1 });
    expect(overlay.missingPorts).toEqual([]);
    await audit();
    expect(kernel.restored).toHaveLength(1);
  });

  it('knows it by its lower link, which has lost the container and not its port, and lays another one on it', async () => {
    desired = { ...desired, dataPath: 'routed', hasShortcuts: true };
    await overlay.connect('vethe1', 'wge1');
    const { route } = kernel.space('1-abcdefghij').state;
    expect(route.lowers.get('wgle1')).toMatchObject({ mac: SANDBOX.mac });
    await audit();
    expect(overlay.missingPorts).toEqual([]);
    route.lowers.set('wgle1', { mtu: 1450, up: true, mac: BARE_MAC });
    await audit();
    expect(kernel.restored).toEqual([{ port: 'vethe1', lower: 'wgle1', ...SANDBOX }]);
    expect(route.lowers.get('wgle1')).toMatchObject({ mac: SANDBOX.mac });
    expect(repairs.toRecord()).toEqual({ 'port missing': 1 });
    await audit();
    expect([kernel.restored.length, overlay.missingPorts]).toEqual([1, []]);
  });

  it('tries again at the next audit when the kernel refuses, and names it until then', async () => {
    kernel.space('1-abcdefghij').state.ports.clear();
    kernel.refuseRestore = 'No buffer space available';
    await audit();
    expect(overlay.missingPorts).toEqual(['vethe1']);
    overlay.refresh();
    await settle();
    expect(kernel.restores).toBe(1);
    kernel.refuseRestore = undefined;
    await audit();
    expect([kernel.restores, overlay.missingPorts]).toEqual([2, []]);
    expect(repairs.toRecord()).toEqual({ 'port missing': 1 });
  });

  it('keeps nobody else waiting who cannot be helped: others join, and find their peers', async () => {
    kernel.space('1-abcdefghij').state.ports.clear();
    kernel.refuseRestore = 'No buffer space available';
    await audit();
    desired = {
      ...desired,
      local: [local('vethe1'), { ...local('vethe2'), address: '10.0.0.4', mac: '02:42:0a:00:00:04' }],
      peers: [{ endpointId: 'p1', address: '10.0.0.3', mac: '02:42:0a:00:00:03', vtep: '192.168.0.2', since: 1 }],
    };
    overlay.audit();
    await overlay.connect('vethe2', 'wge2');
    await settle();
    const { ports, neighbours } = kernel.space('1-abcdefghij').state;
    expect([[...ports.keys()], neighbours.size, overlay.dirty]).toEqual([['vethe2'], 1, false]);
  });

  it('is not dirty for a container whose namespace is gone or not known, and helps it when it is', async () => {
    kernel.space('1-abcdefghij').state.ports.clear();
    kernel.deadSandboxes.add(SANDBOX.key);
    await audit();
    expect([overlay.missingPorts, overlay.dirty]).toEqual([['vethe1'], false]);
    kernel.deadSandboxes.clear();
    sandbox = undefined;
    await audit();
    expect([overlay.missingPorts, overlay.dirty]).toEqual([['vethe1'], false]);
    sandbox = SANDBOX;
    await audit();
    expect(overlay.missingPorts).toEqual([]);
  });

  it('leaves alone who has left', async () => {
    desired = { ...desired, local: [local('vethe2')] };
    kernel.space('1-abcdefghij').state.ports.clear();
    await audit();
    await audit();
    expect(kernel.restored).toEqual([]);
  });
});
