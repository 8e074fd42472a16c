import { swarmError } from '../swarm-error.ts';

/** The same language as swarmkit's pattern, written so that a long name cannot make it backtrack for ever. */
const DNS_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9_-]*[a-zA-Z0-9])?$/;
const DATA_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?$/;
const MAX_DNS_NAME = 63;
const MAX_DATA_NAME = 64;

/** Names of services and networks (SWARM-BEHAVIOUR 2.6). */
export function validateDnsName(name: string | undefined): void {
  if (name === undefined || name === '') throw swarmError('invalid-argument', 'meta: name must be provided');
  if (!DNS_NAME.test(name)) throw swarmError('invalid-argument', 'name must be valid as a DNS name component');
  if (name.length > MAX_DNS_NAME) throw swarmError('invalid-argument', 'name must be 63 characters or fewer');
}

/** Names of secrets and configs. */
export function validateDataName(name: string | undefined): void {
  if (name === undefined || name === '') throw swarmError('invalid-argument', 'name must be provided');
  if (name.length > MAX_DATA_NAME || !DATA_NAME.test(name)) {
    throw swarmError(
      'invalid-argument',
      'invalid name, only 64 [a-zA-Z0-9-_.] characters allowed, and the start and end character must be [a-zA-Z0-9]',
    );
  }
}
