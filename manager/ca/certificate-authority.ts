import { createHash } from 'node:crypto';
import type { ClusterObject } from '../../proto/objects/cluster.ts';
import { TOKEN_NEEDED } from '../../proto/objects/join-token.ts';
import { newId } from '../../proto/objects/naming.ts';
import type { NodeAvailability, NodeObject, NodeRole } from '../../proto/objects/node.ts';
import type { ManagerLock } from '../../proto/objects/unlock-key.ts';
import type { Caller } from '../../proto/rpc/caller.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { NewObject, Store } from '../store/transaction.ts';
import { clusterOf } from './cluster-membership.ts';
import { roleOfToken } from './join-tokens.ts';
import { readRequest, RootCa } from './root-ca.ts';

export const DEFAULT_CERT_EXPIRY_MS = 90 * 24 * 3_600_000;
const NANOSECONDS_PER_MS = 1e6;

export interface CertificateAuthorityOptions {
  /** False while the swarm has one manager only: nobody is let in as a manager. */
  allowManagers: boolean;
}

export interface IssueRequest {
  /** PEM. */
  csr: Uint8Array;
  token: string;
  availability: string;
}

export interface IssuedCertificate {
  nodeId: string;
  clusterId: string;
  role: NodeRole;
  /** PEM. */
  certificate: string;
  rootCertificate: string;
  /** For a manager: what it locks its keys on disk with. */
  lock?: ManagerLock;
}

/**
 * Gives certificates to nodes: with a join token to a new one (and makes its node object), without one to an
 * authenticated caller for itself, in the role that the store has for it by now.
 */
export class CertificateAuthority {
  readonly #options: CertificateAuthorityOptions;
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  #root: { certificate: string; ca: Promise<RootCa> } | undefined;

  constructor(options: CertificateAuthorityOptions, modules: { store: Store; clock: Clock; log: Log }) {
    this.#options = options;
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#log = modules.log;
  }

  /** PEM. @throws WaggleError unavailable before the swarm's state is here. */
  rootCertificate(): string {
    return this.#cluster().RootCA.Certificate;
  }

  /** @param caller the verified identity, if the peer has shown one. */
  issue(request: IssueRequest, caller: Caller | undefined): Promise<IssuedCertificate> {
    return request.token === '' && caller !== undefined ? this.#renew(request, caller) : this.#join(request);
  }

  /** The same key joins as the same node, so that a join whose answer was lost can be tried again. */
  async #join(request: IssueRequest): Promise<IssuedCertificate> {
    const cluster = this.#cluster();
    const role = roleOfToken(cluster.JoinTokens, request.token);
    if (role === undefined) throw new WaggleError('invalid-argument', TOKEN_NEEDED);
    if (role === 'manager' && !this.#options.allowManagers) {
      throw new WaggleError(
        'unimplemented',
        'this swarm takes no further managers yet: join with the token of `swarm join-token worker`',
      );
    }
    const availability = availabilityOf(request.availability);
    const publicKey = await readRequest(request.csr);
    const nodeId = newId((size) => createHash('sha256').update(publicKey).digest().subarray(0, size));
    if (cluster.RemovedNodes.some((node) => node.ID === nodeId)) {
      throw new WaggleError('permission-denied', `Permission denied: node ${nodeId} was removed`);
    }
    const issued = await this.#sign(cluster, publicKey, nodeId, role);
    await this.#store.update((tx) => {
      // The token may have been rotated since.
      if (roleOfToken(clusterOf(tx)?.JoinTokens ?? { Worker: '', Manager: '' }, request.token) !== role) {
        throw new WaggleError('invalid-argument', TOKEN_NEEDED);
      }
      const known = tx.get('nodes', nodeId);
      if (known !== undefined && known.CertificateRole !== role) {
        throw new WaggleError('already-exists', `node ${nodeId} has already joined as a ${known.CertificateRole}`);
      }
      if (known === undefined) tx.create('nodes', newNode(nodeId, role, availability));
    });
    this.#log.info({ node: nodeId, role }, 'node joined the swarm');
    return issued;
  }

  async #renew(request: IssueRequest, caller: Caller): Promise<IssuedCertificate> {
    const cluster = this.#cluster();
    const publicKey = await readRequest(request.csr);
    const node = this.#store.view((tx) => tx.get('nodes', caller.nodeId));
    if (node === undefined) throw nodeGone(caller.nodeId);
    const role = this.#presentRole(node);
    const issued = await this.#sign(cluster, publicKey, node.ID, role);
    await this.#store.update((tx) => {
      const now = tx.get('nodes', caller.nodeId);
      if (now === undefined) throw nodeGone(caller.nodeId);
      if (this.#presentRole(now) !== role) throw new WaggleError('aborted', `the role of node ${now.ID} has changed`);
      if (now.CertificateRole !== role) tx.update('nodes', { ...now, CertificateRole: role });
    });
    this.#log.info({ node: node.ID, role }, 'certificate renewed');
    return issued;
  }

  /** A demoted manager stays one until it is out of Raft; a promotion waits until managers may be added. */
  #presentRole(node: NodeObject): NodeRole {
    if (node.Spec.Role === 'manager') return this.#options.allowManagers ? 'manager' : node.CertificateRole;
    return node.RaftID === undefined ? 'worker' : node.CertificateRole;
  }

  async #sign(
    cluster: ClusterObject,
    publicKey: Uint8Array,
    nodeId: string,
    role: NodeRole,
  ): Promise<IssuedCertificate> {
    const ca = await this.#open(cluster);
    const subject = { nodeId, clusterId: cluster.ID, role };
    const certificate = await ca.issue(publicKey, subject, this.#clock.now(), certExpiryMs(cluster));
    return { ...subject, certificate, rootCertificate: cluster.RootCA.Certificate, ...lockFor(role, cluster) };
  }

  #open(cluster: ClusterObject): Promise<RootCa> {
    const { Certificate, Key } = cluster.RootCA;
    if (this.#root?.certificate !== Certificate) {
      this.#root = { certificate: Certificate, ca: RootCa.open({ certificate: Certificate, key: Key }) };
    }
    return this.#root.ca;
  }

  #cluster(): ClusterObject {
    const cluster = this.#store.view(clusterOf);
    if (cluster === undefined) throw new WaggleError('unavailable', 'this manager has no state of the swarm yet');
    return cluster;
  }
}

/** Life of a node's certificate by the cluster's spec; 0 and absent mean 90 days. */
export function certExpiryMs(cluster: Pick<ClusterObject, 'Spec'>): number {
  const expiry = cluster.Spec.CAConfig?.NodeCertExpiry ?? 0;
  return expiry > 0 ? expiry / NANOSECONDS_PER_MS : DEFAULT_CERT_EXPIRY_MS;
}

/** A node that has a certificate and has not been heard of yet. */
export function newNode(nodeId: string, role: NodeRole, availability: NodeAvailability): NewObject<'nodes'> {
  return {
    ID: nodeId,
    Spec: { Role: role, Availability: availability },
    Status: { State: 'unknown' },
    CertificateRole: role,
  };
}

/** A worker gets no key: it has nothing that would be locked. */
function lockFor(role: NodeRole, { UnlockKey, Version }: ClusterObject): Pick<IssuedCertificate, 'lock'> {
  return role === 'manager' ? { lock: { key: UnlockKey ?? '', version: Version.Index } } : {};
}

function availabilityOf(given: string): NodeAvailability {
  if (given === '') return 'active';
  if (given === 'active' || given === 'pause' || given === 'drain') return given;
  throw new WaggleError('invalid-argument', `invalid Availability: "${given}"`);
}

function nodeGone(nodeId: string): WaggleError {
  return new WaggleError('not-found', `node ${nodeId} not found`);
}
