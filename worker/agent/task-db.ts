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

/** What the agent must know after a restart without a manager. */
export class TaskDb {
  readonly tasks: FileTable<TaskRow>;
  readonly networks: FileTable<AssignedNetwork>;

  constructor(options: { dataDir: string }) {
    this.tasks = new FileTable(path.join(options.dataDir, 'agent', 'tasks'));
    this.networks = new FileTable(path.join(options.dataDir, 'agent', 'networks'));
  }

  /** Everything is gone: the node has left its swarm. */
  async destroy(): Promise<void> {
    await this.tasks.destroy();
    await this.networks.destroy();
  }
}
