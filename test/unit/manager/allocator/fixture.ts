import type { NetworkObject, NetworkSpec } from '../../../../proto/objects/network.ts';
import type { ServiceObject, ServiceSpec } from '../../../../proto/objects/service.ts';
import type { TaskObject } from '../../../../proto/objects/task.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { Allocator } from '../../../../manager/allocator/allocator.ts';
import { AttachmentAllocator } from '../../../../manager/resourceapi/attachment-allocator.ts';
import { StateStore, type StateStoreOptions } from '../../../../manager/store/state-store.ts';
import type { ApplyResult, NewObject, Proposer, StateMachine, WriteTx } from '../../../../manager/store/transaction.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

export function newNetwork(id: string, spec: Partial<NetworkSpec> = {}): NewObject<'networks'> {
  return { ID: id, Spec: { Name: id, Attachable: true, ...spec } };
}

export function newService(id: string, spec: Partial<ServiceSpec> = {}): NewObject<'services'> {
  return { ID: id, SpecVersion: 1, Spec: { Name: id, TaskTemplate: {}, ...spec } };
}

export function newTask(id: string, fields: Partial<TaskObject> = {}): NewObject<'tasks'> {
  return {
    ID: id,
    Spec: {},
    ServiceID: '',
    Slot: 1,
    NodeID: '',
    Status: { Timestamp: '2024-01-01T00:00:00Z', State: 'new', Message: 'created' },
    DesiredState: 'running',
    SpecVersion: 1,
    ServiceAnnotations: { Name: 'svc' },
    ...fields,
  };
}

/**
 * A log whose proposals can go wrong: `refused` are never committed, `late` are, after their proposer was told of a
 * failure, but before anything that was proposed after them, as in Raft under one leader.
 */
export class FlakyProposer implements Proposer {
  mode: 'ok' | 'refused' | 'late' = 'ok';
  proposals = 0;
  #late: Uint8Array[] = [];
  #index = 0;
  readonly #machine: StateMachine;

  constructor(machine: StateMachine) {
    this.#machine = machine;
  }

  async propose(data: Uint8Array): Promise<ApplyResult> {
    this.proposals++;
    const { mode } = this;
    await Promise.resolve();
    if (mode === 'late') this.#late.push(data);
    if (mode === 'ok') {
      this.flush();
      return this.#machine.apply(++this.#index, data);
    }
    throw new WaggleError('unavailable', 'no leader');
  }

  /** Takes what is late aside, so that others may be flushed before it. */
  hold(): Uint8Array[] {
    const late = this.#late;
    this.#late = [];
    return late;
  }

  resume(held: readonly Uint8Array[]): void {
    this.#late.push(...held);
    this.flush();
  }

  /** Commits what is late, in one turn, as a new leader does before its own first entry. */
  flush(): void {
    const late = this.#late;
    this.#late = [];
    for (const data of late) this.#machine.apply(++this.#index, data);
  }
}

/** A store in memory with an allocator that can be stopped and started, in virtual time. */
export class AllocatorBench {
  readonly clock = new VirtualClock();
  readonly store: StateStore;
  readonly proposer: FlakyProposer;
  allocator: Allocator;
  attachments: AttachmentAllocator;

  constructor(options: StateStoreOptions = {}) {
    this.store = new StateStore(options, { clock: this.clock });
    this.proposer = new FlakyProposer(this.store);
    this.store.connect(this.proposer);
    [this.allocator, this.attachments] = this.#leader();
  }

  async start(): Promise<void> {
    await this.allocator.start();
    await this.settle();
  }

  /** Changes by somebody else, all committed in one turn: more than a short watch can take. */
  async burst(writes: readonly ((tx: WriteTx) => void)[]): Promise<void> {
    const { mode } = this.proposer;
    this.proposer.mode = 'late';
    const written = writes.map((write) => this.store.update(write).catch(() => undefined));
    this.proposer.mode = mode;
    await Promise.all(written);
    this.proposer.flush();
  }

  /** What a change of leader does: everything in memory is gone. */
  async restart(): Promise<void> {
    await this.allocator.stop();
    this.proposer.flush();
    [this.allocator, this.attachments] = this.#leader();
    await this.start();
  }

  async settle(ms = 100): Promise<void> {
    await this.clock.advance(ms);
  }

  network(id: string): NetworkObject {
    return present(this.store.view((tx) => tx.get('networks', id)));
  }

  service(id: string): ServiceObject {
    return present(this.store.view((tx) => tx.get('services', id)));
  }

  task(id: string): TaskObject {
    return present(this.store.view((tx) => tx.get('tasks', id)));
  }

  /** The address of a task on its first network, without prefix length. */
  addressOf(id: string): string | undefined {
    return this.task(id).NetworksAttachments?.[0]?.Addresses[0]?.split('/')[0];
  }

  #leader(): [Allocator, AttachmentAllocator] {
    const modules = { store: this.store, clock: this.clock, log: silentLog };
    const allocator = new Allocator({}, modules);
    return [allocator, new AttachmentAllocator({}, { ...modules, addresses: allocator.addresses })];
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('no such object');
  return value;
}
