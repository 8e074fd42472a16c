import { Engine, DEFAULT_ENGINE_OPTIONS } from '../../worker/docker/engine.ts';
import { DEFAULT_ENGINE_EVENTS_OPTIONS, EngineEvents } from '../../worker/docker/events.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { type Startable, startAll, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';

/** The daemon's one connection to the host's engine, in a swarm or not. */
export class EngineSide implements Startable {
  readonly engine: Engine;
  readonly events: EngineEvents;

  constructor(options: { engineSocket: string }, modules: { clock: Clock; random: Random; log: Log }) {
    this.engine = new Engine({ ...DEFAULT_ENGINE_OPTIONS, socketPath: options.engineSocket }, modules);
    this.events = new EngineEvents(DEFAULT_ENGINE_EVENTS_OPTIONS, { ...modules, engine: this.engine });
  }

  start(): Promise<void> {
    return startAll([this.events]);
  }

  async stop(): Promise<void> {
    await stopAll([this.events]);
    this.engine.close();
  }
}
