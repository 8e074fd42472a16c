import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import { tunnelVxlanPort } from '../../../proto/objects/tunnel.ts';
import { isNamespaceName, isWaitingName, namespaceName, VXLAN, waitingName } from './link-names.ts';
import type { HostLink } from './overlay-kernel.ts';

/** What looks like ours in the kernel and belongs to nobody: left by a crash, or by a removal that was refused. */

/**
 * Names of namespaces and waiting links that somebody has or is getting rid of. To tell a leftover it takes those from before and
 * after the kernel was looked at: what comes is known before it is made, and what goes may be seen for the last time.
 */
export interface Belongings {
  before: ReadonlySet<string>;
  after: ReadonlySet<string>;
}

/** Who has something in the kernel, at one moment. */
export interface Owners {
  networkIds: Iterable<string>;
  endpointIds: Iterable<string>;
  /** Names of links that nobody has any more, but that the kernel has yet to remove (DepartingLinks). */
  departing: Iterable<string>;
}

export function ownedNames({ networkIds, endpointIds, departing }: Owners): Set<string> {
  return new Set([...[...networkIds].map(namespaceName), ...[...endpointIds].map(waitingName), ...departing]);
}

/** The leftovers among what was seen, namespaces first. Only names that we could have given. */
export function leftoverDifferences(
  seen: { namespaces: readonly string[]; links: readonly HostLink[] },
  belongings: Belongings,
): Difference[] {
  const isLeft = isNobodys(belongings);
  return [
    ...seen.namespaces
      .filter((name) => isNamespaceName(name) && isLeft(name))
      .map((name) => leaked('namespace leaked', name)),
    ...seen.links.filter(({ name }) => isOrphan(name, isLeft)).map(({ name }) => leaked('link leaked', name)),
  ];
}

/**
 * Names of links to remove from the host, in the order seen: veths that wait for nobody, and VXLAN devices of ours that never came into
 * their namespace.
 * @param belongings undefined while it cannot be told whose a veth is: none is removed. @param port of the data path.
 */
export function linksToSweep(
  links: readonly HostLink[],
  belongings: Belongings | undefined,
  port: number,
): readonly string[] {
  const isLeft = belongings === undefined ? () => false : isNobodys(belongings);
  return links.filter((link) => isOrphan(link.name, isLeft) || isStray(link, port)).map(({ name }) => name);
}

function isNobodys({ before, after }: Belongings): (name: string) => boolean {
  return (name) => !before.has(name) && !after.has(name);
}

function isOrphan(link: string, isLeft: (name: string) => boolean): boolean {
  return isWaitingName(link) && isLeft(link);
}

/** A device of that name is made by us alone, and holds a VNI that a namespace needs. */
function isStray({ name, vxlan }: HostLink, port: number): boolean {
  return name === VXLAN && vxlan !== undefined && [port, tunnelVxlanPort(port)].includes(vxlan.port);
}

function leaked(kind: string, object: string): Difference {
  return { kind, object, expected: 'nothing', found: 'present, of no network or endpoint' };
}
