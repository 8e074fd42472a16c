import type { LocalEndpoint } from '../../../worker/gossip/endpoint-table.ts';
import { GossipCore, type KnownPeer } from '../../../worker/gossip/core/gossip-core.ts';
import type { Effects, Message } from '../../../worker/gossip/core/message.ts';
import { claimTime } from '../../../worker/network/claim-time.ts';
import { advance } from '../../../worker/network/overlay/advance.ts';
import { portName } from '../../../worker/network/overlay/link-names.ts';
import {
  type DesiredOverlay,
  emptyOverlay,
  type ObservedOverlay,
} from '../../../worker/network/overlay/overlay-state.ts';
import { PeerAges } from '../../../worker/network/overlay/peer-ages.ts';
import { plan } from '../../../worker/network/overlay/plan.ts';
import { indexNames } from '../../../worker/network/resolver/name-index.ts';
import type { SeededRandom } from '../raft/seeded-random.ts';

const NETWORK = 'n1';
export const ADDRESSES = ['10.0.0.5', 'fd00::5'] as const;
const STEP_MS = 20;
const TICK_MS = 60;
const SUBNETS = [
  { subnet: '10.0.0.0/24', gateway: '10.0.0.1/24' },
  { subnet: 'fd00::/64', gateway: 'fd00::1/64' },
];

interface Host {
  nodeId: string;
  vtep: string;
  /** Its clock is off by so much. */
  skewMs: number;
  core: GossipCore;
  ages: PeerAges;
  observed: ObservedOverlay;
  /** Containers that have the addresses. */
  own: Map<string, LocalEndpoint>;
  /** Hears nobody, and nobody hears it. */
  cut: boolean;
}

interface Packet {
  at: number;
  from: number;
  to: number;
  message: Message;
}

/**
 * Hosts in virtual time, each with its endpoint table, its overlay in a model of the kernel, and its names. One IPv4 and one IPv6 address wander
 * from container to container. After each change, and within each change after each step on the kernel, what a host would
 * answer for the addresses is compared with what it knows.
 */
export class MovedAddressWorld {
  readonly hosts: Host[];
  readonly random: SeededRandom;
  now = 1_700_000_000_000;
  /** What was found wrong, in words. */
  readonly faults: string[] = [];
  lossy = true;
  #flying: Packet[] = [];
  #later: { at: number; action: () => void }[] = [];
  #serial = 0;

  constructor(hosts: number, random: SeededRandom) {
    this.random = random;
    this.hosts = Array.from({ length: hosts }, (_, index) => ({
      nodeId: `node${index}`,
      vtep: `192.168.0.${index + 1}`,
      skewMs: random.int(-3_000, 3_000),
      core: this.#core(index, 0),
      ages: new PeerAges(),
      observed: emptyOverlay(),
      own: new Map(),
      cut: false,
    }));
    for (const index of this.hosts.keys()) this.#begin(index);
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += STEP_MS) {
      const due = this.#later.filter(({ at }) => at <= this.now);
      this.#later = this.#later.filter(({ at }) => at > this.now);
      for (const { action } of due) action();
      this.#deliver();
      for (const [index, host] of this.hosts.entries()) {
        if ((this.now / STEP_MS + index) % (TICK_MS / STEP_MS) === 0) this.#owe(index, host.core.tick(this.now));
        this.#owe(index, host.core.flush(this.now));
        // As the audit does, whatever it was told.
        if ((this.now / STEP_MS + index) % 50 === 0) this.update(index);
      }
    }
  }

  after(ms: number, action: () => void): void {
    this.#later.push({ at: this.now + ms, action });
  }

  /** A container on the host has the addresses from now on. Its MAC is chosen by hand now and then. */
  claim(index: number): void {
    const host = this.#host(index);
    const serial = ++this.#serial;
    const [address, address6] = ADDRESSES;
    const endpoint: LocalEndpoint = {
      networkId: NETWORK,
      endpointId: `${this.random.int(100, 999)}-${serial}`,
      address,
      address6,
      mac: this.random.chance(0.3)
        ? `02:00:00:00:00:${(serial % 250).toString(16).padStart(2, '0')}`
        : '02:42:0a:00:00:05',
      vtep: host.vtep,
      vni: 4097,
      names: [`c${serial}`],
      services: ['web'],
      claimedAt: claimTime(host.core.located(NETWORK), [...ADDRESSES], this.now + host.skewMs),
    };
    host.own.set(endpoint.endpointId, endpoint);
    this.#owe(index, host.core.publish(endpoint, this.now));
    this.update(index);
  }

  /** Its containers have them no more. */
  release(index: number): void {
    const host = this.#host(index);
    for (const endpointId of host.own.keys()) this.#owe(index, host.core.withdraw(NETWORK, endpointId, this.now));
    host.own.clear();
    this.update(index);
  }

  /** The daemon forgets all that it heard; its kernel and its containers stay. */
  restart(index: number): void {
    const host = this.#host(index);
    host.core = this.#core(index, this.now);
    host.ages = new PeerAges();
    this.#begin(index);
    for (const endpoint of host.own.values()) this.#owe(index, host.core.publish(endpoint, this.now));
    this.update(index);
  }

  cut(index: number, cut: boolean): void {
    this.#host(index).cut = cut;
    // It is found out after a while, by each for itself.
    for (const other of this.hosts.keys()) this.after(this.random.int(200, 2_500), () => this.#tellMembers(other));
  }

  /** Where each host sends packets for the address, and whom it names for it. */
  answers(address: string): { vtep: string; name: string }[] {
    return this.hosts.map((host) => {
      const local = [...host.own.values()].some((each) => each.address === address || each.address6 === address);
      const mac = host.observed.neighbours.get(address)?.mac ?? '';
      const vtep = local ? host.vtep : (host.observed.forwarding.get(mac)?.vtep ?? '');
      return { vtep, name: indexNames(host.core.network(NETWORK)).addresses.get(address) ?? '' };
    });
  }

  /** Brings the kernel in line with the table, and looks at every step. */
  update(index: number): void {
    const host = this.#host(index);
    const desired = this.#desired(host);
    for (const operation of plan(desired, host.observed)) {
      advance(host.observed, operation);
      for (const address of ADDRESSES) this.#checkStep(host, address, operation.kind);
    }
    for (const address of ADDRESSES) this.#checkAnswers(host, address);
  }

  #desired(host: Host): DesiredOverlay {
    return {
      networkId: NETWORK,
      vni: 4097,
      subnets: SUBNETS,
      dataPath: 'vxlan',
      mtu: 1450,
      vtep: host.vtep,
      port: 4789,
      local: [...host.own.values()].map(({ endpointId, address, address6 = '', mac }) => ({
        ...{ endpointId, address, address6, mac },
        link: portName(endpointId),
      })),
      peers: host.ages.peersOf(host.core.located(NETWORK)),
      isPartial: !host.core.synced(NETWORK),
    };
  }

  /** Never is an address answered for without a way to the one who has it. */
  #checkStep(host: Host, address: string, step: string): void {
    const mac = host.observed.neighbours.get(address)?.mac;
    if (mac !== undefined && !host.observed.forwarding.has(mac)) {
      this.#fault(host, `${address} is answered for with ${mac}, to which there is no way, after ${step}`);
    }
  }

  /** Who has it is the newest that this host knows to live; only where there is none, one that is silent. */
  #checkAnswers(host: Host, address: string): void {
    const records = host.core
      .located(NETWORK)
      .filter((each) => each.address === address || each.address6 === address)
      .toSorted((a, b) => Number(a.silent) - Number(b.silent) || (b.claimedAt ?? 0) - (a.claimedAt ?? 0));
    const [newest] = records;
    const mac = host.observed.neighbours.get(address)?.mac ?? '';
    const vtep = host.observed.forwarding.get(mac)?.vtep;
    if (host.own.size > 0) {
      if (mac !== '') this.#fault(host, `${address} is here, and sent to ${vtep}`);
    } else if (newest !== undefined && !newest.silent && newest.owner !== host.nodeId) {
      if (vtep !== newest.vtep || mac !== newest.mac) {
        this.#fault(host, `${address} is sent to ${mac} at ${vtep} and is ${newest.mac}'s at ${newest.vtep}`);
      }
    }
    const names = indexNames(host.core.network(NETWORK));
    const found = [...names.containers].filter(([, addresses]) => addresses.includes(address)).map(([name]) => name);
    const living = records.find(({ silent }) => !silent)?.names[0];
    const expected = living === undefined ? [] : [living];
    if (found.join() !== expected.join())
      this.#fault(host, `${address} has the names ${found.join()} not ${expected.join()}`);
    if (names.addresses.get(address) !== living)
      this.#fault(host, `${address} is named ${names.addresses.get(address)}`);
  }

  #fault(host: Host, words: string): void {
    if (this.faults.length < 10) this.faults.push(`${this.now - 1_700_000_000_000} ms, ${host.nodeId}: ${words}`);
  }

  #core(index: number, startedAtMs: number): GossipCore {
    const options = { nodeId: `node${index}`, startedAtMs: startedAtMs || this.now, nowMs: this.now, settleMs: 500 };
    return new GossipCore(options, this.random.next);
  }

  #begin(index: number): void {
    this.#tellMembers(index);
    this.#owe(index, this.#host(index).core.need(NETWORK, this.now));
  }

  #tellMembers(index: number): void {
    const host = this.#host(index);
    const members = this.hosts.flatMap(({ nodeId, cut }, other): KnownPeer[] => {
      const standing = cut || host.cut ? 'suspended' : 'served';
      return other === index ? [] : [{ nodeId, host: String(other), port: 7946, standing }];
    });
    this.#owe(index, host.core.setMembers(members, this.now));
  }

  #deliver(): void {
    const due = this.#flying.filter(({ at }) => at <= this.now);
    this.#flying = this.#flying.filter(({ at }) => at > this.now);
    for (const { from, to, message } of due) {
      if (this.#host(from).cut || this.#host(to).cut) continue;
      this.#owe(to, this.#host(to).core.receive(message, { host: String(from), port: 7946 }, this.now));
    }
  }

  #owe(from: number, effects: Effects): void {
    for (const { host, message } of effects.sends) {
      const copies = !this.lossy ? 1 : this.random.chance(0.1) ? 0 : this.random.chance(0.1) ? 2 : 1;
      for (let copy = 0; copy < copies; copy++) {
        const late = this.lossy && this.random.chance(0.05) ? this.random.int(0, 4_000) : this.random.int(1, 15);
        this.#flying.push({ at: this.now + late, from, to: Number(host), message: structuredClone(message) });
      }
    }
    if (effects.changed.has(NETWORK)) this.update(from);
  }

  #host(index: number): Host {
    const host = this.hosts[index];
    if (host === undefined) throw new Error(`no host ${index}`);
    return host;
  }
}
