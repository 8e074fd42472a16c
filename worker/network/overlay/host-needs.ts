import type { LocatedRecord } from '../../gossip/endpoint-table.ts';
import type { TunnelNeed } from '../encryption/tunnel.ts';
import type { GuardNeed } from '../guard/member-guard.ts';
import type { NetworkFacts } from './overlay-state.ts';

/** What the networks of this host need of what is under them all: the tunnel, the guard, and to know of other hosts. */

/** Networks that this host has, or may have, namespaces of. */
export interface PresentNetworks {
  /** Undefined for a network of which nothing is known yet. */
  facts: readonly (NetworkFacts | undefined)[];
  /** There may be others. */
  isPartial: boolean;
}

/** The tunnel goes after the last namespace that may use it. */
export function tunnelNeed(present: PresentNetworks): TunnelNeed {
  if (present.facts.some((facts) => facts?.encrypted === true)) return 'needed';
  return isUnclear(present) ? 'kept' : 'none';
}

/** The guard goes after the last namespace that it keeps, too. The packets of encrypted networks come by the tunnel. */
export function guardNeed(present: PresentNetworks): GuardNeed {
  const vnis = present.facts.flatMap((facts) => (facts === undefined || facts.encrypted === true ? [] : facts.vni));
  return vnis.length === 0 && isUnclear(present) ? 'kept' : vnis;
}

function isUnclear({ facts, isPartial }: PresentNetworks): boolean {
  return isPartial || facts.includes(undefined);
}

/** Where one network's containers are. */
export interface NetworkRecords {
  facts: NetworkFacts | undefined;
  /** Called only where it matters: to look at records makes this node hold them. */
  located: () => readonly LocatedRecord[];
}

/**
 * Other hosts that records of the network name, each once; none of an encrypted one, which names addresses of the tunnel.
 * @param own VTEP of this host.
 */
export function namedHosts({ facts, located }: NetworkRecords, own: string): readonly string[] {
  if (facts?.encrypted === true) return [];
  return [...new Set(located().map(({ vtep }) => vtep))].filter((vtep) => vtep !== own);
}

/** Other hosts that a routed network reaches; none of any other network. */
export function routedHosts(network: NetworkRecords, own: string): readonly string[] {
  return network.facts?.dataPath === 'routed' ? namedHosts(network, own) : [];
}
