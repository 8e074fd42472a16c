import type { RaftId } from '../../../../manager/raft/core/entry.ts';
import type { Message } from '../../../../manager/raft/core/message.ts';
import { RaftNode, type RaftNodeOptions } from '../../../../manager/raft/raft-node.ts';
import type { RaftTransport } from '../../../../manager/raft/transport.ts';
import { StateStore } from '../../../../manager/store/state-store.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { newService } from '../store/objects.ts';
import { MemoryDisk, MemoryLog } from './log/memory-log.ts';

export const TICK_MS = 10;

export interface GroupMember {
  id: RaftId;
  node: RaftNode;
  store: StateStore;
  disk: MemoryDisk;
  fatal: Error[];
}

/** RaftNodes with state stores that talk to each other in memory, on one virtual clock and disks that survive them. */
export class NodeGroup {
  readonly clock = new VirtualClock();
  readonly members = new Map<RaftId, GroupMember>();
  /** Members that nothing reaches and that reach nobody. */
  readonly cut = new Set<RaftId>();
  /** Messages that are lost. */
  drop: (message: Message) => boolean = () => false;
  readonly #options: Partial<RaftNodeOptions>;
  readonly #disks = new Map<RaftId, MemoryDisk>();
  #seed = 0;

  constructor(options: Partial<RaftNodeOptions> = {}) {
    this.#options = options;
  }

  /** @param bootstrap begins a cluster of one. The same ID again is a restart on the same disk. */
  async start(id: RaftId, bootstrap = false, forceNewCluster = false): Promise<GroupMember> {
    const disk = this.#disks.get(id) ?? new MemoryDisk();
    this.#disks.set(id, disk);
    const store = new StateStore({}, { clock: this.clock });
    const fatal: Error[] = [];
    const node = new RaftNode(
      {
        id,
        tickMs: TICK_MS,
        electionTicks: 10,
        heartbeatTicks: 2,
        snapshotInterval: 1000,
        entriesForSlowFollowers: 2,
        keepOldSnapshots: 0,
        ...this.#options,
        bootstrap,
        forceNewCluster,
      },
      {
        log: new MemoryLog(disk),
        stateMachine: store,
        transport: this.#transport(id),
        clock: this.clock,
        random: () => ((this.#seed = (this.#seed + 0.37) % 1), this.#seed),
        logger: silentLog,
        onFatal: (error) => fatal.push(error),
      },
    );
    store.connect(node);
    const member = { id, node, store, disk, fatal };
    this.members.set(id, member);
    await node.start();
    await settle();
    return member;
  }

  /** A cluster of `count`, led by member 1. */
  static async of(count: number, options: Partial<RaftNodeOptions> = {}): Promise<NodeGroup> {
    const group = new NodeGroup(options);
    const { node } = await group.start(1, true);
    for (let id = 2; id <= count; id++) {
      await group.start(id);
      const changed = node.changeMembers({ changes: [{ kind: 'add-voter', id }] });
      await group.pass(5);
      await changed;
    }
    await group.pass(5);
    return group;
  }

  /** Lets ticks pass. */
  async pass(ticks: number): Promise<void> {
    await this.clock.advance(ticks * TICK_MS);
  }

  member(id: RaftId): GroupMember {
    const member = this.members.get(id);
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  leader(): GroupMember {
    const leader = [...this.members.values()].find(({ node }) => node.leadership.isLeader);
    if (leader === undefined) throw new Error('nobody leads');
    return leader;
  }

  /** As kill -9: nothing of it goes on, the disk stays. */
  async crash(id: RaftId): Promise<void> {
    this.cut.add(id);
    await this.member(id).node.stop();
    this.members.delete(id);
    this.cut.delete(id);
  }

  async stop(): Promise<void> {
    for (const { node } of this.members.values()) await node.stop();
  }

  #transport(from: RaftId): RaftTransport {
    const reaches = (to: RaftId): boolean => !this.cut.has(from) && !this.cut.has(to);
    return {
      setMembers: () => undefined,
      send: (messages) => {
        for (const message of messages) {
          if (!reaches(message.to) || this.drop(message)) continue;
          // On its way: what is sent is not received in the same turn.
          setImmediate(() => this.members.get(message.to)?.node.receive(message));
        }
      },
      sendSnapshot: async (message, chunks) => {
        const state = [...chunks];
        await settle();
        const receiver = this.members.get(message.to);
        if (receiver === undefined || !reaches(message.to) || this.drop(message)) throw new Error('not reached');
        await receiver.node.receiveSnapshot(message, inTurn(state));
      },
    };
  }
}

async function* inTurn(chunks: readonly Uint8Array[]): AsyncIterable<Uint8Array> {
  for (const chunk of chunks) yield await Promise.resolve(chunk);
}

export const write = (store: StateStore, id: string): Promise<void> =>
  store.update((tx) => tx.create('services', newService(id, id)));
export const idsIn = (store: StateStore): string[] =>
  store.view((tx) => [...tx.all('services')].map((service) => service.ID).toSorted());
