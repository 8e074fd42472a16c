import type { ControlApi } from '../../manager/controlapi/control-api.ts';
import { renderNetwork } from '../../manager/controlapi/render/network.ts';
import type { NetworkMapping } from '../../manager/engineapi/backend.ts';
import type { AssignedNetwork } from '../../worker/network/assigned-network.ts';
import type { Json } from '../../proto/objects/meta.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { firstFound } from '../../proto/runtime/first-found.ts';
import { findNetwork } from './network-lookup.ts';
import type { SwarmMember } from './swarm-member.ts';
import { notAttachable } from './swarm-texts.ts';

/** An assignment may be this much behind a request that names its network. */
const NETWORK_WAIT_MS = 500;
const TWIN_WAIT_MS = 3_000;

export interface MemberNetworksModules {
  /** Undefined while this node is in no swarm, or not yet. */
  member: () => SwarmMember | undefined;
  clock: Clock;
}

/** The swarm's networks as this node has them: what the Engine API asks of the host's side of them. */
export class MemberNetworks {
  readonly #modules: MemberNetworksModules;

  constructor(modules: MemberNetworksModules) {
    this.#modules = modules;
  }

  mappings(): readonly NetworkMapping[] {
    return this.#modules.member()?.worker.networks.mappings() ?? [];
  }

  /** Those assigned to this node, as the Engine API shows them. */
  known(): { [key: string]: Json }[] {
    const networks = this.#modules.member()?.worker.agent.tasks.assigned.networks.values() ?? [];
    return [...networks].map((network) => renderNetwork(network));
  }

  /** See Backend.ensureLocalNetwork. */
  async ensure(ref: string): Promise<NetworkMapping | undefined> {
    const { member: present, clock } = this.#modules;
    const member = present();
    if (member === undefined) return undefined;
    const { assigned } = member.worker.agent.tasks;
    const stored = member.manager?.store.view((tx) => findNetwork([...tx.all('networks')], ref));
    if (stored !== undefined && stored.Spec.Attachable !== true) throw notAttachable(stored.Spec.Name);
    // A manager knows whether there is such a network; a worker may hear of it a moment later.
    const waitMs = stored === undefined && member.manager !== undefined ? 0 : NETWORK_WAIT_MS;
    const look = (): AssignedNetwork | undefined => findNetwork([...assigned.networks.values()], ref);
    const network = look() ?? (await firstFound({ waitMs, clock }, look, (changed) => assigned.onChange(changed)));
    if (network === undefined) return undefined;
    if (network.Spec.Attachable !== true) throw notAttachable(network.Spec.Name);
    await member.worker.networks.ensure(network.ID);
    return this.#twinOf(network.ID);
  }

  /** Resolves when this node's own engine has the new network too: what is run on it next finds it. */
  async create(
    control: ControlApi,
    args: Parameters<ControlApi['createNetwork']>[0],
  ): ReturnType<ControlApi['createNetwork']> {
    const created = await control.createNetwork(args);
    const networks = this.#modules.member()?.worker.networks;
    if (args.spec.Attachable === true && networks !== undefined) {
      const within = { waitMs: TWIN_WAIT_MS, clock: this.#modules.clock };
      const look = (): NetworkMapping | undefined => this.#twinOf(created.Id);
      await firstFound(within, look, (changed) => networks.onChange(changed));
    }
    return created;
  }

  #twinOf(networkId: string): NetworkMapping | undefined {
    return this.mappings().find((mapping) => mapping.clusterId === networkId);
  }
}
