import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import type { PathEvidence } from '../../../proto/objects/diagnosis/path.ts';
import type { CancelTimer } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import type { FileTable } from '../../storage/file-table.ts';
import type { RedirectKernel } from '../redirect/redirect-kernel.ts';
import type { DesiredRedirects } from '../redirect/redirect-state.ts';
import { Redirects } from '../redirect/redirects.ts';
import { RepairCounts } from '../repair-counts.ts';
import { withoutPrefix } from './address.ts';
import { DepartingLinks } from './departing-links.ts';
import { type ConnectedEndpoint, desiredOverlay } from './desired-overlay.ts';
import {
  HostUnderlay,
  type HostUnderlayModules,
  type HostUnderlayOptions,
  type NetworksHere,
} from './host-underlay.ts';
import { leftoverDifferences, linksToSweep, ownedNames } from './leftovers.ts';
import { lowerName, namespaceName, portName, waitingName } from './link-names.ts';
import { type Examination, Overlay } from './overlay.ts';
import type { HostLink, SandboxLink } from './overlay-kernel.ts';
import type { DesiredOverlay } from './overlay-state.ts';
import { PeerAges } from './peer-ages.ts';
import { siblingSubnets } from './sibling-subnets.ts';

/** What somebody has changed is right again within 5 s, looking and repairing included. */
const AUDIT_MS = 4_000;

/** Left before a namespace is made and removed after it is gone, so that a crash leaves nothing unknown. */
export interface OverlayMarker {
  networkId: string;
}

export interface OverlaysModules extends HostUnderlayModules {
  /** In a folder that lives as long as the namespaces: until the host restarts. */
  markers: FileTable<OverlayMarker>;
  connected(networkId: string): readonly ConnectedEndpoint[];
  /** Every endpoint of this host that is not deleted. */
  endpointIds(): Iterable<string>;
  /** Without it shortcuts are of what leaves alone. */
  redirects?: RedirectKernel;
  random: Random;
}

interface Entry {
  overlay: Overlay;
  ages: PeerAges;
  /** Ports whose endpoints were deleted while orphans were still to be spared. */
  doomed: Set<string>;
}

/**
 * All overlays of this host. A network's namespace exists while the network has a container here. Leftovers of a
 * crash are found by their markers (namespaces) and names (veths that wait in the host), at the start and at each audit;
 * then too each overlay is compared with the kernel. But nothing is taken for a leftover before the engine has been
 * asked what it has: if our own list of endpoints was lost, running containers would lose their links.
 */
export class Overlays implements Startable {
  readonly #options: HostUnderlayOptions;
  readonly #modules: OverlaysModules;
  readonly #log: Log;
  readonly #underlay: HostUnderlay;
  readonly #entries = new Map<string, Entry>();
  readonly #repairs = new Map<string, RepairCounts>();
  readonly #hostRepairs = new RepairCounts();
  readonly #departing: DepartingLinks;
  readonly #redirects: Redirects | undefined;
  #marked = new Map<string, OverlayMarker>();
  #cancelAudit: CancelTimer | undefined;
  #auditing: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;
  #trusted = false;
  #canShorten = false;
  #spared: ReadonlySet<string> = new Set();
  #stopped = false;

  constructor(options: HostUnderlayOptions, modules: OverlaysModules) {
    this.#options = options;
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/overlay' });
    this.#underlay = new HostUnderlay(options, modules, () => this.#networksHere());
    this.#departing = new DepartingLinks(modules.clock);
    const { redirects: kernel, ...others } = modules;
    const desired = (): DesiredRedirects | undefined => this.#desiredRedirects();
    this.#redirects = kernel === undefined ? undefined : new Redirects({ ...others, kernel, desired });
  }

  /** Overlays with endpoints are to be taken up by `resume`. */
  async start(): Promise<void> {
    this.#marked = await this.#modules.markers.open();
    this.#canShorten = await this.#modules.kernel.hasShortcuts();
    if (!this.#canShorten) this.#log.info({}, 'this kernel has no shortcuts for routed networks: they work without');
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
    await this.#redirects?.stop();
    await this.#modules.kernel.close();
  }

  /**
   * Makes the container's veth, and the overlay when this is the network's first. The endpoint is among `connected` already.
   * @returns the name of the link that waits in the host. @throws WaggleError in the kernel's words; failed-precondition when the
   * network is encrypted and this host cannot encrypt.
   */
  async connect(networkId: string, endpointId: string): Promise<string> {
    await this.#underlay.open(networkId, () => this.#mark(networkId));
    await this.#underlay.cover();
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
    await this.#underlay.cover();
    const opened = this.#underlay.open(networkId, () => this.#mark(networkId));
    await opened.catch((error: unknown) => {
      this.#log.warn({ network: networkId, error: messageOf(error) }, 'encrypted network waits for its tunnel');
    });
    this.#entry(networkId).overlay.refresh();
  }

  /** Removes the link of an endpoint that is no longer among `connected`, and after the network's last the namespace. */
  async disconnect(networkId: string, endpointId: string): Promise<void> {
    if (!this.#marked.has(namespaceName(networkId))) return;
    const entry = this.#entry(networkId);
    if (!this.#trusts(networkId)) entry.doomed.add(portName(endpointId));
    await this.#departing.during(endpointId, () => entry.overlay.settleLinks());
    this.#redirects?.refresh();
  }

  /** After every endpoint was disconnected: resolves when the kernel has nothing of ours any more, or has refused it. */
  async vacate(): Promise<void> {
    this.#departing.clear();
    await this.#auditing;
    await this.audit();
    await this.#redirects?.run();
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

  /** The network's overlay as it should be and as it is, whether or not this host has part in it. Changes nothing. */
  async examine(networkId: string): Promise<Examination> {
    const overlay = this.#entries.get(networkId)?.overlay;
    if (overlay !== undefined) return overlay.examine();
    const observed = await this.#modules.kernel.observe(namespaceName(networkId), false);
    return { desired: undefined, observed, settled: this.#trusts(networkId) };
  }

  /** Repairs of the audit by kind since the start; of the host itself without a network. */
  repairs(networkId?: string): Record<string, number> {
    if (networkId !== undefined) return this.#repairs.get(networkId)?.toRecord() ?? {};
    return { ...this.#hostRepairs.toRecord(), ...this.#underlay.repairs, ...this.#redirects?.repairs };
  }

  /** What of the host itself is not as it should be: the tunnel to other hosts, who is let in, redirects, and what belongs to nobody. */
  async hostDifferences(): Promise<Difference[]> {
    const redirects = this.#redirects?.differences() ?? [];
    const found = await Promise.all([this.#leftovers(), this.#underlay.differences(), redirects]);
    return found.flat();
  }

  /** Whether VXLAN packets from that host come into the network; undefined where none are expected, or nobody is kept out. */
  guardView(networkId: string, vtep: string): Promise<PathEvidence['guard']> {
    return this.#underlay.guardView(networkId, vtep);
  }

  /** The host's interface with the data path's address. */
  async underlay(): Promise<HostLink | undefined> {
    return this.#underlay.linkAmong(await this.#modules.kernel.hostLinks());
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
      await this.#underlay.audit();
      await this.#redirects?.audit();
      for (const [networkId, { overlay }] of this.#entries) {
        if (this.#trusts(networkId) && overlay.idle && !this.#wanted(networkId)) await this.#forget(networkId);
        else overlay.audit();
      }
    } catch (error) {
      this.#log.warn({ error: messageOf(error) }, 'overlay audit failed and will be repeated');
    }
  }

  /** The data path link, and links of ours in the host that belong to nobody. */
  async #sweepHost(): Promise<void> {
    const before = this.#belongings();
    const links = await this.#modules.kernel.hostLinks();
    if (this.#underlay.see(links)) for (const { overlay } of this.#entries.values()) overlay.refresh();
    const belongings = this.#trusted ? { before, after: this.#belongings() } : undefined;
    for (const link of linksToSweep(links, belongings, this.#options.port)) {
      this.#log.info({ link }, 'removing a link that was left in the host');
      await this.#modules.kernel.deleteHostLink(link);
      this.#hostRepairs.add(['link leaked']);
    }
  }

  /** Namespaces and links of this host that look like ours and belong to nobody; empty before it can be told. */
  async #leftovers(): Promise<Difference[]> {
    if (!this.#trusted) return [];
    const { kernel } = this.#modules;
    const before = this.#belongings();
    const [namespaces, links] = await Promise.all([kernel.namespaces(), kernel.hostLinks()]);
    return leftoverDifferences({ namespaces, links }, { before, after: this.#belongings() });
  }

  #belongings(): Set<string> {
    return ownedNames({
      networkIds: [...this.#entries.keys(), ...this.#spared],
      endpointIds: this.#modules.endpointIds(),
      departing: this.#departing.names(),
    });
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
    await entry.overlay.stop();
    if (this.#modules.facts(networkId) === undefined) this.#repairs.delete(networkId);
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

  #networksHere(): NetworksHere {
    const active = [...this.#entries.keys()];
    const marked = [...this.#marked.values()].map(({ networkId }) => networkId);
    return { active, present: [...new Set([...active, ...marked])], isPartial: !this.#trusted };
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
    const prepare = (): Promise<void> => this.#underlay.prepare(networkId);
    const repairs = this.#repairs.get(networkId) ?? new RepairCounts();
    this.#repairs.set(networkId, repairs);
    const sandboxLink = (port: string): SandboxLink | undefined => this.#sandboxLink(networkId, port);
    const onLink = (): void => this.#redirects?.refresh();
    const modules = { kernel, clock, random, log, desired, prepare, sandboxLink, onLink, repairs };
    const overlay = new Overlay(networkId, modules);
    const entry: Entry = { overlay, ages: new PeerAges(), doomed: new Set() };
    this.#entries.set(networkId, entry);
    return entry;
  }

  /** Undefined for a container that has no namespace, or whose namespace is not known. */
  #sandboxLink(networkId: string, port: string): SandboxLink | undefined {
    const endpoint = this.#modules.connected(networkId).find(({ endpointId }) => portName(endpointId) === port);
    const facts = this.#modules.facts(networkId);
    if (!endpoint?.sandboxKey || facts === undefined) return undefined;
    const { sandboxKey: key, mac, address, address6 } = endpoint;
    const addresses = [address, ...(address6 === undefined ? [] : [address6])];
    return { key, mac, addresses, routes: siblingSubnets(facts, endpoint) };
  }

  #desired(networkId: string, entry: Entry): DesiredOverlay | undefined {
    const endpoints = this.#modules.connected(networkId);
    const doomed = this.#trusts(networkId) ? undefined : entry.doomed;
    if (endpoints.length === 0 && doomed === undefined) return undefined;
    const facts = this.#modules.facts(networkId);
    if (facts === undefined) throw new WaggleError('not-found', `network ${networkId} is not known on this node`);
    const path = this.#underlay.path(facts);
    const { table } = this.#modules;
    const peers = entry.ages.peersOf(table.located(networkId));
    const isPartial = !table.synced(networkId);
    const canShorten = this.#canShorten;
    const { adjacency } = this.#underlay;
    return desiredOverlay({ facts, endpoints, peers, isPartial, doomed, path, canShorten, adjacency });
  }

  /** What comes in for containers with shortcuts. Of an address that two networks have neither has one: what is meant is told by its sender. */
  #desiredRedirects(): DesiredRedirects | undefined {
    const { underlay } = this.#underlay.adjacency;
    if (!this.#canShorten || underlay === undefined) return undefined;
    const networks = [...this.#entries.keys()].filter((each) => this.#modules.facts(each)?.dataPath === 'routed');
    const found = networks.flatMap((networkId) => this.#modules.connected(networkId)).flatMap(redirectsOf);
    const times = Map.groupBy(found, ([address]) => address);
    const redirects = new Map(found.filter(([address]) => times.get(address)?.length === 1));
    return redirects.size === 0 ? undefined : { underlay, redirects };
  }

  #scheduleAudit(): void {
    this.#cancelAudit = this.#modules.clock.after(AUDIT_MS, () => {
      void this.audit().then(() => {
        if (!this.#stopped) this.#scheduleAudit();
      });
    });
  }
}

function redirectsOf({ endpointId, address, address6 }: ConnectedEndpoint): [address: string, lower: string][] {
  const addresses = [address, ...(address6 === undefined ? [] : [address6])];
  return addresses.map((each) => [withoutPrefix(each), lowerName(endpointId)]);
}
