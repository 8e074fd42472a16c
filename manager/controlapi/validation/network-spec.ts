import ipaddr from 'ipaddr.js';
import type { IpamConfig, NetworkSpec } from '../../../proto/objects/network.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { swarmError } from '../swarm-error.ts';
import { validateDnsName } from './name.ts';

type Address = ipaddr.IPv4 | ipaddr.IPv6;

/** Networks that every engine has of its own; services may name them, nobody makes them. */
export const PREDEFINED_NETWORKS: ReadonlySet<string> = new Set(['bridge', 'host', 'none']);

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
  validateIpam(spec.IPAMOptions);
}

function validateIpam(ipam: NetworkSpec['IPAMOptions']): void {
  const driver = ipam?.Driver?.Name ?? '';
  if (driver !== '' && driver.toLowerCase() !== 'default') {
    throw swarmError('invalid-argument', `error during lookup of plugin ${driver}`);
  }
  for (const config of ipam?.Configs ?? []) validateIpamConfig(config);
}

function validateIpamConfig({ Subnet = '', IPRange = '', Gateway = '' }: IpamConfig): void {
  const subnet = parseCidr(Subnet);
  if (subnet === undefined) throw invalid(`invalid subnet ${Subnet}`);
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
