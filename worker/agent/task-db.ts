import path from 'node:path';
import type { TaskObject, TaskStatus } from '../../proto/objects/task.ts';
import type { AssignedNetwork } from '../network/assigned-network.ts';
import { FileTable } from '../storage/file-table.ts';

/** A task of this node as it was last assigned, and how far this node has got with it. */
export interface TaskRow {
  task: TaskObject;
  status: TaskStatus;
  /** Not assigned any more: only to be ended and removed. */
  unassigned: boolean;
}

/**
 * What the agent must know after a restart without a manager. Task rows do not wait for the disk, which would cost every start of a
 * container half a second when many start at once: they outlive a killed daemon, and after a power failure the containers themselves,
 * found by their labels, tell what had been started.
 */
export class TaskDb {
  readonly tasks: FileTable<TaskRow>;
  readonly networks: FileTable<AssignedNetwork>;

  constructor(options: { dataDir: string }) {
    this.tasks = new FileTable(path.join(options.dataDir, 'agent', 'tasks'), { sync: false });
    this.networks = new FileTable(path.join(options.dataDir, 'agent', 'networks'));
  }

  /** Everything is gone: the node has left its swarm. */
  async destroy(): Promise<void> {
    await this.tasks.destroy();
    await this.networks.destroy();
  }
}
