import path from 'node:path';
import { FileTable } from '../../worker/storage/file-table.ts';
import type { HostPort } from './addresses.ts';

const ROW = 'member';

/** Flags of `swarm init` and `swarm join`. */
export type AddressFlag = 'listen-addr' | 'advertise-addr' | 'data-path-addr';

/** How this node takes part in its swarm; kept beside its identity, from joining to leaving. */
export interface MemberConfig {
  listen: HostPort;
  advertise: HostPort;
  dataPathAddress: string;
  /** Interface that each of these addresses was on when it was chosen; see relocation.ts. */
  interfaces?: Record<string, string>;
  /** Flags by which an address itself was given, not found out or by its interface: while the daemon runs nothing else is taken in its place. */
  fixed?: AddressFlag[];
  /** Managers named when joining, host:port. */
  remoteAddrs: string[];
  /** Of a manager: its ID in Raft. */
  raftId?: number;
}

/** `<data-dir>/member/member.json`; there is one while, and only while, the node is in a swarm. */
export class MemberConfigStore {
  readonly #table: FileTable<MemberConfig>;

  constructor(options: { dataDir: string }) {
    this.#table = new FileTable(path.join(options.dataDir, 'member'));
  }

  async load(): Promise<MemberConfig | undefined> {
    return (await this.#table.open()).get(ROW);
  }

  async save(config: MemberConfig): Promise<void> {
    await this.#table.open();
    await this.#table.put(ROW, config);
  }

  remove(): Promise<void> {
    return this.#table.destroy();
  }
}
