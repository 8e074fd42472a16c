import { Allocator } from '../../manager/allocator/allocator.ts';
import { newGossipKey } from '../../manager/ca/init-cluster.ts';
import type { Inquiry } from '../../manager/diagnosis/inquiry.ts';
import type { Dispatcher } from '../../manager/dispatcher/dispatcher.ts';
import { KeyManager } from '../../manager/keymanager/key-manager.ts';
import { Orchestrator } from '../../manager/orchestrator/orchestrator.ts';
import type { RaftGroup } from '../../manager/rolemanager/raft-group.ts';
import { RoleManager } from '../../manager/rolemanager/role-manager.ts';
import { AttachmentAllocator } from '../../manager/resourceapi/attachment-allocator.ts';
import { Scheduler } from '../../manager/scheduler/scheduler.ts';
import type { Store } from '../../manager/store/transaction.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { type Startable, startAll, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';

export interface LeaderModules {
  store: Store;
  raft: RaftGroup;
  /** Members that say themselves where they are (host:port), when that is not what the store has. */
  moved: () => ReadonlyMap<number, string>;
  /** Outlives one leadership: the RPC edge keeps hold of it. */
  dispatcher: Dispatcher;
  inquiry: Inquiry;
  clock: Clock;
  random: Random;
  log: Log;
}

/** Everything that runs on the leader only. Made anew for each time that this manager leads, so nothing of an older term lingers. */
export class LeaderPart implements Startable {
  readonly attachments: AttachmentAllocator;
  readonly roles: RoleManager;
  /** Ports that services hold, live. */
  readonly ports: () => readonly { serviceId: string; port: string }[];
  /** Addresses that are given out, live. */
  readonly holdings: () => readonly { holder: string; networkId: string; address: string }[];
  readonly #parts: readonly Startable[];

  constructor(modules: LeaderModules) {
    const { log } = modules;
    const allocator = new Allocator({}, modules);
    this.attachments = new AttachmentAllocator({}, { ...modules, addresses: allocator.addresses });
    this.roles = new RoleManager({ ...modules, log: log.child({ module: 'manager/rolemanager' }) });
    this.holdings = () => allocator.addresses.holdings();
    this.ports = () => allocator.ports;
    this.#parts = [
      allocator,
      new Scheduler({}, modules),
      new Orchestrator({}, { ...modules, log: log.child({ module: 'manager/orchestrator' }) }),
      new KeyManager({ ...modules, log: log.child({ module: 'manager/keymanager' }), newKey: newGossipKey }),
      this.roles,
      modules.inquiry,
      modules.dispatcher,
    ];
  }

  start(): Promise<void> {
    return startAll(this.#parts);
  }

  stop(): Promise<void> {
    return stopAll(this.#parts);
  }
}
