import type { Clock } from '../../../proto/runtime/clock.ts';
import { messageOf } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import { isIpv4, isIpv6, isMac } from './address.ts';
import type { HostLink, OverlayKernel } from './overlay-kernel.ts';
import type { Underlay } from './overlay-state.ts';

/** A host on the segment answers ARP or NDP in less than this, many times over; one that does not is asked for again at the next audit. */
const RESOLVE_TRIES = 3;
const RESOLVE_WAIT_MS = 100;
/** What nft takes as the name of a link. */
const LINK_NAME = /^[\w.@-]+$/;

export interface AdjacencyModules {
  kernel: Pick<OverlayKernel, 'adjacentHosts'>;
  clock: Clock;
  log: Log;
}

/**
 * Which hosts are on the segment of this host's data path link, so that packets reach them bare, and by which MAC. A host is adjacent when
 * the host's routes have it on that link without a gateway, and it has answered ARP or, where hosts reach each other by IPv6, NDP.
 * It stays adjacent, under the last MAC seen, while the routes say so: a host that is down for a while must not make every network
 * here change its ways.
 * Two hosts need not agree: with another route, or another prefix length, one has the other on the link and not the other way round.
 * So whoever is known by a MAC on the link is heard, adjacent or not.
 */
export class Adjacency {
  readonly #modules: AdjacencyModules;
  readonly #log: Log;
  #underlay: Underlay | undefined;
  /** Never changed, but replaced: overlays keep them to compare with. */
  #macs: ReadonlyMap<string, string> = new Map();
  #senders: ReadonlyMap<string, string> = new Map();
  #asked = new Set<string>();
  #evaluating: Promise<void> = Promise.resolve();

  constructor(modules: AdjacencyModules) {
    this.#modules = modules;
    this.#log = modules.log.child({ module: 'worker/overlay' });
  }

  /** The data path link, when it can be used. */
  get underlay(): Underlay | undefined {
    return this.#underlay;
  }

  /** VTEP to MAC, of all that are adjacent as far as is known. */
  get neighbours(): ReadonlyMap<string, string> {
    return this.#macs;
  }

  /** VTEP to MAC, of all whose bare packets are taken: those that are adjacent, and those that take this host for adjacent. */
  get senders(): ReadonlyMap<string, string> {
    return this.#senders;
  }

  /** The link that has this host's VTEP; another one than before has other neighbours. One without a MAC has none. */
  setUnderlay(link: Pick<HostLink, 'name' | 'mac'> | undefined): void {
    const usable = link !== undefined && LINK_NAME.test(link.name) && isMac(link.mac);
    const former = this.#underlay;
    this.#underlay = usable ? { link: link.name, mac: link.mac } : undefined;
    if (former?.link === this.#underlay?.link) return;
    this.#macs = new Map();
    this.#senders = new Map();
    this.#asked = new Set();
  }

  /** Resolves when each VTEP has been asked for at least once, at once when all have. Never rejects: what is not known is not adjacent. */
  async prepare(vteps: Iterable<string>): Promise<void> {
    const fresh = [...new Set(vteps)].filter((vtep) => !this.#asked.has(vtep));
    if (fresh.length > 0) await this.#evaluate(fresh);
  }

  /** Asks for these VTEPs again, and forgets all others. Never rejects. */
  async refresh(vteps: Iterable<string>): Promise<void> {
    const wanted = new Set(vteps);
    for (const vtep of this.#asked) {
      if (wanted.has(vtep)) continue;
      this.#asked.delete(vtep);
      this.#macs = withEntry(this.#macs, vtep, undefined);
      this.#senders = withEntry(this.#senders, vtep, undefined);
    }
    if (wanted.size > 0) await this.#evaluate([...wanted]);
  }

  /** One at a time, in order. */
  #evaluate(vteps: readonly string[]): Promise<void> {
    this.#evaluating = this.#evaluating.then(async () => {
      try {
        await this.#ask(vteps);
      } catch (error) {
        this.#log.warn({ error: messageOf(error) }, 'neighbour hosts could not be found out');
      }
      for (const vtep of vteps) this.#asked.add(vtep);
    });
    return this.#evaluating;
  }

  async #ask(vteps: readonly string[]): Promise<void> {
    const underlay = this.#underlay?.link;
    if (underlay === undefined) return;
    let left = vteps.filter((vtep) => isIpv4(vtep) || isIpv6(vtep));
    for (let round = 1; left.length > 0; round++) {
      const { onLink, macs } = await this.#modules.kernel.adjacentHosts(underlay, left);
      if (this.#underlay?.link !== underlay) return;
      for (const vtep of left) this.#learn(vtep, onLink.has(vtep), macs.get(vtep));
      left = left.filter((vtep) => onLink.has(vtep) && !this.#macs.has(vtep));
      if (left.length === 0 || round === RESOLVE_TRIES) return;
      await new Promise<void>((resolve) => this.#modules.clock.after(RESOLVE_WAIT_MS, resolve));
    }
  }

  #learn(vtep: string, onLink: boolean, mac: string | undefined): void {
    const known = mac !== undefined && isMac(mac) ? mac : undefined;
    this.#macs = withEntry(this.#macs, vtep, onLink ? (known ?? this.#macs.get(vtep)) : undefined);
    this.#senders = withEntry(this.#senders, vtep, onLink ? (known ?? this.#senders.get(vtep)) : known);
  }
}

/** Without the key where the value is undefined; the same map when that is what it has. */
function withEntry(
  map: ReadonlyMap<string, string>,
  key: string,
  value: string | undefined,
): ReadonlyMap<string, string> {
  if (map.get(key) === value) return map;
  const changed = new Map(map);
  if (value === undefined) changed.delete(key);
  else changed.set(key, value);
  return changed;
}
