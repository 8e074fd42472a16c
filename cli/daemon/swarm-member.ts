import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import type { NewCluster } from '../../manager/ca/init-cluster.ts';
import type { Identity } from '../../worker/identity/identity.ts';
import { type Startable, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { MemberConfig } from './member-config.ts';
import { ManagerPart, type ManagerPartModules } from './manager-part.ts';
import { WorkerPart, type WorkerPartModules } from './worker-part.ts';

export interface SwarmMemberOptions {
  dataDir: string;
  execRoot: string;
  member: MemberConfig;
  /** The swarm to begin, for its first manager. */
  create?: Pick<NewCluster, 'cluster' | 'node'>;
}

export type SwarmMemberModules = WorkerPartModules & Omit<ManagerPartModules, 'source'>;

/** A node while it is in a swarm: the worker always, the manager when its certificate says so. */
export class SwarmMember implements Startable {
  readonly identity: Identity;
  readonly config: MemberConfig;
  readonly worker: WorkerPart;
  readonly manager: ManagerPart | undefined;

  constructor(options: SwarmMemberOptions, modules: SwarmMemberModules) {
    const { identity } = modules;
    const { member } = options;
    this.identity = identity;
    this.config = member;
    this.manager =
      member.raftId === undefined
        ? undefined
        : new ManagerPart(
            {
              dataDir: options.dataDir,
              listen: member.listen,
              raftId: member.raftId,
              ...(options.create === undefined ? {} : { create: options.create }),
            },
            { ...modules, source: identity },
          );
    const own = member.raftId === undefined ? [] : [`${member.advertise.host}:${member.advertise.port}`];
    this.worker = new WorkerPart({ ...options, managers: [...own, ...member.remoteAddrs] }, modules);
  }

  get control(): ControlApi | undefined {
    return this.manager?.control;
  }

  async start(): Promise<void> {
    await this.manager?.start();
    try {
      await this.worker.start();
    } catch (error) {
      await this.manager?.stop();
      throw error;
    }
  }

  stop(): Promise<void> {
    return stopAll(this.manager === undefined ? [this.worker] : [this.manager, this.worker]);
  }

  /** Everything of the swarm is gone from this host when it resolves, but for the files of identity and state. */
  async leave(): Promise<void> {
    await this.worker.leave();
    await this.manager?.stop();
  }
}
