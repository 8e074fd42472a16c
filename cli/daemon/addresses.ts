import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';
import { WaggleError } from '../../proto/runtime/errors.ts';

/** Interfaces with their addresses of both families, link-local ones left out; passed in. */
export type Interfaces = ReadonlyMap<string, readonly string[]>;

export interface HostPort {
  host: string;
  port: number;
}

const DEFAULT_LISTEN_PORT = 2377;
const MIN_DATA_PATH_PORT = 1024;
const MAX_DATA_PATH_PORT = 49_151;
const BAD_DATA_PATH_ADDRESS =
  'data path address must be a non-zero IP address or network interface (without a port number)';

/** An address as nodes give theirs to each other: `host:port`, an IPv6 host in brackets or not. The port may come out as NaN. */
export function splitHostPort(address: string): HostPort {
  const at = address.lastIndexOf(':');
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ''), port: Number(address.slice(at + 1)) };
}

/** Managers as they are named when joining, each with a port. @throws WaggleError invalid-argument for an empty one. */
export function withPorts(addresses: readonly string[]): string[] {
  if (addresses.includes('')) throw invalid('invalid remoteAddr "": invalid empty address');
  return addresses.map((address) => (/:\d+$/.test(address) ? address : `${address}:${DEFAULT_LISTEN_PORT}`));
}

/** The address in `ip[:port]`, as it was written; undefined for an interface, for every address, and for nothing. */
export function literalAddress(text: string | undefined): string | undefined {
  const { host } = split(text ?? '');
  return isIP(host) === 0 || host === '0.0.0.0' || host === '::' ? undefined : host;
}

/** `[ip|interface][:port]` of `--listen-addr`, which clients fill in themselves. @throws WaggleError in Docker's words. */
export function resolveListenAddress(text: string | undefined, interfaces: Interfaces): HostPort {
  if (text === undefined || text === '') throw invalid('invalid ListenAddr "": invalid empty address');
  const { host, port } = split(text);
  if (host === '')
    throw invalid(
      'must specify a listening address because the address to advertise is not recognized as a system address',
    );
  return { host: isIP(host) === 0 ? addressOf(host, interfaces) : host, port };
}

/**
 * `[ip|interface][:port]` of `--advertise-addr`; without one it is the listen address, or the only address that this host has.
 * @throws WaggleError in Docker's words, when there are several.
 */
export function resolveAdvertiseAddress(text: string | undefined, listen: HostPort, interfaces: Interfaces): HostPort {
  if (text !== undefined && text !== '') {
    const { host, port } = split(text, listen.port);
    if (host === '0.0.0.0')
      throw invalid('advertise address must be a non-zero IP address or network interface (with optional port number)');
    return { host: isIP(host) === 0 ? addressOf(host, interfaces) : host, port };
  }
  if (listen.host !== '0.0.0.0' && listen.host !== '::') return listen;
  return { host: onlyAddress(interfaces), port: listen.port };
}

/**
 * `ip|interface` of `--data-path-addr`; without one it is the advertised address. It must be this host's: VXLAN sends from it.
 * All nodes need addresses of one family. An interface's IPv4 address comes before its IPv6 one.
 * @throws WaggleError in Docker's words, where Docker refuses too.
 */
export function resolveDataPathAddress(text: string | undefined, advertise: string, interfaces: Interfaces): string {
  if (text === undefined || text === '') return advertise;
  if (interfaces.has(text))
    return ipv4Of(text, interfaces).length > 0 ? addressOf(text, interfaces) : ipv6Of(text, interfaces);
  if (isIP(text) === 0 || text === '0.0.0.0' || text === '::') throw invalid(BAD_DATA_PATH_ADDRESS);
  const address = isIP(text) === 6 ? ipaddr.IPv6.parse(text).toRFC5952String() : text;
  if ([...interfaces.values()].some((addresses) => addresses.includes(address))) return address;
  throw invalid(`data path address ${text} is not an address of this host`);
}

/**
 * UDP port of the swarm's VXLAN; 0 and absent mean the default.
 * @throws WaggleError in Docker's words, with its status.
 */
export function validateDataPathPort(port: number | undefined): number {
  if (port === undefined || port === 0) return 0;
  if (Number.isInteger(port) && port >= MIN_DATA_PATH_PORT && port <= MAX_DATA_PATH_PORT) return port;
  const range = `${MIN_DATA_PATH_PORT}-${MAX_DATA_PATH_PORT}`;
  throw new WaggleError('internal', `Datapath port number is not in valid range (${range}) : ${port}`);
}

function onlyAddress(interfaces: Interfaces): string {
  const candidates = [...interfaces].filter(([name]) => !/^(lo|docker|br-|veth|virbr|wgwaggle|wgr-)/.test(name));
  const addresses = candidates.flatMap(([name]) => ipv4Of(name, interfaces));
  const [first] = addresses;
  if (first === undefined) {
    throw invalid(
      'could not choose an IP address to advertise since this system has no usable network interface - specify one with --advertise-addr',
    );
  }
  if (addresses.length > 1) {
    throw invalid(
      `could not choose an IP address to advertise since this system has multiple addresses (${addresses.join(', ')}) - specify one with --advertise-addr`,
    );
  }
  return first;
}

function addressOf(name: string, interfaces: Interfaces): string {
  if (!interfaces.has(name)) throw invalid(`could not find network interface or IP address "${name}"`);
  const addresses = ipv4Of(name, interfaces);
  const [first] = addresses;
  if (first === undefined) throw invalid(`interface ${name} has no usable IPv4 addresses`);
  if (addresses.length > 1)
    throw invalid(`interface ${name} has more than one IPv4 address (${addresses.join(' and ')})`);
  return first;
}

function ipv4Of(name: string, interfaces: Interfaces): string[] {
  return (interfaces.get(name) ?? []).filter((address) => isIP(address) === 4);
}

/** @throws WaggleError in Docker's words, when it has none or several. */
export function ipv6Of(name: string, interfaces: Interfaces): string {
  const addresses = (interfaces.get(name) ?? []).filter((address) => isIP(address) === 6);
  const [first] = addresses;
  if (first === undefined) throw invalid(`interface ${name} has no usable IPv4 or IPv6 address`);
  if (addresses.length > 1) {
    throw invalid(`interface ${name} has more than one IPv6 address (${addresses.join(' and ')})`);
  }
  return first;
}

function split(text: string, defaultPort = DEFAULT_LISTEN_PORT): HostPort {
  const match = /^(?:\[([^\]]+)\]|([^:]*))(?::(\d+))?$/.exec(text);
  if (match === null) {
    if (isIP(text) === 6) return { host: text, port: defaultPort };
    throw invalid(`invalid address ${text}: give IP|interface[:port]`);
  }
  const port = match[3] === undefined ? defaultPort : Number(match[3]);
  if (port > 65535 || port === 0) throw invalid(`invalid port in address ${text}`);
  return { host: match[1] ?? match[2] ?? '', port };
}

function invalid(message: string): WaggleError {
  return new WaggleError('invalid-argument', message);
}
