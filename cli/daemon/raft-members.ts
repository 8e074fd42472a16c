import path from 'node:path';
import type { RaftId } from '../../manager/raft/core/entry.ts';
import type { GrpcTransport } from '../../manager/raft/grpc-transport.ts';
import { type RaftMember, raftMembers } from '../../manager/rolemanager/membership.ts';
import type { Store, Watch } from '../../manager/store/transaction.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { FileTable } from '../../worker/storage/file-table.ts';

const ROW = 'members';

export interface RaftMembersModules {
  store: Store;
  transport: GrpcTransport;
  log: Log;
}

/**
 * Where the other managers are: from the state store, and on disk for the time after a restart in which the store has not yet
 * been told by a leader.
 */
export class RaftMembers implements Startable {
  readonly #modules: RaftMembersModules;
  readonly #table: FileTable<RaftMember[]>;
  #members: readonly RaftMember[] = [];
  #watch: Watch | undefined;
  #following: Promise<void> = Promise.resolve();

  constructor(options: { dataDir: string }, modules: RaftMembersModules) {
    this.#modules = modules;
    this.#table = new FileTable(path.join(options.dataDir, 'raft-members'));
  }

  async start(): Promise<void> {
    this.#set((await this.#table.open()).get(ROW) ?? []);
    const { view, watch } = this.#modules.store.viewAndWatch(raftMembers, ['nodes']);
    this.#watch = watch;
    this.#learn(view);
    this.#following = this.#follow(watch);
  }

  async stop(): Promise<void> {
    this.#watch?.close();
    await this.#following;
  }

  addressOf(id: RaftId): string | undefined {
    return this.#members.find((member) => member.raftId === id)?.address;
  }

  nodeOf(id: RaftId): string | undefined {
    return this.#members.find((member) => member.raftId === id)?.nodeId;
  }

  /** What a leader said when this manager joined; the store takes over from there. */
  learn(members: readonly RaftMember[]): void {
    this.#learn(members);
  }

  async #follow(watch: Watch): Promise<void> {
    try {
      for await (const _events of watch) this.#learn(this.#modules.store.view(raftMembers));
    } catch (error) {
      this.#modules.log.warn({ error: messageOf(error) }, 'changes of the managers were missed, looking again');
      if (this.#watch !== watch) return;
      const { view, watch: next } = this.#modules.store.viewAndWatch(raftMembers, ['nodes']);
      this.#watch = next;
      this.#learn(view);
      this.#following = this.#follow(next);
    }
  }

  /** An empty list is that of a store that knows nothing yet. */
  #learn(members: readonly RaftMember[]): void {
    if (members.length === 0 || JSON.stringify(members) === JSON.stringify(this.#members)) return;
    this.#set(members);
    this.#table.put(ROW, [...members]).catch((error: unknown) => {
      this.#modules.log.warn(
        { error: messageOf(error) },
        'list of managers not on disk, tried again with the next change',
      );
    });
  }

  #set(members: readonly RaftMember[]): void {
    this.#members = members;
    this.#modules.transport.setMembers(new Map(members.map(({ raftId, address }) => [raftId, address])));
  }
}
