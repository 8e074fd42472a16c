import path from 'node:path';
import { EngineApiServer } from '../../manager/engineapi/server.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { type Startable, startAll, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { PluginServer } from '../../worker/network/plugin/plugin-server.ts';
import { DataDirLock } from './data-dir-lock.ts';
import { EngineSide } from './engine-side.ts';
import { allInterfaces, hasAddress, workingInterfaces } from './host-addresses.ts';
import { NodeBackend } from './node-backend.ts';
import type { DaemonOptions } from './options.ts';
import { checkEngine, engineAway } from './preflight.ts';

export interface DaemonModules {
  clock: Clock;
  random: Random;
  log: Log;
  onFatal: (error: Error) => void;
}

const ANSWER_MS = 5_000;
/** An engine that starts together with us answers when its containers run, and those may be waiting for us. */
const STARTING_MS = 1_500;

/**
 * One node: after the lock on its directory the plugin's socket first, since an engine that starts looks for it; then the connection
 * to the engine, the membership of the swarm, and last the API, whose socket says that the node is ready.
 */
export class Daemon implements Startable {
  readonly #options: DaemonOptions;
  readonly #modules: DaemonModules;
  readonly #engineSide: EngineSide;
  readonly #parts: readonly Startable[];

  constructor(options: DaemonOptions, modules: DaemonModules) {
    this.#options = options;
    this.#modules = modules;
    this.#engineSide = new EngineSide(options, modules);
    const plugin = new PluginServer({ socketPath: path.join(options.pluginDir, 'waggle.sock') }, modules);
    const backend = new NodeBackend(options, {
      ...modules,
      engineSide: this.#engineSide,
      plugin,
      interfaces: workingInterfaces,
      allInterfaces,
      hasAddress,
      preflight: () => this.#checkEngine(ANSWER_MS),
    });
    const api = new EngineApiServer(
      { socketPath: options.apiSocket, engineSocketPath: options.engineSocket },
      { ...modules, backend },
    );
    this.#parts = [new DataDirLock(options), plugin, this.#engineSide, backend, api];
  }

  async start(): Promise<void> {
    // A swarm of the engine's own would fight ours for names and ports; an engine that is away may yet come.
    await this.#checkEngine(STARTING_MS).catch((error: unknown) => {
      if (!(error instanceof WaggleError) || error.code === 'failed-precondition') throw error;
      this.#modules.log.warn({ reason: error.message }, 'no Docker Engine yet, waiting for it');
    });
    await startAll(this.#parts);
  }

  stop(): Promise<void> {
    return stopAll(this.#parts);
  }

  async #checkEngine(timeoutMs: number): Promise<void> {
    const { engineSocket } = this.#options;
    const info = await this.#engineSide.engine
      .call((docker) => docker.info() as Promise<object>, { timeoutMs })
      .catch((error: unknown) => {
        throw new WaggleError('unavailable', engineAway(engineSocket, messageOf(error)), { cause: error });
      });
    checkEngine(info, engineSocket);
  }
}
