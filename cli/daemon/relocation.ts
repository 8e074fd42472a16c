import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { type Interfaces, resolveAdvertiseAddress, resolveListenAddress } from './addresses.ts';
import type { MemberConfig } from './member-config.ts';

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

/**
 * The configuration of a node whose host may have been renumbered since: an address that was this host's and is no more gives way to the
 * one that its interface has now or, when there is no such interface any more, to the only one of the host. One that
 * never was on an interface here is the operator's and stays. @returns `config` itself when nothing has changed.
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
  const hasInterface = (interfaces.get(former)?.length ?? 0) > 0;
  try {
    if (hasInterface) return resolveListenAddress(former, interfaces).host;
    return resolveAdvertiseAddress(undefined, { host: '0.0.0.0', port: 0 }, interfaces).host;
  } catch (error) {
    throw new WaggleError(
      'unavailable',
      `this node was known by the address ${address}, which this host no longer has: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
