import type { ServiceSpec } from '../../../../proto/objects/service.ts';
import { Control } from '../../../../manager/controlapi/control.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newNetwork, newNode } from '../store/objects.ts';

export interface ControlFixture {
  store: StateStore;
  control: Control;
  clock: VirtualClock;
}

export const ALLOCATED = {
  Driver: 'overlay',
  VNIs: [4097],
  Subnets: [{ Subnet: '10.0.1.0/24', Gateway: '10.0.1.1', IPRange: '10.0.1.0/24' }],
  Options: { 'com.docker.network.driver.overlay.vxlanid_list': '4097' },
};

/** A swarm of a manager m1 and a worker w1 with the network net1 (n1), and its control API. IDs are `id1`, `id2` … */
export async function controlFixture(
  options: { promotion?: boolean; canSpareManagers?: (raftIds: readonly number[]) => boolean } = {},
): Promise<ControlFixture> {
  const clock = new VirtualClock();
  const store = memoryStore({ clock });
  let ids = 0;
  let tokens = 0;
  const control = new Control(
    { promotion: options.promotion ?? true },
    {
      store,
      clock,
      random: () => 0,
      newId: () => `id${++ids}`,
      joinToken: () => `token${++tokens}`,
      isTaskUpToDate: (service, task) => service.SpecVersion === task.SpecVersion,
      canSpareManagers: options.canSpareManagers ?? (() => true),
      diagnosis: {
        check: () => Promise.reject(new Error('nobody to ask')),
        trace: () => Promise.reject(new Error('nobody to ask')),
      },
    },
  );
  await store.update((tx) => {
    tx.create('clusters', {
      ID: 'swarm1',
      Spec: { Name: 'default', Orchestration: { TaskHistoryRetentionLimit: 5 }, CAConfig: { SigningCAKey: 'hidden' } },
      JoinTokens: { Worker: 'worker0', Manager: 'manager0' },
      RootCA: { Certificate: 'not a certificate', Key: 'root-key' },
      DefaultAddrPool: ['10.0.0.0/8'],
      SubnetSize: 24,
      DataPathPort: 4789,
      Keys: [{ Subsystem: 'networking:gossip', Tag: 1, Key: 'gossip-key', CreatedAt: '' }],
      RemovedNodes: [],
    });
    const manager = { Role: 'manager', Availability: 'active' } as const;
    tx.create('nodes', newNode('m1', 'alpha', { Spec: manager, CertificateRole: 'manager' }));
    tx.create(
      'nodes',
      newNode('w1', 'beta', { Spec: { Role: 'worker', Availability: 'active', Labels: { zone: 'a' } } }),
    );
    tx.create('networks', newNetwork('n1', 'net1', { Allocated: ALLOCATED }));
  });
  return { store, control, clock };
}

/** The least spec that is accepted. */
export function serviceSpec(name: string, spec: Partial<ServiceSpec> = {}): ServiceSpec {
  const { TaskTemplate, ...rest } = spec;
  return { Name: name, TaskTemplate: { ContainerSpec: { Image: 'busybox:1' }, ...TaskTemplate }, ...rest };
}

/** The present version of an object, as a client would have read it. */
export function versionOf(
  fixture: ControlFixture,
  table: 'services' | 'nodes' | 'secrets' | 'clusters',
  id: string,
): number {
  return fixture.store.view((tx) => tx.get(table, id)?.Version.Index ?? -1);
}

/** The matcher for a rejection with this code and text; `rpc` puts gRPC's prefix before it. */
export function failure(code: string, message: string): { code: string; message: string } {
  return { code, message };
}

export function rpc(status: string, description: string): string {
  return `rpc error: code = ${status} desc = ${description}`;
}
