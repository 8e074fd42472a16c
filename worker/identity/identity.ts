import { createPrivateKey, X509Certificate } from 'node:crypto';
import type { NodeRole } from '../../proto/objects/node.ts';
import { roleOfUnit } from '../../proto/rpc/caller.ts';
import type { TlsMaterial, TlsSource } from '../../proto/rpc/credentials.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';

interface Facts {
  nodeId: string;
  clusterId: string;
  role: NodeRole;
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
}

/**
 * Who this node is, as its present certificate says. Node and swarm never change, the role may at a renewal. While it is locked the
 * key is not at hand: the node knows who it is and can show it to nobody.
 */
export class Identity implements TlsSource {
  #material: TlsMaterial | undefined;
  #facts: Facts;
  readonly #listeners = new Set<() => void>();

  /** @throws WaggleError invalid-argument when certificate, key and root do not belong together. */
  constructor(material: TlsMaterial | Omit<TlsMaterial, 'key'>) {
    this.#material = 'key' in material ? material : undefined;
    this.#facts = readMaterial(material);
  }

  /** Of a manager whose key is sealed, until `replace` is given it. @throws WaggleError as the constructor. */
  static locked({ certificate, root }: Omit<TlsMaterial, 'key'>): Identity {
    return new Identity({ certificate, root });
  }

  get isLocked(): boolean {
    return this.#material === undefined;
  }

  get nodeId(): string {
    return this.#facts.nodeId;
  }
  get clusterId(): string {
    return this.#facts.clusterId;
  }
  get role(): NodeRole {
    return this.#facts.role;
  }
  get notBefore(): number {
    return this.#facts.notBefore;
  }
  get notAfter(): number {
    return this.#facts.notAfter;
  }

  /** @throws WaggleError unavailable while it is locked. */
  tls(): TlsMaterial {
    if (this.#material === undefined) throw new WaggleError('unavailable', 'the key of this node is locked');
    return this.#material;
  }

  /** Takes a renewed certificate, or the unlocked key. @throws WaggleError invalid-argument when it is not one of this very node. */
  replace(material: TlsMaterial): void {
    this.#facts = this.#check(material);
    this.#material = material;
    for (const listener of this.#listeners) listener();
  }

  /** @throws WaggleError invalid-argument when `replace` would. */
  check(material: TlsMaterial): void {
    this.#check(material);
  }

  #check(material: TlsMaterial): Facts {
    const facts = readMaterial(material);
    if (facts.nodeId !== this.nodeId || facts.clusterId !== this.clusterId) {
      throw new WaggleError('invalid-argument', 'the new certificate is one of another node');
    }
    return facts;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}

/** The role that a certificate gives. @throws WaggleError invalid-argument when it is not one of a node. */
export function roleOf(material: Omit<TlsMaterial, 'key'>): NodeRole {
  return readMaterial(material).role;
}

function readMaterial(material: TlsMaterial | Omit<TlsMaterial, 'key'>): Facts {
  try {
    const certificate = new X509Certificate(material.certificate);
    const root = new X509Certificate(material.root);
    const isOther = 'key' in material && !certificate.checkPrivateKey(createPrivateKey(material.key));
    if (isOther) throw new Error('the key is another one');
    if (!certificate.verify(root.publicKey)) throw new Error('not signed by the root');
    const subject = new Map(certificate.subject.split('\n').map((line) => splitOnce(line)));
    const [nodeId, clusterId] = [subject.get('CN'), subject.get('O')];
    const role = roleOfUnit(subject.get('OU') ?? '');
    if (!nodeId || !clusterId || role === undefined) throw new Error('its subject names no node');
    const [notBefore, notAfter] = [Date.parse(certificate.validFrom), Date.parse(certificate.validTo)];
    return { nodeId, clusterId, role, notBefore, notAfter };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new WaggleError('invalid-argument', `the node's certificate cannot be used: ${reason}`, { cause: error });
  }
}

function splitOnce(line: string): [string, string] {
  const at = line.indexOf('=');
  return [line.slice(0, at), line.slice(at + 1)];
}
