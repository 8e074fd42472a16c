import { changed, rolledBack } from '../../../../manager/controlapi/service-update.ts';
import { Orchestrator } from '../../../../manager/orchestrator/orchestrator.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { StateStore } from '../../../../manager/store/state-store.ts';
import type { ClusterSpec } from '../../../../proto/objects/cluster.ts';
import type { NodeObject } from '../../../../proto/objects/node.ts';
import type { ServiceObject, ServiceSpec } from '../../../../proto/objects/service.ts';
import { compareTaskStates } from '../../../../proto/objects/task-state.ts';
import type { TaskObject, TaskSpec } from '../../../../proto/objects/task.ts';
import { rfc3339 } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { FakeAgent } from '../../../fixtures/fake-agent.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

/** Nanoseconds. */
export const SECOND = 1e9;

export function isWanted(task: TaskObject): boolean {
  return compareTaskStates(task.DesiredState, 'running') <= 0;
}

/** A store, the orchestrator on it and an agent for all nodes, in virtual time. */
export class OrchestratedSwarm {
  readonly clock = new VirtualClock();
  readonly store: StateStore = memoryStore({ clock: this.clock });
  readonly agent = new FakeAgent({ store: this.store, clock: this.clock });
  #orchestrator = this.#newLeader();
  #ids = 0;

  /** Nodes are named n1, n2 … */
  async start(nodes: number, clusterSpec: Partial<ClusterSpec> = {}): Promise<void> {
    await this.store.update((tx) => {
      tx.create('clusters', {
        ID: 'cluster',
        Spec: { Name: 'default', ...clusterSpec },
        JoinTokens: { Worker: '', Manager: '' },
        RootCA: { Certificate: '', Key: '' },
        DefaultAddrPool: [],
        SubnetSize: 24,
        DataPathPort: 4789,
        Keys: [],
        RemovedNodes: [],
      });
    });
    for (let number = 1; number <= nodes; number++) await this.addNode(`n${number}`);
    await this.#orchestrator.start();
  }

  stop(): Promise<void> {
    return this.#orchestrator.stop();
  }

  /** The orchestrator stops where it is; another one, which knows nothing but the store, takes over. */
  async changeLeader(): Promise<void> {
    await this.#orchestrator.stop();
    this.#orchestrator = this.#newLeader();
    await this.#orchestrator.start();
  }

  /** Lets time pass; tasks move along every 100 ms. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 100) {
      await this.agent.step();
      await this.clock.advance(Math.min(100, ms - passed));
    }
  }

  async addNode(id: string): Promise<void> {
    await this.store.update((tx) => {
      tx.create('nodes', {
        ID: id,
        Spec: { Role: 'worker', Availability: 'active' },
        Status: { State: 'ready' },
        CertificateRole: 'worker',
      });
    });
  }

  async changeNode(id: string, change: (node: NodeObject) => Partial<NodeObject>): Promise<void> {
    await this.store.update((tx) => {
      const node = tx.get('nodes', id);
      if (node !== undefined) tx.update('nodes', { ...node, ...change(node) });
    });
  }

  async createService(spec: Partial<ServiceSpec>, template: TaskSpec = {}): Promise<string> {
    const ID = `service${++this.#ids}`;
    const Spec: ServiceSpec = {
      Name: ID,
      Mode: { Replicated: { Replicas: 1 } },
      TaskTemplate: { ContainerSpec: { Image: 'app:1' }, ...template },
      ...spec,
    };
    await this.store.update((tx) => tx.create('services', { ID, Spec, SpecVersion: 1 }));
    return ID;
  }

  async updateService(id: string, change: Partial<ServiceSpec>): Promise<void> {
    await this.store.update((tx) => {
      const service = this.service(id);
      tx.update('services', changed(service, { spec: { ...service.Spec, ...change }, registryAuthFrom: 'spec' }));
    });
  }

  async rollbackService(id: string): Promise<void> {
    await this.store.update((tx) => {
      tx.update('services', rolledBack(this.service(id), rfc3339(this.clock.now())));
    });
  }

  updateImage(id: string, image: string, spec: Partial<ServiceSpec> = {}): Promise<void> {
    const template = this.service(id).Spec.TaskTemplate;
    return this.updateService(id, { TaskTemplate: { ...template, ContainerSpec: { Image: image } }, ...spec });
  }

  service(id: string): ServiceObject {
    const service = this.store.view((tx) => tx.get('services', id));
    if (service === undefined) throw new Error(`no service ${id}`);
    return service;
  }

  /** Oldest first. */
  tasks(serviceId: string): TaskObject[] {
    return [...this.store.view((tx) => tx.find('tasks', 'service', serviceId))].sort(
      (a, b) => Date.parse(a.CreatedAt) - Date.parse(b.CreatedAt) || a.Slot - b.Slot,
    );
  }

  wanted(serviceId: string): TaskObject[] {
    return this.tasks(serviceId).filter(isWanted);
  }

  running(serviceId: string): TaskObject[] {
    return this.wanted(serviceId).filter((task) => task.Status.State === 'running');
  }

  /** Images of what runs, in order of slots. */
  images(serviceId: string): (string | undefined)[] {
    return this.running(serviceId)
      .sort((a, b) => a.Slot - b.Slot)
      .map((task) => task.Spec.ContainerSpec?.Image);
  }

  #newLeader(): Orchestrator {
    return new Orchestrator({}, { store: this.store, clock: this.clock, log: silentLog, random: () => 0.5 });
  }
}
