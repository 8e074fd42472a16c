import type { Underlay } from '../overlay/overlay-state.ts';

/**
 * Packets that reach this host for its containers and are handed to them without a further hop: what should be, what the kernel has of
 * it, and the steps between. Plain values only.
 *
 * On the underlay link a filter of tc(8) at ingress redirects packets for a local container's address to its lower link, the host's end of
 * a veth that carries the container's macvlan (tc-mirred(8)). There are two hash tables of tc-u32(8), one for each family, with a bucket
 * for each value of an address's last byte: a row is found in a step however many there are. Rows match the underlay link's own MAC,
 * too: a switch floods frames that are for other hosts. A packet without a row takes the longer way, so a row may be missing; one too
 * many takes packets from others, or drops them.
 */

export interface DesiredRedirects {
  underlay: Underlay;
  /** Address, IPv4 or IPv6 as RFC 5952 writes it, to lower link. */
  redirects: ReadonlyMap<string, string>;
}

/** As tc names the protocol. */
export type RedirectFamily = 'ip' | 'ipv6';
export const FAMILIES = ['ip', 'ipv6'] as const satisfies readonly RedirectFamily[];

/** One row. */
export interface Redirect {
  address: string;
  /** Of the underlay link. */
  mac: string;
  lower: string;
}

export interface ObservedRedirect extends Omit<Redirect, 'lower'> {
  /** Undefined when that link is gone, also when there is another of its name: packets are dropped. */
  lower: string | undefined;
}

export interface ObservedFamily {
  /**
   * `altered`: ours, and not as we make it. `taken`: somebody else uses our priority or our table's ID; it is left alone, and there are no
   * redirects of this family.
   */
  table: 'none' | 'made' | 'altered' | 'taken';
  /** What leads packets into the table, one row, and whatever else is beside it, by handle; true for one that is as we make it. */
  entries: ReadonlyMap<string, boolean>;
  /** By handle; `altered` when it cannot be read. */
  rows: ReadonlyMap<string, ObservedRedirect | 'altered'>;
}

export interface ObservedLink {
  /** What the link's filters are in. `shared`: other links have the same filters, which are not ours to add to. */
  qdisc: 'none' | 'ingress' | 'clsact' | 'shared';
  /** There are filters of others in it, at ingress or egress. Known when there are any of ours. */
  others: boolean;
  families: Readonly<Record<RedirectFamily, ObservedFamily>>;
}

export interface ObservedRedirects {
  /** Those that were asked for; one without a qdisc for filters may be absent. */
  links: ReadonlyMap<string, ObservedLink>;
  /** Names of the lower links that there are. */
  lowers: ReadonlySet<string>;
}

export type RedirectOperation =
  | { kind: 'create-qdisc'; link: string }
  | { kind: 'delete-qdisc'; link: string }
  /** `delete-table`: with all that is under the priority. */
  | { kind: 'delete-table'; link: string; family: RedirectFamily }
  | { kind: 'create-table'; link: string; family: RedirectFamily }
  | { kind: 'create-entry'; link: string; family: RedirectFamily }
  | { kind: 'delete-entry'; link: string; family: RedirectFamily; handle: string }
  | { kind: 'delete-redirect'; link: string; family: RedirectFamily; handle: string }
  | { kind: 'create-redirect'; link: string; family: RedirectFamily; handle: string; redirect: Redirect };

export function emptyFamily(): ObservedFamily {
  return { table: 'none', entries: new Map(), rows: new Map() };
}

export function emptyLink(): ObservedLink {
  return { qdisc: 'none', others: false, families: { ip: emptyFamily(), ipv6: emptyFamily() } };
}
