import type { NetworkObject, NetworkSpec } from '../../proto/objects/network.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { type Cidr, parsePrefix } from './cidr.ts';
import { type AddressPools, planSubnet } from './subnet-plan.ts';

export type Allocated = Required<NetworkObject>['Allocated'];

/** libnetwork's netlabel for the VXLAN IDs of an overlay network, comma-separated, one per IPv4 subnet. */
export const VXLAN_ID_OPTION = 'com.docker.network.driver.overlay.vxlanid_list';

/** VNIs that are given out without being asked for (libnetwork ovmanager); lower ones are left to users. */
const FIRST_VNI = 4096;
const LAST_VNI = 2 ** 24 - 1;

/** What was settled for each network of the swarm, and what the next one gets. */
export class NetworkBook {
  readonly #networks = new Map<string, Allocated>();
  #lastVni = FIRST_VNI - 1;

  /** Idempotent. */
  set(networkId: string, allocated: Allocated): void {
    this.#networks.set(networkId, allocated);
    for (const vni of allocated.VNIs) this.#lastVni = Math.max(this.#lastVni, vni);
  }

  remove(networkId: string): void {
    this.#networks.delete(networkId);
  }

  get(networkId: string): Allocated | undefined {
    return this.#networks.get(networkId);
  }

  networkIds(): string[] {
    return [...this.#networks.keys()];
  }

  /**
   * Settles subnets and VNIs of a network, and remembers them until `remove`: asked again, the answer is the same.
   * @throws WaggleError invalid-argument or unimplemented, with the text for the user.
   */
  plan(network: NetworkObject, from: AddressPools): Allocated {
    const known = this.#networks.get(network.ID);
    if (known !== undefined) return known;
    refuseUnsupported(network.Spec);
    const configs = network.Spec.IPAMOptions?.Configs ?? [];
    const taken = [...this.#networks.values()].flatMap((other) =>
      other.Subnets.flatMap(({ Subnet }) => blockOfText(Subnet)),
    );
    // An overlay always has IPv4, whatever else it has (libnetwork: "IPv4 cannot be disabled" for swarm scope).
    const needsIpv4 = configs.every(({ Subnet = '' }) => Subnet.includes(':'));
    const subnets = (needsIpv4 ? [{}, ...configs] : configs).map((config) => {
      const subnet = planSubnet(config, taken, from, network.Spec.Ingress === true);
      taken.push(...blockOfText(subnet.Subnet));
      return subnet;
    });
    const vnis = this.#vnisFor(
      network.Spec,
      subnets.map(({ Subnet }) => Subnet).filter((subnet) => !subnet.includes(':')),
    );
    const allocated: Allocated = {
      Driver: 'overlay',
      VNIs: vnis,
      Subnets: subnets,
      Options: { ...network.Spec.DriverConfiguration?.Options, [VXLAN_ID_OPTION]: vnis.join(',') },
    };
    this.set(network.ID, allocated);
    return allocated;
  }

  #vnisFor(spec: NetworkSpec, subnets: readonly string[]): number[] {
    const wanted = wantedVnis(spec);
    const used = new Set([...this.#networks.values()].flatMap(({ VNIs }) => VNIs));
    // Those that were asked for first, so that none of them is given away to a sibling.
    const fixed = subnets.map((subnet, at) => {
      const vni = wanted[at] ?? 0;
      if (vni === 0) return undefined;
      if (vni < 0 || vni > LAST_VNI) throw noVni(subnet, `requested id does not belong to [0, ${LAST_VNI}]`);
      if (used.has(vni)) throw noVni(subnet, 'requested bit is already allocated');
      used.add(vni);
      return vni;
    });
    return subnets.map((subnet, at) => fixed[at] ?? this.#nextVni(subnet, used));
  }

  /** Serial, so that a VNI rests before it stands for another network. */
  #nextVni(subnet: string, used: Set<number>): number {
    let vni = this.#lastVni;
    for (let tries = 0; tries <= used.size; tries++) {
      vni = vni >= LAST_VNI ? FIRST_VNI : vni + 1;
      if (used.has(vni)) continue;
      used.add(vni);
      this.#lastVni = vni;
      return vni;
    }
    throw noVni(subnet, 'no bit available');
  }
}

function refuseUnsupported(spec: NetworkSpec): void {
  if (spec.ConfigFrom !== undefined)
    throw new WaggleError('unimplemented', 'config-from networks are not supported yet');
  const driver = spec.DriverConfiguration?.Name ?? '';
  if (driver !== '' && driver !== 'overlay') {
    throw new WaggleError('invalid-argument', `could not resolve network driver ${driver}`);
  }
  const ipam = spec.IPAMOptions?.Driver?.Name ?? '';
  if (ipam !== '' && ipam !== 'default') {
    throw new WaggleError('invalid-argument', `could not resolve IPAM driver ${ipam}`);
  }
}

function wantedVnis(spec: NetworkSpec): number[] {
  const list = spec.DriverConfiguration?.Options?.[VXLAN_ID_OPTION] ?? '';
  if (list === '') return [];
  return list.split(',').map((text) => {
    if (!/^[+-]?\d+$/.test(text)) throw new WaggleError('invalid-argument', `invalid vxlan id value "${text}" passed`);
    return Number(text);
  });
}

function noVni(subnet: string, why: string): WaggleError {
  return new WaggleError('invalid-argument', `could not obtain vxlan id for pool ${subnet}: ${why}`);
}

function blockOfText(cidr: string): Cidr[] {
  const block = parsePrefix(cidr)?.block;
  return block === undefined ? [] : [block];
}
