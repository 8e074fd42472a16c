import type { NodeDescription } from '../../proto/objects/node.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import type { Controller, Executor } from '../exec/controller.ts';
import { NODE_ID_LABEL, TASK_ID_LABEL } from './container-config.ts';
import {
  ContainerController,
  type ContainerControllerModules,
  type ContainerControllerOptions,
} from './container-controller.ts';
import { describeNode } from './describe-node.ts';
import { isNotFound } from './engine-error.ts';

export interface DockerExecutorOptions extends ContainerControllerOptions {
  /** Tasks of another node ID (an earlier membership of this host) are not ours. */
  nodeId: string;
}

/** Runs tasks as containers of the host's engine. */
export class DockerExecutor implements Executor {
  readonly #options: DockerExecutorOptions;
  readonly #modules: Omit<ContainerControllerModules, 'describe'>;
  #description: Promise<NodeDescription> | undefined;

  constructor(options: DockerExecutorOptions, modules: Omit<ContainerControllerModules, 'describe'>) {
    this.#options = options;
    this.#modules = modules;
  }

  controller(task: TaskObject): Controller {
    const describe = (): Promise<NodeDescription> => this.#describe();
    return new ContainerController({ ...this.#options, task }, { ...this.#modules, describe });
  }

  async existingTasks(): Promise<string[]> {
    const containers = await this.#containers();
    return [...new Set(containers.map((container) => container.taskId))];
  }

  /** Removes every task container of this node, for leaving a swarm. @throws the first failure, after trying all. */
  async removeAll(): Promise<void> {
    const results = await Promise.allSettled(
      (await this.#containers()).map(({ id }) =>
        this.#modules.engine
          .call((docker) => docker.getContainer(id).remove({ force: true, v: true }) as Promise<unknown>)
          .catch((error: unknown) => {
            if (!isNotFound(error)) throw error;
          }),
      ),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason as Error;
  }

  async #containers(): Promise<{ id: string; taskId: string }[]> {
    const filters = { label: [TASK_ID_LABEL, `${NODE_ID_LABEL}=${this.#options.nodeId}`] };
    const found = await this.#modules.engine.call((docker) => docker.listContainers({ all: true, filters }));
    return found.map((container) => ({ id: container.Id, taskId: container.Labels[TASK_ID_LABEL] ?? '' }));
  }

  /** A host's name and platform, as templates use them, do not change while an engine runs tasks. */
  #describe(): Promise<NodeDescription> {
    this.#description ??= describeNode(this.#modules.engine).catch((error: unknown) => {
      this.#description = undefined;
      throw error;
    });
    return this.#description;
  }
}
