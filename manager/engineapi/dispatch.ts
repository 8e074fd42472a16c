import type { IncomingMessage, ServerResponse } from 'node:http';
import findMyWay from 'find-my-way';
import { WaggleError, messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { type Handler, type RequestTarget, type Route, parseTarget, sendError } from './exchange.ts';
import type { EngineProxy } from './proxy.ts';
import { type VersionGate, isServed } from './version-gate.ts';

/** Below these the engine has nothing of its own: what no route of ours takes is not there. */
const SWARM_PATHS = /^\/(?:swarm|nodes|services|tasks|secrets|configs|waggle)(?:\/|$)/;
const MAX_NAME_LENGTH = 4096;

interface Match {
  handler: Handler;
  params: Readonly<Record<string, string | undefined>>;
}

/** Sends each request to the route of ours that takes it, and everything else to the engine. */
export class Dispatch {
  readonly #router = findMyWay({ maxParamLength: MAX_NAME_LENGTH });
  readonly #proxy: EngineProxy;
  readonly #gate: VersionGate;
  readonly #log: Log;

  constructor(options: { routes: readonly Route[] }, modules: { proxy: EngineProxy; gate: VersionGate; log: Log }) {
    this.#proxy = modules.proxy;
    this.#gate = modules.gate;
    this.#log = modules.log.child({ module: 'manager/engineapi' });
    for (const route of options.routes) this.#router.on(route.method, route.path, () => undefined, route.handle);
  }

  /** True for what the engine answers alone; only such a request may be joined to it as a raw connection. */
  isEngines(req: IncomingMessage): boolean {
    const target = parseTarget(req.url ?? '/');
    return this.#match(req, target) === undefined && !SWARM_PATHS.test(target.path);
  }

  /** Never rejects: every failure becomes an answer. */
  async handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const target = parseTarget(req.url ?? '/');
    const match = this.#match(req, target);
    if (match === undefined && !SWARM_PATHS.test(target.path)) return this.#proxy.forward(req, res);
    const gone = new AbortController();
    // An abort is dear, and after a whole answer nobody is left to hear of it.
    res.on('close', () => {
      if (!res.writableFinished) gone.abort();
    });
    try {
      const versions = await this.#gate.versions(gone.signal);
      if (versions !== undefined && !isServed(target.version, versions)) return this.#proxy.forward(req, res);
      if (versions !== undefined) {
        res.setHeader('Api-Version', versions.newest);
        res.setHeader('Docker-Experimental', String(versions.experimental));
        res.setHeader('Ostype', 'linux');
        res.setHeader('Server', `Docker/${versions.server} (linux)`);
      }
      if (match === undefined) throw new WaggleError('not-found', 'page not found');
      await match.handler({ req, res, target, params: match.params, signal: gone.signal });
    } catch (error) {
      if (gone.signal.aborted) return;
      this.#log.debug({ method: req.method, path: target.path, error: messageOf(error) }, 'request failed');
      sendError(res, error);
    }
  }

  #match(req: IncomingMessage, target: RequestTarget): Match | undefined {
    const found = this.#router.find((req.method ?? 'GET') as 'GET', target.path);
    if (found === null || Object.values(found.params).includes('')) return undefined;
    return { handler: found.store as Handler, params: found.params };
  }
}
