import ipaddr from 'ipaddr.js';
import type { SandboxNetwork } from '../sandbox/sandboxes.ts';
import type { NetworkNames } from './name-index.ts';

/** RFC 1035 3.2.2, RFC 3596. */
export const QUERY_TYPE = { A: 1, PTR: 12, AAAA: 28, ANY: 255 } as const;
const CLASS_IN = 1;
const CLASS_ANY = 255;

export interface DnsQuestion {
  /** As asked; case and trailing dot do not matter. */
  name: string;
  type: number;
  class: number;
}

/** What is known of the sandbox at the moment of the question. */
export interface AnswerContext {
  /** Networks of the sandbox in order; the first that knows the name answers, as with Docker. */
  networks: readonly SandboxNetwork[];
  names: (networkId: string) => NetworkNames;
  /** The endpoint table is not complete yet, so what it lacks says nothing. */
  incomplete: boolean;
  /** Counts questions; decides which address comes first. */
  turn: number;
}

export type Answer =
  | { kind: 'addresses'; addresses: readonly string[] }
  | { kind: 'pointer'; name: string }
  /** The name is ours and has nothing of that type (NODATA, RFC 2308 2.2). */
  | { kind: 'empty' }
  /** Not ours: Docker's resolver answers. */
  | { kind: 'forward' }
  /** Cannot be answered rightly yet: ask again when more is known. */
  | { kind: 'hold' };

/**
 * Decides on one question; pure. A name of ours that has no AAAA is said to have none (instead of passing the question on,
 * which would bring NXDOMAIN): that keeps clients that ask for both families working.
 */
export function answerQuestion(question: DnsQuestion, context: AnswerContext): Answer {
  if (question.class !== CLASS_IN && question.class !== CLASS_ANY) return { kind: 'forward' };
  const name = question.name.toLowerCase().replace(/\.$/, '');
  if (name === '') return { kind: 'forward' };
  if (question.type === QUERY_TYPE.PTR) return answerPointer(name, context);
  const found = find(name, context);
  if (found === undefined) return context.incomplete ? { kind: 'hold' } : { kind: 'forward' };
  if (found.shared && context.incomplete) return { kind: 'hold' };
  const addresses = found.addresses.filter((address) => isAskedFor(question.type, address));
  return addresses.length === 0
    ? { kind: 'empty' }
    : { kind: 'addresses', addresses: rotated(addresses, context.turn) };
}

function isAskedFor(type: number, address: string): boolean {
  if (type === QUERY_TYPE.ANY) return true;
  return type === (address.includes(':') ? QUERY_TYPE.AAAA : QUERY_TYPE.A);
}

/** `shared`: others may have the name as well, so a part of the table is not enough. */
interface Found {
  addresses: readonly string[];
  shared: boolean;
}

function find(name: string, context: AnswerContext): Found | undefined {
  for (const network of context.networks) {
    const names = context.names(network.networkId);
    const suffix = `.${network.name.toLowerCase()}`;
    const found =
      lookUp(names, name) ?? (name.endsWith(suffix) ? lookUp(names, name.slice(0, -suffix.length)) : undefined);
    if (found !== undefined) return found;
  }
  return undefined;
}

function lookUp(names: NetworkNames, name: string): Found | undefined {
  const containers = names.containers.get(name);
  const services = names.services.get(name);
  if (services === undefined) return containers === undefined ? undefined : { addresses: containers, shared: false };
  if (containers === undefined) return { addresses: services, shared: true };
  return { addresses: [...new Set([...services, ...containers])], shared: true };
}

function answerPointer(name: string, context: AnswerContext): Answer {
  const address = reversedAddress(name);
  if (address === undefined) return { kind: 'forward' };
  for (const network of context.networks) {
    const owner = context.names(network.networkId).addresses.get(address);
    if (owner !== undefined) return { kind: 'pointer', name: `${owner}.${network.name}` };
  }
  return { kind: context.incomplete ? 'hold' : 'forward' };
}

/** The address that a name of in-addr.arpa (RFC 1035 3.5) or ip6.arpa (RFC 3596 2.5) stands for. */
function reversedAddress(name: string): string | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (match !== null) return match.slice(1).toReversed().join('.');
  if (!/^(?:[0-9a-f]\.){32}ip6\.arpa$/.test(name)) return undefined;
  const digits = name.split('.').slice(0, 32).toReversed().join('');
  return ipaddr.IPv6.parse(digits.replace(/.{4}(?=.)/g, '$&:')).toRFC5952String();
}

function rotated(addresses: readonly string[], turn: number): readonly string[] {
  const start = addresses.length === 0 ? 0 : turn % addresses.length;
  return [...addresses.slice(start), ...addresses.slice(0, start)];
}
