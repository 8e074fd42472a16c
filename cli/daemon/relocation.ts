import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { isIP } from 'node:net';
import type { InitRequest, JoinRequest } from '../../manager/engineapi/backend.ts';
import { type Interfaces, ipv6Of, literalAddress, resolveAdvertiseAddress, resolveListenAddress } from './addresses.ts';
import type { AddressFlag, MemberConfig } from './member-config.ts';

type Addresses = Pick<MemberConfig, 'listen' | 'advertise' | 'dataPathAddress'>;

const ANY = new Set(['0.0.0.0', '::']);

/** On which interface each of the node's addresses is; one that is on none (behind NAT, say) is left out. */
export function interfacesOf(
  { listen, advertise, dataPathAddress }: Addresses,
  interfaces: Interfaces,
): Record<string, string> {
  const own = new Set([listen.host, advertise.host, dataPathAddress]);
  const found = [...interfaces].flatMap(([name, addresses]) =>
    addresses.filter((address) => own.has(address)).map((address): [string, string] => [address, name]),
  );
  return Object.fromEntries(found);
}

/** Which flags of the request say an address as such. */
export function fixedBy(request: Pick<InitRequest | JoinRequest, 'ListenAddr' | 'AdvertiseAddr' | 'DataPathAddr'>): {
  fixed: AddressFlag[];
} {
  const given = {
    'listen-addr': request.ListenAddr,
    'advertise-addr': request.AdvertiseAddr,
    'data-path-addr': request.DataPathAddr,
  };
  const flags = Object.keys(given) as AddressFlag[];
  return { fixed: flags.filter((flag) => literalAddress(given[flag]) !== undefined) };
}

/** Addresses that are, or were, on interfaces of this host. */
export function ownAddresses(config: MemberConfig): string[] {
  const addresses = [config.listen.host, config.advertise.host, config.dataPathAddress];
  return addresses.filter((address) => config.interfaces?.[address] !== undefined);
}

/** Addresses that were given as such and are this host's no longer, and where they were. */
export function lostFixedAddresses(
  config: MemberConfig,
  interfaces: Interfaces,
): { option: AddressFlag; address: string; former: string }[] {
  const present = new Set([...interfaces.values()].flat());
  const addressOf = {
    'listen-addr': config.listen.host,
    'advertise-addr': config.advertise.host,
    'data-path-addr': config.dataPathAddress,
  };
  return (config.fixed ?? []).flatMap((option) => {
    const address = addressOf[option];
    const former = config.interfaces?.[address];
    return former === undefined || present.has(address) ? [] : [{ option, address, former }];
  });
}

/**
 * The configuration of a node whose host may have been renumbered since: an address that was this host's and is no more gives way to the
 * one that its interface has now or, when there is no such interface any more, to the only one of the host. An interface that is there and has
 * none is waited for: another one may lead to another network. What never was on an interface here is the operator's and stays.
 * @param interfaces all of them, also those that do not work. @returns `config` itself when nothing has changed.
 * @throws WaggleError unavailable when it cannot be told which address to take.
 */
export function relocated(config: MemberConfig, interfaces: Interfaces): MemberConfig {
  const present = new Set([...interfaces.values()].flat());
  const move = (address: string): string => {
    const former = config.interfaces?.[address];
    if (ANY.has(address) || present.has(address) || former === undefined) return address;
    return successorOf(address, former, interfaces);
  };
  const addresses: Addresses = {
    listen: { ...config.listen, host: move(config.listen.host) },
    advertise: { ...config.advertise, host: move(config.advertise.host) },
    dataPathAddress: move(config.dataPathAddress),
  };
  const hasMoved =
    addresses.listen.host !== config.listen.host ||
    addresses.advertise.host !== config.advertise.host ||
    addresses.dataPathAddress !== config.dataPathAddress;
  if (!hasMoved) return config;
  return {
    ...config,
    ...addresses,
    interfaces: { ...config.interfaces, ...interfacesOf(addresses, interfaces) },
  };
}

function successorOf(address: string, former: string, interfaces: Interfaces): string {
  try {
    if (interfaces.has(former) && isIP(address) === 6) return ipv6Of(former, interfaces);
    if (interfaces.has(former)) return resolveListenAddress(former, interfaces).host;
    return resolveAdvertiseAddress(undefined, { host: '0.0.0.0', port: 0 }, interfaces).host;
  } catch (error) {
    throw new WaggleError(
      'unavailable',
      `this node was known by the address ${address}, which this host no longer has: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
