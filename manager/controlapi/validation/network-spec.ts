import ipaddr from 'ipaddr.js';
import { dataPathProblem } from '../../../proto/objects/data-path.ts';
import type { IpamConfig, NetworkSpec } from '../../../proto/objects/network.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { swarmError } from '../swarm-error.ts';
import { validateDnsName } from './name.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Networks that every engine has of its own; services may name them, nobody makes them. */
export const PREDEFINED_NETWORKS: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

/** What an IPv6 link must carry (RFC 8200 section 5); Linux gives a link below it no IPv6. */
const IPV6_MIN_MTU = 1280;
/** More than anybody has, and few enough to be routes of every container. */
const MAX_SUBNETS = 64;
const MTU_OPTION = 'com.docker.network.driver.mtu';
/** RFC 791, and what an interface takes less VXLAN's headers. */
const MIN_MTU = 68;
const MAX_MTU = 65_485;
/** Of ipaddr.js: a host cannot have such an address, or only on its own link. */
const UNUSABLE_RANGES: ReadonlySet<string> = new Set([
  'unspecified',
  'broadcast',
  'multicast',
  'linkLocal',
  'loopback',
  'ipv4Mapped',
]);

const PREDEFINED_LABEL = 'com.docker.swarm.predefined';

/**
 * What can be said of a network without the other networks; overlaps are the allocator's.
 * @throws WaggleError in Docker's words; unimplemented for kinds of network that Waggle does not have.
 */
export function validateNetworkSpec(spec: NetworkSpec): void {
  if (PREDEFINED_NETWORKS.has(spec.Name)) {
    throw new WaggleError('permission-denied', `${spec.Name} is a pre-defined network and cannot be created`);
  }
  if (spec.Attachable === true && spec.Ingress === true) {
    throw swarmError('invalid-argument', 'ingress network cannot be attachable');
  }
  validateDnsName(spec.Name);
  if (Object.hasOwn(spec.Labels ?? {}, PREDEFINED_LABEL)) {
    throw swarmError(
      'permission-denied',
      `label ${PREDEFINED_LABEL} is for internally created predefined networks and cannot be applied by users`,
    );
  }
  if (spec.Ingress === true) throw new WaggleError('unimplemented', 'ingress networks are not supported yet');
  if ((spec.ConfigFrom?.Network ?? '') !== '') {
    throw new WaggleError('unimplemented', 'swarm networks from a configuration-only network are not supported');
  }
  const driver = spec.DriverConfiguration?.Name ?? '';
  if (driver !== '' && driver !== 'overlay') {
    throw new WaggleError('unimplemented', `swarm networks of driver ${driver} are not supported, only overlay`);
  }
  const problem = dataPathProblem(spec);
  if (problem !== undefined) throw swarmError('invalid-argument', problem);
  validateMtu(spec);
  validateIpam(spec.IPAMOptions);
  validateIpv6(spec);
}

/** What a user should know of a network that is made all the same; empty when there is nothing. */
export function networkWarning(spec: NetworkSpec): string {
  if (spec.IPv6Enabled !== true || ipv6SubnetsOf(spec).length > 0) return '';
  return 'IPv6 is enabled, but no IPv6 subnet was given: containers get IPv4 addresses only';
}

/** Docker takes any text, and its containers then do not start. */
function validateMtu(spec: NetworkSpec): void {
  const given = spec.DriverConfiguration?.Options?.[MTU_OPTION];
  if (given === undefined) return;
  const mtu = Number(given);
  if (/^\d+$/.test(given) && mtu >= MIN_MTU && mtu <= MAX_MTU) return;
  throw swarmError(
    'invalid-argument',
    `invalid ${MTU_OPTION}=${given}: must be a number from ${MIN_MTU} to ${MAX_MTU}`,
  );
}

/** Docker takes these, and its containers then do not start. */
function validateIpv6(spec: NetworkSpec): void {
  const [subnet] = ipv6SubnetsOf(spec);
  if (subnet === undefined) return;
  if (spec.IPv6Enabled !== true)
    throw invalid(`subnet ${subnet} is IPv6, which is not enabled for the network (--ipv6)`);
  const mtu = Number(spec.DriverConfiguration?.Options?.[MTU_OPTION] ?? IPV6_MIN_MTU);
  if (mtu < IPV6_MIN_MTU) {
    throw swarmError('invalid-argument', `IPv6 needs an MTU of ${IPV6_MIN_MTU} or more, not ${MTU_OPTION}=${mtu}`);
  }
}

function ipv6SubnetsOf(spec: NetworkSpec): string[] {
  return (spec.IPAMOptions?.Configs ?? []).flatMap(({ Subnet = '' }) => (Subnet.includes(':') ? Subnet : []));
}

function validateIpam(ipam: NetworkSpec['IPAMOptions']): void {
  const driver = ipam?.Driver?.Name ?? '';
  if (driver !== '' && driver.toLowerCase() !== 'default') {
    throw swarmError('invalid-argument', `error during lookup of plugin ${driver}`);
  }
  const configs = ipam?.Configs ?? [];
  if (configs.length > MAX_SUBNETS) {
    throw swarmError(
      'invalid-argument',
      `ipam configuration: ${configs.length} subnets, at most ${MAX_SUBNETS} are possible`,
    );
  }
  for (const config of configs) validateIpamConfig(config);
}

function validateIpamConfig({ Subnet = '', IPRange = '', Gateway = '' }: IpamConfig): void {
  const subnet = parseCidr(Subnet);
  if (subnet === undefined) throw invalid(`invalid subnet ${Subnet}`);
  const range = subnet[0].range();
  if (UNUSABLE_RANGES.has(range)) throw invalid(`subnet ${Subnet} has no addresses for containers (${range})`);
  if (IPRange !== '') {
    const range = parseCidr(IPRange);
    if (range === undefined) throw invalid(`invalid range ${IPRange}`);
    if (!contains(subnet, range[0])) throw invalid(`subnet ${Subnet} does not contain range ${IPRange}`);
  }
  if (Gateway === '') return;
  const gateway = ipaddr.IPv4.isValidFourPartDecimal(Gateway) || ipaddr.IPv6.isValid(Gateway);
  if (!gateway) throw invalid(`invalid gateway ${Gateway}`);
  if (!contains(subnet, ipaddr.parse(Gateway))) throw invalid(`subnet ${Subnet} does not contain gateway ${Gateway}`);
}

function parseCidr(text: string): [Address, number] | undefined {
  const [address = ''] = text.split('/');
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !address.includes(':')) return undefined;
  return ipaddr.isValidCIDR(text) ? ipaddr.parseCIDR(text) : undefined;
}

function contains(subnet: [Address, number], address: Address): boolean {
  return subnet[0].kind() === address.kind() && address.match(subnet);
}

function invalid(description: string): WaggleError {
  return swarmError('invalid-argument', `ipam configuration: ${description}`);
}
