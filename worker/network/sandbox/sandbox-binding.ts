import type { AssignedState } from '../assigned-network.ts';
import type { LocalNetworkEndpoint } from '../local-endpoint.ts';
import type { PluginBackend } from '../plugin/plugin-protocol.ts';
import type { Sandbox, Sandboxes } from './sandboxes.ts';

export interface SandboxBindingModules {
  sandboxes: Sandboxes;
  endpoints: () => readonly LocalNetworkEndpoint[];
  assigned: AssignedState;
}

/**
 * Tells the resolver which sandboxes there are: one for each namespace in which endpoints of ours are joined. Level-triggered;
 * `sync` may be called at any time.
 */
export class SandboxBinding {
  readonly #modules: SandboxBindingModules;
  readonly #bound = new Set<string>();

  constructor(modules: SandboxBindingModules) {
    this.#modules = modules;
  }

  /** Brings the resolver to what the endpoints say. Resolves when names resolve, or are about to, in every sandbox. */
  async sync(): Promise<void> {
    const wanted = this.#wanted();
    const gone = [...this.#bound].filter((key) => !wanted.has(key));
    for (const key of gone) this.#bound.delete(key);
    await Promise.all([
      ...gone.map((key) => this.#modules.sandboxes.remove(key)),
      ...[...wanted.values()].map((sandbox) => this.#put(sandbox)),
    ]);
  }

  #wanted(): Map<string, Sandbox> {
    return sandboxesOf(this.#modules.endpoints(), this.#modules.assigned);
  }

  #put(sandbox: Sandbox): Promise<void> {
    this.#bound.add(sandbox.sandboxKey);
    return this.#modules.sandboxes.put(sandbox);
  }

  /** The same backend, whose Join is answered only when the sandbox is known to the resolver. */
  wrap(backend: PluginBackend): PluginBackend {
    return {
      ...backend,
      'NetworkDriver.Join': async (request) => {
        const answer = await backend['NetworkDriver.Join'](request);
        // Only this one: others may be waiting for their container to start.
        const sandbox = this.#wanted().get(request.SandboxKey);
        if (sandbox !== undefined) await this.#put(sandbox);
        return answer;
      },
    };
  }
}

/** Pure: the sandboxes that joined endpoints make up, their networks in the order in which they were joined. */
export function sandboxesOf(
  endpoints: readonly LocalNetworkEndpoint[],
  assigned: Pick<AssignedState, 'networks'>,
): Map<string, Sandbox> {
  const sandboxes = new Map<string, Sandbox>();
  for (const endpoint of endpoints) {
    if (endpoint.state !== 'joined' || endpoint.sandboxKey === '') continue;
    const { sandboxKey, networkId, endpointId } = endpoint;
    const before = sandboxes.get(sandboxKey);
    const network = { networkId, name: assigned.networks.get(networkId)?.Spec.Name ?? networkId };
    sandboxes.set(sandboxKey, {
      sandboxKey,
      networks: [...(before?.networks ?? []), network],
      endpointIds: [...(before?.endpointIds ?? []), endpointId],
    });
  }
  return sandboxes;
}
