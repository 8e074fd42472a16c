import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import type { EndpointTable } from '../../gossip/endpoint-table.ts';
import type { FileTable } from '../../storage/file-table.ts';
import { withoutPrefix } from './address.ts';
import { isWaitingName, namespaceName, portName, VXLAN, waitingName } from './link-names.ts';
import { Overlay } from './overlay.ts';
import type { HostLink, OverlayKernel } from './overlay-kernel.ts';
import type { DesiredOverlay, NetworkFacts } from './overlay-state.ts';
import { PeerAges } from './peer-ages.ts';

const AUDIT_MS = 5_000;
/** Outer Ethernet, IPv4, UDP and VXLAN headers (RFC 7348 section 5). */
const ENCAPSULATION_BYTES = 50;
const DEFAULT_UNDERLAY_MTU = 1500;

/** An endpoint that has, or is about to have, a veth here. `address` is CIDR. */
export interface ConnectedEndpoint {
  endpointId: string;
  address: string;
  mac: string;
}

/** Left before a namespace is made and removed after it is gone, so that a crash leaves nothing unknown. */
export interface OverlayMarker {
  networkId: string;
}

export interface OverlaysOptions {
  /** Underlay address of this host. */
  vtep: string;
  /** UDP port of the data path. */
  port: number;
}

export interface OverlaysModules {
  kernel: OverlayKernel;
  /** In a folder that lives as long as the namespaces: until the host restarts. */
  markers: FileTable<OverlayMarker>;
  facts(networkId: string): NetworkFacts | undefined;
  connected(networkId: string): readonly ConnectedEndpoint[];
  /** Every endpoint of this host that is not deleted. */
  endpointIds(): Iterable<string>;
  table: EndpointTable;
  clock: Clock;
  random: Random;
  log: Log;
}

interface Entry {
  overlay: Overlay;
  ages: PeerAges;
  /** Ports whose endpoints were deleted while orphans were still to be spared. */
  doomed: Set<string>;
}

/**
 * All overlays of this host. A network's namespace exists while the network has a container here. Leftovers of a
 * crash are found by their markers (namespaces) and names (veths that wait in the host), at the start and every 5 s;
 * then too each overlay is compared with the kernel. But nothing is taken for a leftover before the engine has been
 * asked what it has: if our own list of endpoints was lost, running containers would lose their links.
 */
export class Overlays implements Startable {
  readonly #options: OverlaysOptions;
  readonly #modules: OverlaysModules;
  readonly #log: Log;
  readonly #entries = new Map<string, Entry>();
  #marked = new Map<string, OverlayMarker>();
  #underlayMtu = DEFAULT_UNDERLAY_MTU;
  #cancelAudit: CancelTimer | undefined;
  #auditing: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;
  #trusted = false;
  #spared: ReadonlySet<string> = new Set();
  #stopped = false;

  constructor(options: OverlaysOptions, modules: OverlaysModules) {
    this.#options = options;
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/overlay' });
  }

  /** Overlays with endpoints are to be taken up by `resume`. */
  async start(): Promise<void> {
    this.#marked = await this.#modules.markers.open();
    await this.#sweepHost();
    this.#unsubscribe = this.#modules.table.onChange((networkIds) => {
      for (const networkId of networkIds) this.refresh(networkId);
    });
    this.#scheduleAudit();
  }

  /** The kernel's state stays: containers go on talking. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelAudit?.();
    this.#unsubscribe?.();
    await this.#auditing;
    await Promise.all([...this.#entries.values()].map(({ overlay }) => overlay.stop()));
    await this.#modules.kernel.close();
  }

  /**
   * Makes the container's veth, and the overlay when this is the network's first. The endpoint is among `connected` already.
   * @returns the name of the link that waits in the host. @throws WaggleError in the kernel's words.
   */
  async connect(networkId: string, endpointId: string): Promise<string> {
    await this.#mark(networkId);
    const waiting = waitingName(endpointId);
    await this.#entry(networkId).overlay.connect(portName(endpointId), waiting);
    return waiting;
  }

  /**
   * From now on what no endpoint needs is a leftover: the list of endpoints has been compared with the engine. Except
   * on networks of which the engine has endpoints that we could not take up.
   */
  trust(spared: ReadonlySet<string>): void {
    const first = !this.#trusted;
    this.#trusted = true;
    this.#spared = spared;
    if (!first) return;
    for (const { networkId } of this.#marked.values()) {
      if (this.#trusts(networkId)) this.#entry(networkId).overlay.refresh();
    }
  }

  /** Takes up a network whose containers are connected already: after a restart, or when an endpoint was found again. */
  async resume(networkId: string): Promise<void> {
    await this.#mark(networkId);
    this.#entry(networkId).overlay.refresh();
  }

  /** Removes the link of an endpoint that is no longer among `connected`, and after the network's last the namespace. */
  async disconnect(networkId: string, endpointId: string): Promise<void> {
    if (!this.#marked.has(namespaceName(networkId))) return;
    const entry = this.#entry(networkId);
    if (!this.#trusts(networkId)) entry.doomed.add(portName(endpointId));
    await entry.overlay.settleLinks();
  }

  /** Records, facts or endpoints of the network have changed. */
  refresh(networkId: string): void {
    this.#entries.get(networkId)?.overlay.refresh();
  }

  /** Networks whose kernel state is not as it should be, or cannot be; for status. */
  troubled(): { networkId: string; missingPorts: readonly string[] }[] {
    return [...this.#entries.values()]
      .filter(({ overlay }) => overlay.dirty || overlay.missingPorts.length > 0)
      .map(({ overlay }) => ({ networkId: overlay.networkId, missingPorts: overlay.missingPorts }));
  }

  /** One audit now; for tests, and after something is known to have been lost. */
  audit(): Promise<void> {
    this.#auditing ??= this.#audit().finally(() => {
      this.#auditing = undefined;
    });
    return this.#auditing;
  }

  async #audit(): Promise<void> {
    try {
      await this.#sweepHost();
      for (const [networkId, { overlay }] of this.#entries) {
        if (this.#trusts(networkId) && overlay.idle && !this.#wanted(networkId)) await this.#forget(networkId);
        else overlay.audit();
      }
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'overlay audit failed and will be repeated');
    }
  }

  /** The MTU of the data path, and links of ours in the host that belong to nobody. */
  async #sweepHost(): Promise<void> {
    const links = await this.#modules.kernel.hostLinks();
    this.#readMtu(links);
    const known = new Set([...this.#modules.endpointIds()].map(waitingName));
    for (const link of links) {
      const orphan = this.#trusted && isWaitingName(link.name) && !known.has(link.name);
      // A device of that name is made by us alone, and holds a VNI that a namespace needs.
      if (!orphan && !(link.name === VXLAN && link.vxlan?.port === this.#options.port)) continue;
      this.#log.info({ link: link.name }, 'removing a link that was left in the host');
      await this.#modules.kernel.deleteHostLink(link.name);
    }
  }

  #readMtu(links: readonly HostLink[]): void {
    const underlay = links.find((link) => link.addresses.includes(this.#options.vtep));
    if (underlay === undefined) {
      this.#log.warn({ address: this.#options.vtep }, 'no interface has the data path address');
      return;
    }
    if (underlay.mtu === this.#underlayMtu) return;
    this.#underlayMtu = underlay.mtu;
    for (const { overlay } of this.#entries.values()) overlay.refresh();
  }

  /** Takes back the marker once the namespace is gone. */
  async #forget(networkId: string): Promise<void> {
    const namespace = namespaceName(networkId);
    if ((await this.#modules.kernel.namespaces()).includes(namespace)) {
      this.#entries.get(networkId)?.overlay.audit();
      return;
    }
    const entry = this.#entries.get(networkId);
    if (entry === undefined || this.#wanted(networkId) || !entry.overlay.idle) return;
    this.#entries.delete(networkId);
    this.#marked.delete(namespace);
    await this.#modules.markers.delete(namespace);
  }

  async #mark(networkId: string): Promise<void> {
    const namespace = namespaceName(networkId);
    if (this.#marked.has(namespace)) return;
    const marker = { networkId };
    await this.#modules.markers.put(namespace, marker);
    this.#marked.set(namespace, marker);
  }

  #trusts(networkId: string): boolean {
    return this.#trusted && !this.#spared.has(networkId);
  }

  #wanted(networkId: string): boolean {
    return this.#modules.connected(networkId).length > 0;
  }

  #entry(networkId: string): Entry {
    const known = this.#entries.get(networkId);
    if (known !== undefined) return known;
    if (this.#stopped) throw new WaggleError('unavailable', 'the network is being shut down');
    const { kernel, clock, random, log } = this.#modules;
    const desired = (): DesiredOverlay | undefined => this.#desired(networkId, entry);
    const overlay = new Overlay(networkId, { kernel, clock, random, log, desired });
    const entry: Entry = { overlay, ages: new PeerAges(), doomed: new Set() };
    this.#entries.set(networkId, entry);
    return entry;
  }

  #desired(networkId: string, entry: Entry): DesiredOverlay | undefined {
    const endpoints = this.#modules.connected(networkId);
    if (endpoints.length === 0 && this.#trusts(networkId)) return undefined;
    const facts = this.#modules.facts(networkId);
    if (facts === undefined) throw new WaggleError('not-found', `network ${networkId} is not known on this node`);
    return {
      ...facts,
      mtu: facts.mtu ?? this.#underlayMtu - ENCAPSULATION_BYTES,
      vtep: this.#options.vtep,
      port: this.#options.port,
      local: endpoints.map(({ endpointId, address, mac }) => ({
        endpointId,
        mac,
        address: withoutPrefix(address),
        link: portName(endpointId),
      })),
      peers: entry.ages.peersOf(this.#modules.table.network(networkId)),
      ...(this.#trusts(networkId) ? {} : { doomed: entry.doomed }),
    };
  }

  #scheduleAudit(): void {
    this.#cancelAudit = this.#modules.clock.after(AUDIT_MS, () => {
      void this.audit().then(() => {
        if (!this.#stopped) this.#scheduleAudit();
      });
    });
  }
}
