import type { Announcement } from './moved-addresses.ts';
import type { ObservedOverlay, Operation } from './overlay-state.ts';

/** What the kernel has of an overlay, and a word for it that another look can be compared by. */
export interface Observation {
  observed: ObservedOverlay;
  /** Two looks with the same stamp have seen the same. */
  stamp: string;
}

export interface OperationFailure {
  operation: Operation;
  message: string;
}

/** A link of the host itself that bears on overlays. */
export interface HostLink {
  name: string;
  mtu: number;
  /** In lower case; empty for a link that has none. */
  mac: string;
  /** Without prefix length; link-local ones are left out. */
  addresses: readonly string[];
  /** Set for a VXLAN device. */
  vxlan?: { vni: number; port: number };
}

/** The container's end of its veth, as the engine sets it up. */
export interface SandboxLink {
  /** Path of the container's network namespace. */
  key: string;
  mac: string;
  /** CIDR. */
  addresses: readonly string[];
  /** CIDR of what else is on the link. */
  routes: readonly string[];
}

/** What a container's link lies on in the host (shortcut-plan.ts). */
export interface LowerLink {
  name: string;
  /** Of the container. */
  mac: string;
}

/** Of some hosts, those that are on one segment with this one. */
export interface AdjacentHosts {
  /** The routes have them on the link, with no gateway between. */
  onLink: ReadonlySet<string>;
  /** Those that have answered ARP or NDP (RFC 4861) on the link, or have asked: not on the link for us, but we are for them. */
  macs: ReadonlyMap<string, string>;
}

/**
 * The kernel as overlays need it. One caller of `apply`, `createVeth` and `restoreVeth` per namespace at a time; calls for different namespaces do not wait
 * for each other longer than a batch takes. Implemented by system/linux-kernel.ts.
 */
export interface OverlayKernel {
  /**
   * A namespace that does not exist is an empty overlay, not an error.
   * @param routed the network has, or may have, links and a table in the host too.
   */
  observe(namespace: string, routed: boolean): Promise<ObservedOverlay>;
  /**
   * The same for one who has looked before; it may run beside the namespace's caller of `apply` and `createVeth`. What these change
   * meanwhile may be seen or not, and rows next to it in a table be missed.
   * @param known stamp of that look. @returns undefined when what would be seen is what was seen then: much cheaper.
   */
  look(namespace: string, routed: boolean, known: string | undefined): Promise<Observation | undefined>;
  /** Carries out every operation in order, whatever fails. @returns the ones that failed; never throws for them. */
  apply(namespace: string, operations: readonly Operation[]): Promise<OperationFailure[]>;
  /**
   * Makes a veth with one end, `port`, in the namespace, up and on its bridge, and the other, `waiting`, in the host. A pair whose other
   * end still waits is left as it is; one that was used is made anew.
   * @param lower the port's other end is this one, in the host, and `waiting` is a link that lies on it.
   */
  createVeth(namespace: string, port: string, waiting: string, mtu: number, lower?: LowerLink): Promise<void>;
  /**
   * Makes a veth as `createVeth` does, with its other end in the container and set up as the engine had it: for one that has lost its link.
   * All of it or nothing; what there is of that port and of the lower link goes first. @returns the name in the container; undefined when its
   * namespace is gone.
   */
  restoreVeth(
    namespace: string,
    port: string,
    link: SandboxLink,
    mtu: number,
    lower?: LowerLink,
  ): Promise<string | undefined>;
  /** Whether it can do what shortcuts need. Asks the kernel each time. Never rejects. */
  hasShortcuts(): Promise<boolean>;
  /** Tells the containers on the bridge that these addresses have these MACs (gratuitous ARP, unsolicited neighbour advertisements). */
  announce(namespace: string, announcements: readonly Announcement[]): Promise<void>;
  hostLinks(): Promise<HostLink[]>;
  /**
   * Where these addresses, of either family, are as seen from the link. Makes the kernel ask for those on it that it does not know or has
   * not heard from for a while, and does not wait.
   */
  adjacentHosts(link: string, addresses: readonly string[]): Promise<AdjacentHosts>;
  /** Gone already is no error. */
  deleteHostLink(name: string): Promise<void>;
  /** Names of all named namespaces of the host, whoever made them. */
  namespaces(): Promise<string[]>;
  /** Ends the processes that work in the namespace; later calls start new ones. */
  release(namespace: string): Promise<void>;
  /** Ends all processes. */
  close(): Promise<void>;
}
