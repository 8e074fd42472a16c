import type { AllocatedSubnet, IpamConfig } from '../../proto/objects/network.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import {
  blockOf,
  type Cidr,
  contains,
  formatAddress,
  formatCidr,
  endsOf,
  lastOf,
  overlap,
  parseAddress,
  parsePrefix,
  prefixLength,
  sizeOf,
} from './cidr.ts';

/** Where subnets come from that a network did not choose itself. */
export interface AddressPools {
  /** CIDRs, IPv4, in the order in which they are used up. */
  pools: readonly string[];
  /** Prefix length of a subnet. */
  subnetSize: number;
}

const OVERLAP = 'invalid pool request: Pool overlaps with other one on this address space';
const USED_UP = 'all predefined address pools have been fully subnetted';

/**
 * Settles one subnet of a network. The first chunk of the pools is kept for the ingress network, so that the first network of
 * a user gets 10.0.1.0/24 as on Docker.
 * @param taken blocks of all other subnets of the swarm.
 * @throws WaggleError invalid-argument with Docker's text (api/types/network ValidateIPAM, libnetwork ipam).
 */
export function planSubnet(
  config: IpamConfig,
  taken: readonly Cidr[],
  from: AddressPools,
  ingress: boolean,
): AllocatedSubnet {
  const given = config.Subnet ?? '';
  if (given === '' && (config.IPRange ?? '') !== '') throw refused('invalid pool request: Invalid Address SubPool');
  const block = given === '' ? nextChunk(taken, from, ingress) : givenBlock(given, taken);
  const auxiliary = auxiliaryOf(config, block);
  const gateway = gatewayOf(config, block, auxiliary);
  return {
    Subnet: formatCidr(block),
    Gateway: formatAddress(gateway),
    IPRange: rangeOf(config, block),
    ...(auxiliary.size === 0 ? {} : { AuxiliaryAddresses: { ...config.AuxiliaryAddresses } }),
  };
}

function givenBlock(text: string, taken: readonly Cidr[]): Cidr {
  const prefix = parsePrefix(text);
  if (prefix === undefined)
    throw refused(`invalid network config:\ninvalid subnet ${text}: invalid CIDR block notation`);
  if (prefix.address !== prefix.block.base) {
    throw refused(`invalid network config:\ninvalid subnet ${text}: it should be ${formatCidr(prefix.block)}`);
  }
  if (taken.some((other) => overlap(other, prefix.block))) throw refused(OVERLAP);
  return prefix.block;
}

/** The lowest chunk of the pools that overlaps nothing; steps over each taken block once. */
function nextChunk(taken: readonly Cidr[], { pools, subnetSize }: AddressPools, ingress: boolean): Cidr {
  const sorted = taken.toSorted((a, b) => (a.base < b.base ? -1 : 1));
  for (const [at, text] of pools.entries()) {
    const pool = parsePrefix(text)?.block;
    if (pool === undefined) continue;
    const bits = Math.max(pool.bits, pool.bits - prefixLength(pool) + subnetSize);
    const size = sizeOf({ base: pool.base, bits });
    const kept = at === 0 && !ingress;
    let base = kept ? pool.base + size : pool.base;
    for (const other of sorted) {
      if (overlap(other, { base, bits })) base = blockOf(lastOf(other), bits).base + size;
    }
    if (base + size - 1n <= lastOf(pool)) return { base, bits };
  }
  throw refused(USED_UP);
}

function auxiliaryOf(config: IpamConfig, block: Cidr): Set<bigint> {
  const addresses = new Set<bigint>();
  for (const [name, text] of Object.entries(config.AuxiliaryAddresses ?? {})) {
    const address = addressIn(block, text, `invalid auxiliary address ${name}`);
    if (addresses.has(address) || endsOf(block).includes(address)) {
      throw refused(`failed to allocate secondary ip address (${name}:${text}): Address already in use`);
    }
    addresses.add(address);
  }
  return addresses;
}

function gatewayOf(config: IpamConfig, block: Cidr, auxiliary: ReadonlySet<bigint>): bigint {
  const text = config.Gateway ?? '';
  if (text !== '') {
    const gateway = addressIn(block, text, `invalid gateway ${text}`);
    if (auxiliary.has(gateway) || endsOf(block).includes(gateway)) {
      throw refused(`failed to allocate gateway (${text}): Address already in use`);
    }
    return gateway;
  }
  let first = block.base + 1n;
  while (auxiliary.has(first)) first += 1n;
  if (first > lastOf(block) || endsOf(block).includes(first))
    throw refused('failed to allocate gateway (): No available addresses on this pool');
  return first;
}

function rangeOf(config: IpamConfig, block: Cidr): string {
  const text = config.IPRange ?? '';
  if (text === '') return formatCidr(block);
  const prefix = parsePrefix(text);
  const begin = `invalid network config:\ninvalid ip-range ${text}`;
  if (prefix === undefined) throw refused(`${begin}: invalid CIDR block notation`);
  const subnet = formatCidr(block);
  if (prefix.block.bits < block.bits) throw refused(`${begin}: CIDR block is bigger than its parent subnet ${subnet}`);
  if (prefix.address !== prefix.block.base) throw refused(`${begin}: it should be ${formatCidr(prefix.block)}`);
  if (!overlap(prefix.block, block)) throw refused(`${begin}: parent subnet ${subnet} doesn't contain ip-range`);
  return formatCidr(prefix.block);
}

function addressIn(block: Cidr, text: string, what: string): bigint {
  const address = parseAddress(text);
  if (address === undefined) throw refused(`invalid network config:\n${what}: invalid address`);
  if (!contains(block, address)) {
    throw refused(`invalid network config:\n${what}: parent subnet ${formatCidr(block)} doesn't contain this address`);
  }
  return address;
}

function refused(text: string): WaggleError {
  return new WaggleError('invalid-argument', text);
}
