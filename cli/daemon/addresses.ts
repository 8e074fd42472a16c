import { isIP } from 'node:net';
import { WaggleError } from '../../proto/runtime/errors.ts';

/** Interfaces with their IPv4 addresses, as os.networkInterfaces has them; passed in. */
export type Interfaces = ReadonlyMap<string, readonly string[]>;

export interface HostPort {
  host: string;
  port: number;
}

export const DEFAULT_LISTEN_PORT = 2377;

/** `[ip|interface][:port]` of `--listen-addr`. @throws WaggleError in Docker's words. */
export function resolveListenAddress(text: string | undefined, interfaces: Interfaces): HostPort {
  const { host, port } = split(text === undefined || text === '' ? '0.0.0.0' : text);
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

/** `ip|interface` of `--data-path-addr`; without one it is the advertised address. */
export function resolveDataPathAddress(text: string | undefined, advertise: string, interfaces: Interfaces): string {
  if (text === undefined || text === '') return advertise;
  if (text === '0.0.0.0') throw invalid('data path address must be a non-zero IP address or network interface');
  return isIP(text) === 0 ? addressOf(text, interfaces) : text;
}

function onlyAddress(interfaces: Interfaces): string {
  const candidates = [...interfaces].filter(([name]) => !/^(lo|docker|br-|veth|virbr)/.test(name));
  const addresses = candidates.flatMap(([, each]) => each);
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
  const addresses = interfaces.get(name);
  if (addresses === undefined) throw invalid(`could not find network interface or IP address "${name}"`);
  const [first] = addresses;
  if (first === undefined) throw invalid(`interface ${name} has no usable IPv4 addresses`);
  if (addresses.length > 1)
    throw invalid(`interface ${name} has more than one IPv4 address (${addresses.join(' and ')})`);
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
