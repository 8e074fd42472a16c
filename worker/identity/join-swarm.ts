import { X509Certificate } from 'node:crypto';
import { parseJoinToken, rootDigest, TOKEN_NEEDED, type JoinToken } from '../../proto/objects/join-token.ts';
import type { NodeAvailability } from '../../proto/objects/node.ts';
import { anonymousCredentials, CHANNEL_OPTIONS, unverifiedCredentials } from '../../proto/rpc/credentials.ts';
import { caService, nodeCaService } from '../../proto/rpc/services.ts';
import { callUnary, type UnaryOptions } from '../../proto/rpc/unary.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { isTemporary, messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { createCertificateRequest } from './certificate-request.ts';
import { Identity } from './identity.ts';
import type { IdentityStore } from './identity-store.ts';
import { type IssuedMaterial, issuedMaterial } from './issued-material.ts';

const DEFAULT_MANAGER_PORT = 2377;
/** As Docker's join: 20 s in total. */
const TOTAL_MS = 20_000;
const CALL_MS = 5000;
/** Rounds over all addresses while managers cannot be reached (swarmkit: 5 tries). */
const ROUNDS = 5;
const ROUND_BACKOFF: BackoffOptions = { minMs: 250, maxMs: 2000, factor: 2, jitter: 0.2 };

export interface JoinOptions {
  /** Managers, `host[:port]`. */
  remoteAddrs: readonly string[];
  token: string;
  availability: NodeAvailability;
}

export interface JoinModules {
  store: IdentityStore;
  clock: Clock;
  random: Random;
  log: Log;
}

/**
 * Joins a swarm: asks a manager for the root certificate without trusting it, compares its digest with the token's
 * BEFORE anything is sent, then asks over verified TLS for a certificate. The identity is on the disk when this
 * resolves; after a failure nothing is.
 * @throws WaggleError in Docker's words: `TOKEN_NEEDED` without a token, `invalid join token`, `remote CA does not match fingerprint. Expected: …`,
 * what the manager answered (a rotated token), unavailable (nobody reached), deadline-exceeded (20 s).
 */
export async function joinSwarm(options: JoinOptions, modules: JoinModules): Promise<Identity> {
  if (options.token === '') throw new WaggleError('invalid-argument', TOKEN_NEEDED);
  const token = parseJoinToken(options.token);
  const addresses = options.remoteAddrs.map(withPort);
  if (addresses.length === 0) throw new WaggleError('invalid-argument', 'at least 1 RemoteAddr is required to join');
  if ((await modules.store.load()) !== undefined) {
    throw new WaggleError(
      'unavailable',
      'This node is already part of a swarm. Use "docker swarm leave" to leave this swarm and join another one.',
    );
  }
  const abort = new AbortController();
  const cancel = modules.clock.after(TOTAL_MS, () =>
    abort.abort(
      new WaggleError('deadline-exceeded', `Timeout was reached before node joined (${addresses.join(', ')})`),
    ),
  );
  try {
    const { material, lock } = await joinAny(addresses, token, options, modules, abort.signal);
    await modules.store.save(material, lock);
    return new Identity(material);
  } catch (error) {
    await modules.store.remove();
    throw error;
  } finally {
    cancel();
  }
}

async function joinAny(
  addresses: readonly string[],
  token: JoinToken,
  options: JoinOptions,
  modules: JoinModules,
  signal: AbortSignal,
): Promise<IssuedMaterial> {
  // One request for all tries: the manager knows it again when an answer was lost.
  const request = createCertificateRequest();
  const call: UnaryOptions = { clock: modules.clock, timeoutMs: CALL_MS, signal };
  let failure: unknown;
  for (let round = 1; round <= ROUNDS; round++) {
    for (const address of addresses) {
      try {
        const root = await fetchRoot(address, token, call);
        return await requestCertificate(address, root, request, options, call);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        if (!isTemporary(error)) throw error;
        modules.log.info({ manager: address, error: messageOf(error) }, 'manager cannot be reached for joining');
        failure = error;
      }
    }
    if (round < ROUNDS) await sleep(modules.clock, backoffDelayMs(ROUND_BACKOFF, round, modules.random()), signal);
  }
  throw new WaggleError(
    'unavailable',
    `no manager could be reached: ${messageOf(failure)}. Is this the address of a manager, and is its port open to this host?`,
    { cause: failure },
  );
}

async function fetchRoot(address: string, token: JoinToken, call: UnaryOptions): Promise<string> {
  const client = new caService.Client(address, unverifiedCredentials(), CHANNEL_OPTIONS);
  try {
    const { certificate } = await callUnary(client, client.getRootCACertificate, {}, call);
    if (rootDigest(certificate) !== token.digest) {
      throw new WaggleError('failed-precondition', `remote CA does not match fingerprint. Expected: ${token.digest}`);
    }
    const root = Buffer.from(certificate).toString('utf8');
    return new X509Certificate(root).ca ? root : refuseRoot();
  } finally {
    client.close();
  }
}

async function requestCertificate(
  address: string,
  root: string,
  request: { key: string; csr: string },
  options: JoinOptions,
  call: UnaryOptions,
): Promise<IssuedMaterial> {
  const client = new nodeCaService.Client(address, anonymousCredentials(root), CHANNEL_OPTIONS);
  try {
    const answer = await callUnary(
      client,
      client.issueNodeCertificate,
      { csr: Buffer.from(request.csr), token: options.token, availability: options.availability },
      call,
    );
    const issued = issuedMaterial(answer, { key: request.key, root });
    const identity = new Identity(issued.material);
    if (identity.nodeId !== answer.nodeId) {
      throw new WaggleError('invalid-argument', 'the manager answered with the certificate of another node');
    }
    return issued;
  } finally {
    client.close();
  }
}

function refuseRoot(): never {
  throw new WaggleError('failed-precondition', 'the manager answered with a certificate that is no root');
}

/** `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address. */
function withPort(address: string): string {
  const bare = address.replace(/^tcp:\/\//, '');
  if (/^\[[^\]]*\]:\d+$/.test(bare) || /^[^:[\]/\s]+:\d+$/.test(bare)) return bare;
  if (/^\[[^\]]*\]$/.test(bare) || /^[^:[\]/\s]+$/.test(bare)) return `${bare}:${DEFAULT_MANAGER_PORT}`;
  if (/^[0-9a-fA-F:.]+$/.test(bare)) return `[${bare}]:${DEFAULT_MANAGER_PORT}`;
  throw new WaggleError('invalid-argument', `invalid remote address: ${address}`);
}
