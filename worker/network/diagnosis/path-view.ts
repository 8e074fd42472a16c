import type { PathEvidence, SandboxEvidence } from '../../../proto/objects/diagnosis/path.ts';
import type { EndpointRecord } from '../../gossip/endpoint-table.ts';
import { differencesOf } from '../overlay/differences.ts';
import { BRIDGE, lowerName, namespaceName, portName } from '../overlay/link-names.ts';
import type { Examination } from '../overlay/overlay.ts';
import type { HostLink } from '../overlay/overlay-kernel.ts';
import { choosePeers } from '../overlay/peer-choice.ts';
import { boundPorts } from '../overlay/shortcut-plan.ts';

const MAX_DIFFERENCES = 20;

export interface PathFacts {
  networkId: string;
  endpointId: string;
  /** The other end, without prefix length. */
  peer: string;
  examination: Examination;
  records: readonly EndpointRecord[];
  sandbox: SandboxEvidence | { error: string };
  underlay: HostLink | undefined;
  guard: PathEvidence['guard'];
}

/** Pure: what bears on the way from an endpoint of this node to the peer, and back to the endpoint. */
export function pathEvidence(facts: PathFacts): PathEvidence {
  const { desired, observed } = facts.examination;
  const { vxlan, bridge } = observed;
  const name = portName(facts.endpointId);
  const port = observed.ports.get(name);
  const namespace = namespaceName(facts.networkId);
  return {
    ...('error' in facts.sandbox
      ? { sandboxError: facts.sandbox.error }
      : { sandboxError: '', sandbox: facts.sandbox }),
    namespace,
    namespaceExists: observed.namespace,
    bridgeUp: bridge?.up === true,
    port: {
      name,
      exists: boundPorts(observed).has(name),
      // A lower link that is down takes the container's link down with it.
      up: port?.up === true && observed.route.lowers.get(lowerName(facts.endpointId))?.up !== false,
      onBridge: port?.master === BRIDGE,
      mtu: port?.mtu ?? 0,
    },
    ...(vxlan === undefined
      ? {}
      : {
          vxlan: {
            up: vxlan.up,
            onBridge: vxlan.master === BRIDGE,
            vni: vxlan.vni,
            local: vxlan.local,
            port: vxlan.port,
            mtu: vxlan.mtu,
          },
        }),
    wanted: {
      vni: desired?.vni ?? 0,
      local: desired?.vtep ?? '',
      port: desired?.port ?? 0,
      mtu: desired?.mtu ?? 0,
    },
    records: facts.records
      .filter(({ address, address6 }) => address === facts.peer || address6 === facts.peer)
      .map(({ endpointId, owner, mac, vtep, vni }) => ({ endpointId, owner, mac: mac.toLowerCase(), vtep, vni })),
    rows: rowsFor(facts),
    differences: differencesOf(namespace, desired, observed)
      .slice(0, MAX_DIFFERENCES)
      .map(({ kind, object, expected, found }) => `${kind}: ${object} (expected ${expected}, found ${found})`),
    underlay: {
      interface: facts.underlay?.name ?? '',
      mtu: facts.underlay?.mtu ?? 0,
    },
    ...(facts.guard === undefined ? {} : { guard: facts.guard }),
  };
}

/** The kernel's rows for the MAC that the peer should have, or for the one that the kernel has in its place. */
function rowsFor({ peer, examination }: PathFacts): PathEvidence['rows'] {
  const { desired, observed } = examination;
  const neighbour = observed.neighbours.get(peer)?.mac ?? '';
  const mac = (desired === undefined ? undefined : choosePeers(desired).neighbours.get(peer)) ?? neighbour;
  return {
    neighbour,
    forwarding: observed.forwarding.get(mac)?.vtep ?? '',
    bridged: observed.bridged.has(mac),
    routed: observed.route.bridged.has(mac),
  };
}
