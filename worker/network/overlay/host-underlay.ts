import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import type { PathEvidence } from '../../../proto/objects/diagnosis/path.ts';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import type { EndpointTable } from '../../gossip/endpoint-table.ts';
import type { Tunnel } from '../encryption/tunnel.ts';
import type { MemberGuard } from '../guard/member-guard.ts';
import { Adjacency } from './adjacency.ts';
import {
  guardNeed,
  namedHosts,
  type NetworkRecords,
  type PresentNetworks,
  routedHosts,
  tunnelNeed,
} from './host-needs.ts';
import type { HostLink, OverlayKernel } from './overlay-kernel.ts';
import type { NetworkFacts, VxlanPath } from './overlay-state.ts';

/** Ethernet's, until the data path link has been seen. */
const DEFAULT_UNDERLAY_MTU = 1500;

export interface HostUnderlayOptions {
  /** Underlay address of this host. */
  vtep: string;
  /** UDP port of the data path. */
  port: number;
}

export interface HostUnderlayModules {
  kernel: OverlayKernel;
  facts(networkId: string): NetworkFacts | undefined;
  table: EndpointTable;
  /** Without one, encrypted networks are refused. */
  tunnel?: Pick<Tunnel, 'open' | 'path' | 'reconcile' | 'differences' | 'repairs'>;
  /** Without one, VXLAN packets are taken from everybody. */
  guard?: Pick<MemberGuard, 'admit' | 'cover' | 'audit' | 'differences' | 'repairs' | 'view'>;
  clock: Clock;
  log: Log;
}

/** Which networks are on this host. */
export interface NetworksHere {
  /** With an overlay. */
  active: readonly string[];
  /** The active ones, and those of which a namespace may be left. */
  present: readonly string[];
  /** There may be others. */
  isPartial: boolean;
}

/**
 * What is under all overlays of this host, and there once for all of them: the data path link and the hosts on its segment, the tunnel of
 * encrypted networks, and the guard of the others. Each is kept for as long as a network here needs it, or may need it.
 */
export class HostUnderlay {
  readonly #options: HostUnderlayOptions;
  readonly #modules: HostUnderlayModules;
  readonly #networks: () => NetworksHere;
  readonly #log: Log;
  readonly #adjacency: Adjacency;
  #mtu = DEFAULT_UNDERLAY_MTU;
  /** An interface had the data path's address when they were last looked at. */
  #hasAddress = true;
  /** Networks that wait for the tunnel. */
  #opening = 0;

  /** @param networks asked whenever something is decided. */
  constructor(options: HostUnderlayOptions, modules: HostUnderlayModules, networks: () => NetworksHere) {
    this.#options = options;
    this.#modules = modules;
    this.#networks = networks;
    this.#log = modules.log.child({ module: 'worker/overlay' });
    this.#adjacency = new Adjacency(modules);
  }

  /** Hosts on the segment of the data path link, as far as is known. */
  get adjacency(): Pick<Adjacency, 'underlay' | 'neighbours' | 'senders'> {
    return this.#adjacency;
  }

  /** The host's interface with the data path's address. */
  linkAmong(links: readonly HostLink[]): HostLink | undefined {
    return links.find((link) => link.addresses.includes(this.#options.vtep));
  }

  /**
   * Takes note of the data path link; one that has lost its address stays the one that routed networks go by.
   * @returns whether its MTU is another than before.
   */
  see(links: readonly HostLink[]): boolean {
    const link = this.linkAmong(links);
    this.#hasAddress = link !== undefined;
    if (link === undefined) {
      this.#log.warn({ address: this.#options.vtep }, 'no interface has the data path address');
      // Packets that go bare need none: the host may be about to get another one.
      const { underlay } = this.#adjacency;
      if (!links.some(({ name, mac }) => name === underlay?.link && mac === underlay.mac)) {
        this.#adjacency.setUnderlay(undefined);
      }
      return false;
    }
    this.#adjacency.setUnderlay(link);
    const isOther = link.mtu !== this.#mtu;
    this.#mtu = link.mtu;
    return isOther;
  }

  /**
   * Resolves when the network may have an overlay, which for an encrypted one is when the tunnel is up, and `settle` is done, by which
   * the network becomes present: before that an audit must not find the tunnel useless.
   * @throws WaggleError as Tunnel.open, and what `settle` throws.
   */
  async open(networkId: string, settle: () => Promise<void>): Promise<void> {
    if (this.#modules.facts(networkId)?.encrypted !== true) return settle();
    this.#opening++;
    try {
      await this.#tunnel().open(this.#mtu);
      await settle();
    } finally {
      this.#opening--;
    }
  }

  /** What a network's VXLAN device is made with. @throws WaggleError for an encrypted one while the tunnel is not known to be up. */
  path({ encrypted }: NetworkFacts): VxlanPath {
    const { vtep, port: vxlanPort } = this.#options;
    return encrypted === true ? this.#tunnel().path() : { vtep, vxlanPort, mtu: this.#mtu };
  }

  /** Resolves when the networks here are guarded, or when that has failed once. Never rejects. */
  async cover(): Promise<void> {
    await this.#modules.guard?.cover(guardNeed(this.#present()));
  }

  /** Before rows of a network are written: the hosts in them are let in, and asked for where packets may reach them bare. Never rejects. */
  async prepare(networkId: string): Promise<void> {
    await this.#modules.guard?.admit(this.#hostsOf(networkId));
    await this.#adjacency.prepare(this.#routedHostsOf(networkId));
  }

  /** Everything is compared with the kernel, and put right or taken away. Never rejects. */
  async audit(): Promise<void> {
    const { tunnel, guard } = this.#modules;
    // What is needed may change while the step before is done.
    if (this.#hasAddress) {
      await this.#adjacency.refresh(this.#networks().active.flatMap((networkId) => this.#routedHostsOf(networkId)));
    }
    await tunnel?.reconcile(this.#opening > 0 ? 'needed' : tunnelNeed(this.#present()), this.#mtu);
    await guard?.audit(
      guardNeed(this.#present()),
      this.#networks().active.flatMap((networkId) => this.#hostsOf(networkId)),
    );
  }

  /** Repairs of tunnel and guard by kind since the start. */
  get repairs(): Record<string, number> {
    return { ...this.#modules.tunnel?.repairs, ...this.#modules.guard?.repairs };
  }

  /** How tunnel and guard in the kernel are not as they should be; nothing is changed. @throws what the kernel's tools say. */
  async differences(): Promise<Difference[]> {
    const { tunnel, guard } = this.#modules;
    const found = await Promise.all([tunnel?.differences(), guard?.differences()]);
    return found.flatMap((each) => each ?? []);
  }

  /** Whether VXLAN packets from that host come into the network; undefined where none are expected, or nobody is kept out. */
  async guardView(networkId: string, vtep: string): Promise<PathEvidence['guard']> {
    const { guard } = this.#modules;
    const isEncrypted = this.#modules.facts(networkId)?.encrypted === true;
    if (guard === undefined || isEncrypted || vtep === this.#options.vtep) return undefined;
    return { vtep, ...(await guard.view(vtep)) };
  }

  #tunnel(): NonNullable<HostUnderlayModules['tunnel']> {
    if (this.#modules.tunnel !== undefined) return this.#modules.tunnel;
    throw new WaggleError('failed-precondition', 'this host cannot encrypt');
  }

  #present(): PresentNetworks {
    const { present, isPartial } = this.#networks();
    return { facts: present.map((networkId) => this.#modules.facts(networkId)), isPartial };
  }

  #hostsOf(networkId: string): readonly string[] {
    return namedHosts(this.#recordsOf(networkId), this.#options.vtep);
  }

  #routedHostsOf(networkId: string): readonly string[] {
    return routedHosts(this.#recordsOf(networkId), this.#options.vtep);
  }

  #recordsOf(networkId: string): NetworkRecords {
    return { facts: this.#modules.facts(networkId), located: () => this.#modules.table.located(networkId) };
  }
}
