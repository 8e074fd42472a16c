import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import type { PathEvidence } from '../../../proto/objects/diagnosis/path.ts';
import { isTunnelAddress, tunnelVxlanPort } from '../../../proto/objects/tunnel.ts';
import type { CancelTimer, Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Startable } from '../../../proto/runtime/lifecycle.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { Random } from '../../../proto/runtime/random.ts';
import type { EndpointTable } from '../../gossip/endpoint-table.ts';
import type { FileTable } from '../../storage/file-table.ts';
import type { Tunnel, TunnelNeed } from '../encryption/tunnel.ts';
import type { GuardNeed, MemberGuard } from '../guard/member-guard.ts';
import { withoutPrefix } from './address.ts';
import { Adjacency } from './adjacency.ts';
import { DepartingLinks } from './departing-links.ts';
import { isNamespaceName, isWaitingName, namespaceName, portName, VXLAN, waitingName } from './link-names.ts';
import { type Examination, Overlay } from './overlay.ts';
import type { HostLink, OverlayKernel } from './overlay-kernel.ts';
import type { DesiredOverlay, LocalPort, NetworkFacts } from './overlay-state.ts';
import { PeerAges } from './peer-ages.ts';
import { RepairCounts } from './repair-counts.ts';

/** What somebody has changed is right again within 5 s, looking and repairing included. */
const AUDIT_MS = 4_000;
/** Outer Ethernet, IPv4 or IPv6, UDP and VXLAN headers (RFC 7348 section 5). */
const ENCAPSULATION_BYTES = { ipv4: 50, ipv6: 70 };
const DEFAULT_UNDERLAY_MTU = 1500;

/** An endpoint that has, or is about to have, a veth here. Addresses are CIDR. */
export interface ConnectedEndpoint {
  endpointId: string;
  address: string;
  address6?: string;
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
  /** Without one, encrypted networks are refused. */
  tunnel?: Pick<Tunnel, 'open' | 'path' | 'reconcile' | 'differences' | 'repairs'>;
  /** Without one, VXLAN packets are taken from everybody. */
  guard?: Pick<MemberGuard, 'admit' | 'cover' | 'audit' | 'differences' | 'repairs' | 'view'>;
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
 * crash are found by their markers (namespaces) and names (veths that wait in the host), at the start and at each audit;
 * then too each overlay is compared with the kernel. But nothing is taken for a leftover before the engine has been
 * asked what it has: if our own list of endpoints was lost, running containers would lose their links.
 */
export class Overlays implements Startable {
  readonly #options: OverlaysOptions;
  readonly #modules: OverlaysModules;
  readonly #log: Log;
  readonly #adjacency: Adjacency;
  readonly #entries = new Map<string, Entry>();
  readonly #repairs = new Map<string, RepairCounts>();
  readonly #hostRepairs = new RepairCounts();
  readonly #departing: DepartingLinks;
  #marked = new Map<string, OverlayMarker>();
  #underlayMtu = DEFAULT_UNDERLAY_MTU;
  #cancelAudit: CancelTimer | undefined;
  #auditing: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;
  #trusted = false;
  #spared: ReadonlySet<string> = new Set();
  #stopped = false;
  /** Networks that wait for the tunnel. */
  #opening = 0;

  constructor(options: OverlaysOptions, modules: OverlaysModules) {
    this.#options = options;
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/overlay' });
    this.#adjacency = new Adjacency(modules);
    this.#departing = new DepartingLinks(modules.clock);
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
   * @returns the name of the link that waits in the host. @throws WaggleError in the kernel's words; failed-precondition when the
   * network is encrypted and this host cannot encrypt.
   */
  async connect(networkId: string, endpointId: string): Promise<string> {
    if (this.#isEncrypted(networkId)) await this.#openTunnel(networkId);
    await this.#mark(networkId);
    await this.#modules.guard?.cover(this.#guardNeed());
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
    await this.#modules.guard?.cover(this.#guardNeed());
    if (this.#isEncrypted(networkId)) {
      await this.#openTunnel(networkId).catch((error: unknown) => {
        this.#log.warn({ network: networkId, error: messageOf(error) }, 'encrypted network waits for its tunnel');
      });
    }
    this.#entry(networkId).overlay.refresh();
  }

  /** Removes the link of an endpoint that is no longer among `connected`, and after the network's last the namespace. */
  async disconnect(networkId: string, endpointId: string): Promise<void> {
    if (!this.#marked.has(namespaceName(networkId))) return;
    const entry = this.#entry(networkId);
    if (!this.#trusts(networkId)) entry.doomed.add(portName(endpointId));
    await this.#departing.during(endpointId, () => entry.overlay.settleLinks());
  }

  /** After every endpoint was disconnected: resolves when the kernel has nothing of ours any more, or has refused it. */
  async vacate(): Promise<void> {
    this.#departing.clear();
    await this.#auditing;
    await this.audit();
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
    return { ...this.#hostRepairs.toRecord(), ...this.#modules.tunnel?.repairs, ...this.#modules.guard?.repairs };
  }

  /** What of the host itself is not as it should be: the tunnel to other hosts, who is let in, and what belongs to nobody. */
  async hostDifferences(): Promise<Difference[]> {
    const { tunnel, guard } = this.#modules;
    const found = await Promise.all([this.#leftovers(), tunnel?.differences(), guard?.differences()]);
    return found.flatMap((each) => each ?? []);
  }

  /** Whether VXLAN packets from that host come into the network; undefined where none are expected, or nobody is kept out. */
  async guardView(networkId: string, vtep: string): Promise<PathEvidence['guard']> {
    const { guard } = this.#modules;
    if (guard === undefined || this.#isEncrypted(networkId) || vtep === this.#options.vtep) return undefined;
    return { vtep, ...(await guard.view(vtep)) };
  }

  /** Namespaces and links of this host that look like ours and belong to nobody; empty before it can be told. */
  async #leftovers(): Promise<Difference[]> {
    if (!this.#trusted) return [];
    const { kernel } = this.#modules;
    const before = this.#belongings();
    const [namespaces, links] = await Promise.all([kernel.namespaces(), kernel.hostLinks()]);
    const ours = before.union(this.#belongings());
    const leaked = (kind: string, object: string): Difference => ({
      kind,
      object,
      expected: 'nothing',
      found: 'present, of no network or endpoint',
    });
    return [
      ...namespaces
        .filter((name) => isNamespaceName(name) && !ours.has(name))
        .map((n) => leaked('namespace leaked', n)),
      ...links
        .filter(({ name }) => isWaitingName(name) && !ours.has(name))
        .map(({ name }) => leaked('link leaked', name)),
    ];
  }

  /**
   * Names of namespaces and waiting links that somebody has or is getting rid of. To tell a leftover it takes those from before and
   * after the kernel was looked at: what comes is known before it is made, and what goes may be seen for the last time.
   */
  #belongings(): Set<string> {
    return new Set([
      ...[...this.#entries.keys(), ...this.#spared].map(namespaceName),
      ...[...this.#modules.endpointIds()].map(waitingName),
      ...this.#departing.names(),
    ]);
  }

  /** The host's interface with the data path's address. */
  async underlay(): Promise<HostLink | undefined> {
    const links = await this.#modules.kernel.hostLinks();
    return links.find((link) => link.addresses.includes(this.#options.vtep));
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
      await this.#adjacency.refresh(this.#routedVteps());
      await this.#modules.tunnel?.reconcile(this.#tunnelNeed(), this.#underlayMtu);
      await this.#modules.guard?.audit(this.#guardNeed(), this.#hosts());
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
    const before = this.#belongings();
    const links = await this.#modules.kernel.hostLinks();
    this.#readMtu(links);
    const ours = before.union(this.#belongings());
    const ports = [this.#options.port, tunnelVxlanPort(this.#options.port)];
    for (const link of links) {
      const orphan = this.#trusted && isWaitingName(link.name) && !ours.has(link.name);
      // A device of that name is made by us alone, and holds a VNI that a namespace needs.
      if (!orphan && !(link.name === VXLAN && link.vxlan !== undefined && ports.includes(link.vxlan.port))) continue;
      this.#log.info({ link: link.name }, 'removing a link that was left in the host');
      await this.#modules.kernel.deleteHostLink(link.name);
      this.#hostRepairs.count('link leaked');
    }
  }

  #readMtu(links: readonly HostLink[]): void {
    const underlay = links.find((link) => link.addresses.includes(this.#options.vtep));
    this.#adjacency.setUnderlay(underlay);
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

  #isEncrypted(networkId: string): boolean {
    return this.#modules.facts(networkId)?.encrypted === true;
  }

  /** Until its network has a marker, an audit must not find the tunnel useless. */
  async #openTunnel(networkId: string): Promise<void> {
    this.#opening++;
    try {
      await this.#tunnel().open(this.#underlayMtu);
      await this.#mark(networkId);
    } finally {
      this.#opening--;
    }
  }

  /** The tunnel goes after the last namespace that may use it. */
  #tunnelNeed(): TunnelNeed {
    const networkIds = this.#present();
    if (this.#opening > 0 || networkIds.some((networkId) => this.#isEncrypted(networkId))) return 'needed';
    return this.#isUnclear(networkIds) ? 'kept' : 'none';
  }

  /** The guard goes after the last namespace that it keeps, too. The packets of encrypted networks come by the tunnel. */
  #guardNeed(): GuardNeed {
    const networkIds = this.#present();
    const vnis = networkIds.flatMap((networkId) => {
      const facts = this.#modules.facts(networkId);
      return facts === undefined || facts.encrypted === true ? [] : facts.vni;
    });
    return vnis.length === 0 && this.#isUnclear(networkIds) ? 'kept' : vnis;
  }

  /** Networks that this host has, or may have, namespaces of. */
  #present(): string[] {
    return [...new Set([...this.#entries.keys(), ...[...this.#marked.values()].map(({ networkId }) => networkId)])];
  }

  #isUnclear(networkIds: readonly string[]): boolean {
    return !this.#trusted || networkIds.some((networkId) => this.#modules.facts(networkId) === undefined);
  }

  #tunnel(): NonNullable<OverlaysModules['tunnel']> {
    if (this.#modules.tunnel !== undefined) return this.#modules.tunnel;
    throw new WaggleError('failed-precondition', 'this host cannot encrypt');
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
    const prepare = async (): Promise<void> => {
      await this.#modules.guard?.admit(this.#hostsOf(networkId));
      await this.#adjacency.prepare(this.#vtepsOf(networkId));
    };
    const repairs = this.#repairs.get(networkId) ?? new RepairCounts();
    this.#repairs.set(networkId, repairs);
    const overlay = new Overlay(networkId, { kernel, clock, random, log, desired, prepare, repairs });
    const entry: Entry = { overlay, ages: new PeerAges(), doomed: new Set() };
    this.#entries.set(networkId, entry);
    return entry;
  }

  #desired(networkId: string, entry: Entry): DesiredOverlay | undefined {
    const endpoints = this.#modules.connected(networkId);
    if (endpoints.length === 0 && this.#trusts(networkId)) return undefined;
    const facts = this.#modules.facts(networkId);
    if (facts === undefined) throw new WaggleError('not-found', `network ${networkId} is not known on this node`);
    const { vtep, port: vxlanPort } = this.#options;
    const path = facts.encrypted === true ? this.#tunnel().path() : { vtep, vxlanPort, mtu: this.#underlayMtu };
    const peers = entry.ages.peersOf(this.#modules.table.located(networkId));
    return {
      ...facts,
      mtu: facts.encrypted === true ? (facts.mtu ?? path.mtu - ENCAPSULATION_BYTES.ipv4) : this.#mtuOf(facts),
      vtep: path.vtep,
      port: path.vxlanPort,
      local: endpoints.map(localPort),
      // A record of an encrypted network that names a host's outer address is wrong or forged.
      peers: facts.encrypted === true ? peers.filter((peer) => isTunnelAddress(peer.vtep)) : peers,
      ...(this.#trusts(networkId) ? {} : { doomed: entry.doomed }),
      isPartial: !this.#modules.table.synced(networkId),
      ...this.#routeOf(facts),
    };
  }

  /**
   * A routed network's packets are as large as the link's. To hosts that only VXLAN reaches that is too large by its headers; the
   * kernel tells the sender so (ICMP, RFC 1191 and 8201; kernel 5.9 and later), and containers send smaller ones to these alone.
   */
  #mtuOf({ mtu, dataPath }: NetworkFacts): number {
    if (dataPath !== 'routed') {
      return mtu ?? this.#underlayMtu - ENCAPSULATION_BYTES[this.#options.vtep.includes(':') ? 'ipv6' : 'ipv4'];
    }
    return Math.min(mtu ?? this.#underlayMtu, this.#underlayMtu);
  }

  #routeOf({ dataPath }: NetworkFacts): Pick<DesiredOverlay, 'route'> {
    const { underlay, neighbours, senders } = this.#adjacency;
    return dataPath === 'routed' && underlay !== undefined ? { route: { underlay, neighbours, senders } } : {};
  }

  #routedVteps(): Set<string> {
    return new Set([...this.#entries.keys()].flatMap((networkId) => this.#vtepsOf(networkId)));
  }

  /** Hosts that a routed network reaches; none of any other network. */
  #vtepsOf(networkId: string): string[] {
    return this.#modules.facts(networkId)?.dataPath === 'routed' ? this.#hostsOf(networkId) : [];
  }

  /** Other hosts that records of the network name; none of an encrypted one, which names addresses of the tunnel. */
  #hostsOf(networkId: string): string[] {
    if (this.#isEncrypted(networkId)) return [];
    const vteps = this.#modules.table.located(networkId).map(({ vtep }) => vtep);
    return [...new Set(vteps)].filter((vtep) => vtep !== this.#options.vtep);
  }

  #hosts(): string[] {
    return [...this.#entries.keys()].flatMap((networkId) => this.#hostsOf(networkId));
  }

  #scheduleAudit(): void {
    this.#cancelAudit = this.#modules.clock.after(AUDIT_MS, () => {
      void this.audit().then(() => {
        if (!this.#stopped) this.#scheduleAudit();
      });
    });
  }
}

function localPort({ endpointId, address, address6, mac }: ConnectedEndpoint): LocalPort {
  return {
    endpointId,
    mac,
    address: withoutPrefix(address),
    ...(address6 === undefined ? {} : { address6: withoutPrefix(address6) }),
    link: portName(endpointId),
  };
}
