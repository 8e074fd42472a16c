import type { NodeWitness } from '../../manager/dispatcher/node-witness.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { Members } from '../../worker/gossip/members.ts';
import { askHost } from './host-probe.ts';

/** What the dispatcher asks, answered by this node's own gossip. */
export function gossipWitness(members: Members, modules: { clock: Clock }): NodeWitness {
  return {
    get: (nodeId) => members.get(nodeId),
    onChange: (listener) => members.onChange(listener),
    get awareness() {
      return members.awareness;
    },
    askHost: (address) => askHost(address, modules),
  };
}
