import type Docker from 'dockerode';
import type { NodeDescription } from '../../proto/objects/node.ts';
import type { TaskObject, TaskStatus } from '../../proto/objects/task.ts';
import { invariant } from '../../proto/runtime/assert.ts';
import { isTemporary, messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { type Controller, ExitError, TaskError } from '../exec/controller.ts';
import { type ContainerConfig, containerConfig, graceSeconds, TASK_ID_LABEL } from './container-config.ts';
import { outcomeOf, readinessOf, unhealthyError, wasStarted } from './container-outcome.ts';
import {
  ContainerWatch,
  type ContainerWatchModules,
  type ContainerWatchOptions,
  DEFAULT_CONTAINER_WATCH_OPTIONS,
  inspectContainer,
} from './container-watch.ts';
import { isAway, isConflict, isMissingImage, isNotFound, isUnchanged, taskError } from './engine-error.ts';
import { type EnginePorts, publishedPorts } from './host-ports.ts';
import type { ImagePuller } from './image-puller.ts';
import { imageReferenceText, parseImageReference } from './image-reference.ts';
import { type LocalNetwork, overlayAttachments } from './task-networks.ts';

export interface ContainerControllerOptions {
  watch: ContainerWatchOptions;
  /** Do not pull an image that is on the node already. */
  preferLocalImages: boolean;
  /** A task whose network cannot be had for so long is rejected (Docker waits as long for attachments). */
  networkWaitMs: number;
  /** Longest time that the engine may take to create or start a container. */
  changeTimeoutMs: number;
  /** Time that the engine gets to answer a stop or removal, beyond the container's own grace period. */
  stopMarginMs: number;
}

export const DEFAULT_CONTAINER_CONTROLLER_OPTIONS: ContainerControllerOptions = {
  watch: DEFAULT_CONTAINER_WATCH_OPTIONS,
  preferLocalImages: false,
  networkWaitMs: 30_000,
  changeTimeoutMs: 120_000,
  stopMarginMs: 30_000,
};

export interface ContainerControllerModules extends ContainerWatchModules {
  images: Pick<ImagePuller, 'pull' | 'isLocal'>;
  networks: TwinNetworks;
  /** This node, for templates. */
  describe: () => Promise<NodeDescription>;
  log: Log;
}

/** The engine's twins of swarm networks (local-networks.ts). */
export interface TwinNetworks {
  /** Makes the twin if need be. @returns its name in the engine. @throws WaggleError not-found, failed-precondition. */
  ensure(networkId: string): Promise<string>;
}

const DEFAULT_GRACE_SECONDS = 10;

/** A 500 is tried again this often: the engine may be busy, going down, or mean it. */
const MAX_SERVER_ERRORS = 3;

/**
 * One task as one container. The container is found by the label of its task, never remembered on disk, so that a
 * new daemon goes on where the last one was. Every method may be repeated.
 */
export class ContainerController implements Controller {
  readonly #options: ContainerControllerOptions;
  readonly #modules: ContainerControllerModules;
  #task: TaskObject;
  #containerId: string | undefined;
  /** Made by us and never told to start, so that nobody needs to look whether it has run. */
  #unstarted: string | undefined;
  /** A container of this task was asked for. */
  #created = false;
  #watched: ContainerWatch | undefined;
  #status: Pick<TaskStatus, 'ContainerStatus' | 'PortStatus'> = {};
  #serverErrors = 0;
  #networkMissingSince: number | undefined;

  constructor(options: ContainerControllerOptions & { task: TaskObject }, modules: ContainerControllerModules) {
    this.#options = options;
    this.#modules = { ...modules, log: modules.log.child({ module: 'worker/docker' }) };
    this.#task = options.task;
  }

  async update(task: TaskObject): Promise<void> {
    invariant(task.ID === this.#task.ID, 'a controller keeps its task');
    this.#task = task;
  }

  prepare(signal: AbortSignal): Promise<void> {
    return this.#step(signal, async () => {
      this.#containerId = undefined;
      const existing = this.#created ? await this.#find(signal) : undefined;
      if (existing !== undefined && wasStarted((await this.#inspect(existing, signal)).State)) return;
      const whole = existing === this.#unstarted ? existing : undefined;
      if (existing !== undefined && whole === undefined) await this.#delete(existing, signal);
      const networks = await this.#ensureNetworks(signal);
      const config = containerConfig(this.#task, networks, await this.#modules.describe());
      const id = whole ?? (await this.#make(config, signal));
      this.#containerId = id;
      if (config.connect.length > 0) await this.#connect(id, config, signal);
    });
  }

  start(signal: AbortSignal): Promise<void> {
    return this.#step(signal, async () => {
      const id = await this.#require(signal);
      const isNew = this.#unstarted === id;
      this.#unstarted = undefined;
      if (isNew || !wasStarted((await this.#inspect(id, signal)).State)) await this.#startContainer(id, signal);
      const readiness = await this.#watch(id).until(({ State }) => {
        const now = readinessOf(State);
        return now === 'waiting' ? undefined : now;
      }, signal);
      if (readiness === 'unhealthy') await this.#endUnhealthy(id, signal);
    });
  }

  wait(signal: AbortSignal): Promise<void> {
    return this.#step(signal, async () => {
      const id = await this.#require(signal);
      const outcome = await this.#watch(id).until(({ State }) => outcomeOf(State), signal);
      if (outcome.kind === 'complete') return;
      if (outcome.kind === 'failed') throw outcome.error;
      await this.#endUnhealthy(id, signal);
    });
  }

  shutdown(signal: AbortSignal): Promise<void> {
    return this.#step(signal, async () => {
      const id = await this.#find(signal);
      if (id !== undefined) await this.#stop(id, signal);
    });
  }

  async remove(signal: AbortSignal): Promise<void> {
    try {
      for (const id of await this.#list(signal)) await this.#delete(id, signal);
      this.#containerId = undefined;
      this.#unstarted = undefined;
      this.#unwatch();
    } catch (error) {
      signal.throwIfAborted();
      throw taskError(error, true);
    }
  }

  async status(): Promise<Pick<TaskStatus, 'ContainerStatus' | 'PortStatus'>> {
    const signal = new AbortController().signal;
    try {
      const id = this.#containerId ?? (await this.#find(signal));
      if (id === undefined) return {};
      if (id === this.#unstarted) return { ContainerStatus: { ContainerID: id, PID: 0, ExitCode: 0 } };
      const known = this.#watched?.containerId === id ? this.#watched : undefined;
      this.#status = this.#statusOf(await (known?.look(signal) ?? this.#inspect(id, signal)));
    } catch (error) {
      // The task's state does not depend on it, and what was true last is better than nothing.
      this.#modules.log.debug({ task: this.#task.ID, error: messageOf(error) }, 'container status unknown');
    }
    return this.#status;
  }

  #statusOf(container: Docker.ContainerInspectInfo): Pick<TaskStatus, 'ContainerStatus' | 'PortStatus'> {
    const { State: state } = container;
    const ports = publishedPorts(this.#task, (container.NetworkSettings?.Ports ?? {}) as EnginePorts);
    return {
      ContainerStatus: { ContainerID: container.Id, PID: state.Pid, ExitCode: state.ExitCode },
      ...(ports.length > 0 ? { PortStatus: { Ports: ports } } : {}),
    };
  }

  /** Runs one step; what it throws becomes the task's error, or a reason to try again. */
  async #step(signal: AbortSignal, run: () => Promise<void>): Promise<void> {
    try {
      await run();
      this.#serverErrors = 0;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ExitError || error instanceof TaskError) throw error;
      if (isNotFound(error)) this.#containerId = undefined;
      const refused = error instanceof WaggleError && error.code === 'internal';
      this.#serverErrors = refused ? this.#serverErrors + 1 : 0;
      throw taskError(error, isTemporary(error) || (refused && this.#serverErrors < MAX_SERVER_ERRORS));
    }
  }

  async #ensureNetworks(signal: AbortSignal): Promise<LocalNetwork[]> {
    const networks: LocalNetwork[] = [];
    for (const { NetworkID: networkId } of overlayAttachments(this.#task)) {
      signal.throwIfAborted();
      try {
        networks.push({ networkId, name: await this.#modules.networks.ensure(networkId) });
      } catch (error) {
        const now = this.#modules.clock.monotonic();
        this.#networkMissingSince ??= now;
        throw taskError(error, isAway(error) || now - this.#networkMissingSince < this.#options.networkWaitMs);
      }
    }
    this.#networkMissingSince = undefined;
    return networks;
  }

  /** Tags move, so an image is always pulled; what is here already serves when that fails. A digest never moves. */
  async #make(config: ContainerConfig, signal: AbortSignal): Promise<string> {
    const { images, log } = this.#modules;
    const reference = parseImageReference(this.#task.Spec.ContainerSpec?.Image ?? '');
    const fixed = reference.digest !== undefined || this.#options.preferLocalImages;
    if (fixed && (await images.isLocal(reference, signal))) return this.#create(config, signal);
    const failure = await images.pull(reference, this.#task.RegistryAuth, signal).catch((error: unknown) => {
      signal.throwIfAborted();
      if (error instanceof WaggleError && error.code === 'unavailable') throw error;
      return { error };
    });
    if (failure === undefined) return this.#create(config, signal);
    const fields = { task: this.#task.ID, image: imageReferenceText(reference), error: messageOf(failure.error) };
    try {
      const id = await this.#create(config, signal);
      log.warn(fields, 'image not pulled, local copy used');
      return id;
    } catch (error) {
      if (!isMissingImage(error)) throw error;
      if (isAway(failure.error)) throw failure.error;
      log.warn(fields, 'image neither pulled nor on this node');
      throw new TaskError(`No such image: ${fields.image}`, { temporary: false, cause: failure.error });
    }
  }

  async #create(config: ContainerConfig, signal: AbortSignal): Promise<string> {
    // Given as one object dockerode would put all of it into the URL as well.
    const request = { _query: { name: config.name }, _body: config.create };
    this.#created = true;
    try {
      const container = await this.#engine(
        (docker, abortSignal) => docker.createContainer({ ...request, abortSignal }),
        signal,
        this.#options.changeTimeoutMs,
      );
      this.#unstarted = container.id;
      return container.id;
    } catch (error) {
      if (!isConflict(error)) throw error;
      const earlier = await this.#earlier(config.name, error, signal);
      if (wasStarted(earlier.State)) return earlier.Id;
      await this.#delete(earlier.Id, signal);
      return await this.#create(config, signal);
    }
  }

  /**
   * The name is taken: by an earlier try of ours that nobody heard the answer of, or by a stranger. An engine that ends while it creates
   * leaves a container without networks or mounts behind, which starts like any other: one that has not run yet is to be made anew.
   */
  async #earlier(name: string, conflict: unknown, signal: AbortSignal): Promise<Docker.ContainerInspectInfo> {
    try {
      const container = await this.#inspect(name, signal);
      if (container.Config.Labels?.[TASK_ID_LABEL] === this.#task.ID) return container;
    } catch (error) {
      if (!isNotFound(error)) throw error;
      throw new WaggleError('aborted', messageOf(conflict), { cause: conflict });
    }
    throw taskError(conflict, false);
  }

  /** Joins the networks that did not fit into the creation, each once. */
  async #connect(id: string, config: ContainerConfig, signal: AbortSignal): Promise<void> {
    const container = await this.#inspect(id, signal);
    for (const { network, endpoint } of config.connect) {
      if (container.NetworkSettings.Networks[network] !== undefined) continue;
      const request = { Container: id, EndpointConfig: endpoint };
      await this.#engine((docker) => docker.getNetwork(network).connect(request) as Promise<unknown>, signal);
    }
  }

  /** @throws WaggleError; what the engine refuses has Docker's words before it. */
  async #startContainer(id: string, signal: AbortSignal): Promise<void> {
    await this.#engine(
      (docker, abortSignal) => docker.getContainer(id).start({ abortSignal }) as Promise<unknown>,
      signal,
      this.#options.changeTimeoutMs,
    ).catch((error: unknown) => {
      if (isUnchanged(error)) return;
      signal.throwIfAborted();
      if (!(error instanceof WaggleError) || isAway(error) || isNotFound(error)) throw error;
      throw new WaggleError(error.code, `starting container failed: ${error.message}`, { cause: error });
    });
  }

  /** The engine sends the stop signal, waits the grace period, and kills. */
  async #stop(id: string, signal: AbortSignal): Promise<void> {
    const seconds = graceSeconds(this.#task.Spec.ContainerSpec ?? {}) ?? DEFAULT_GRACE_SECONDS;
    await this.#engine(
      (docker, abortSignal) => docker.getContainer(id).stop({ t: seconds, abortSignal }) as Promise<unknown>,
      signal,
      seconds * 1000 + this.#options.stopMarginMs,
    ).catch(unless((error) => isUnchanged(error) || isNotFound(error)));
  }

  /** Stops a container for its health. Always throws what became of it. */
  async #endUnhealthy(id: string, signal: AbortSignal): Promise<never> {
    await this.#stop(id, signal);
    const exitCode = await this.#watch(id).until(({ State }) => (State.Running ? undefined : State.ExitCode), signal);
    throw unhealthyError(exitCode);
  }

  async #require(signal: AbortSignal): Promise<string> {
    const id = await this.#find(signal);
    if (id === undefined) throw new TaskError(`No such container: ${this.#task.ID}`, { temporary: false });
    return id;
  }

  async #find(signal: AbortSignal): Promise<string | undefined> {
    this.#containerId ??= (await this.#list(signal))[0];
    return this.#containerId;
  }

  async #list(signal: AbortSignal): Promise<string[]> {
    const filters = { label: [`${TASK_ID_LABEL}=${this.#task.ID}`] };
    const found = await this.#engine((docker) => docker.listContainers({ all: true, filters }), signal);
    return found.map((container) => container.Id);
  }

  /** Gone already is no error. @throws WaggleError aborted, to be tried again, while another removal is under way. */
  async #delete(id: string, signal: AbortSignal): Promise<void> {
    await this.#engine(
      (docker, abortSignal) => {
        const options = { force: true, v: true, abortSignal };
        return docker.getContainer(id).remove(options) as Promise<unknown>;
      },
      signal,
      this.#options.stopMarginMs,
    ).catch((error: unknown) => {
      if (isNotFound(error)) return;
      if (isConflict(error)) throw new WaggleError('aborted', messageOf(error), { cause: error });
      throw error;
    });
  }

  #inspect(id: string, signal: AbortSignal): Promise<Docker.ContainerInspectInfo> {
    return inspectContainer(id, signal, this.#modules.engine);
  }

  #watch(id: string): ContainerWatch {
    if (this.#watched?.containerId === id) return this.#watched;
    this.#unwatch();
    this.#watched = new ContainerWatch(id, this.#options.watch, this.#modules);
    return this.#watched;
  }

  #unwatch(): void {
    this.#watched?.close();
    this.#watched = undefined;
  }

  #engine<T>(
    request: (docker: Docker, abortSignal: AbortSignal) => Promise<T>,
    signal: AbortSignal,
    timeoutMs?: number,
  ): Promise<T> {
    return this.#modules.engine.call(request, { signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) });
  }
}

/** Swallows exactly the failures that mean: it is so already. */
function unless(expected: (error: unknown) => boolean): (error: unknown) => undefined {
  return (error) => {
    if (!expected(error)) throw error;
    return undefined;
  };
}
