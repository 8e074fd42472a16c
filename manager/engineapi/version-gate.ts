import type { Clock } from '../../proto/runtime/clock.ts';
import type { EngineClient } from './engine-client.ts';

/** An engine may be upgraded beneath us; that takes longer. */
const FRESH_MS = 10_000;

export interface EngineVersions {
  newest: string;
  oldest: string;
  server: string;
  experimental: boolean;
}

interface VersionAnswer {
  ApiVersion?: string;
  MinAPIVersion?: string;
  Version?: string;
  Experimental?: boolean;
}

/** Which API versions the host's engine speaks; ours are the same, since most calls end there. */
export class VersionGate {
  readonly #engine: EngineClient;
  readonly #clock: Clock;
  #known: EngineVersions | undefined;
  #askedAtMs = Number.NEGATIVE_INFINITY;

  constructor(modules: { engine: EngineClient; clock: Clock }) {
    this.#engine = modules.engine;
    this.#clock = modules.clock;
  }

  /** Undefined when the engine has never been reached. */
  async versions(signal: AbortSignal): Promise<EngineVersions | undefined> {
    if (this.#clock.monotonic() - this.#askedAtMs < FRESH_MS) return this.#known;
    try {
      const answer = await this.#engine.json<VersionAnswer>({
        method: 'GET',
        path: '/version',
        signal,
      });
      this.#known = {
        newest: answer.ApiVersion ?? '',
        oldest: answer.MinAPIVersion ?? '',
        server: answer.Version ?? '',
        experimental: answer.Experimental === true,
      };
      this.#askedAtMs = this.#clock.monotonic();
    } catch {
      // Swarm calls go on without the engine: a version we cannot check is let through.
    }
    return this.#known;
  }
}

/** Whether the engine would serve `version`; a request without one gets the newest. */
export function isServed(version: string | undefined, versions: EngineVersions): boolean {
  if (version === undefined || versions.newest === '') return true;
  return compareVersions(version, versions.newest) <= 0 && compareVersions(version, versions.oldest) >= 0;
}

/** By number, part by part: 1.9 comes before 1.10. */
function compareVersions(a: string, b: string): number {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
