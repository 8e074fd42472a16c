import type { NetworkCheck, NetworkTrace, TraceRequest } from '../../proto/objects/diagnosis/report.ts';
import type { NetworkObject } from '../../proto/objects/network.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ControlApi } from './control-api.ts';
import type { ControlModules } from './control-modules.ts';
import { resolve } from './resolve.ts';

type Methods = Pick<ControlApi, 'getNetworkCheck' | 'getNetworkTrace'>;

/** Names of networks are resolved here, and all else is left to the diagnosis. */
export class DiagnosisControl implements Methods {
  readonly #modules: ControlModules;

  constructor(modules: ControlModules) {
    this.#modules = modules;
  }

  async getNetworkCheck({ network }: { network?: string }): Promise<NetworkCheck> {
    return this.#modules.diagnosis.check(this.#network(network)?.ID);
  }

  async getNetworkTrace({ network, ...request }: TraceRequest & { network?: string }): Promise<NetworkTrace> {
    const { from, to } = request;
    if (from === '') throw new WaggleError('invalid-argument', 'from: a container or task must be given');
    if (to === '') throw new WaggleError('invalid-argument', 'to: a container, task or address must be given');
    return this.#modules.diagnosis.trace(request, this.#network(network));
  }

  #network(ref: string | undefined): NetworkObject | undefined {
    if (ref === undefined || ref === '') return undefined;
    return this.#modules.store.view((tx) => resolve(tx, 'networks', ref));
  }
}
