import { createPrivateKey, randomBytes, webcrypto } from 'node:crypto';
import type { X509Certificate } from '@peculiar/x509';
import type { NodeRole } from '../../proto/objects/node.ts';
import { roleUnit } from '../../proto/rpc/caller.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import { loadX509 } from './x509-library.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const ROOT_NAME = 'swarm-ca';
const ROOT_YEARS = 20;
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** So that a node whose clock is a little slow takes the certificate at once (swarmkit CertBackdate). */
const BACKDATE_MS = HOUR_MS;
const SERIAL_BYTES = 16;
const MAX_CSR_BYTES = 16 * 1024;

type CryptoKey = webcrypto.CryptoKey;

/** The root certificate and its private key, PEM (PKCS#8). */
export interface RootMaterial {
  certificate: string;
  key: string;
}

export interface NodeSubject {
  nodeId: string;
  clusterId: string;
  role: NodeRole;
}

/** Makes a swarm's root: P-256, CN swarm-ca, 20 years (swarmkit ca/certificates.go). */
export async function createRoot(nowMs: number): Promise<RootMaterial> {
  const x509 = await loadX509();
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const usage = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(),
    name: [{ CN: [ROOT_NAME] }],
    notBefore: new Date(nowMs - BACKDATE_MS),
    notAfter: new Date(nowMs + ROOT_YEARS * 365 * DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(usage, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  const pkcs8 = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
  return { certificate: pemOf(certificate), key: key.export({ type: 'pkcs8', format: 'pem' }).toString() };
}

/** Public key (SPKI, DER) of a certificate request whose own signature is right. @throws WaggleError invalid-argument. */
export async function readRequest(csr: Uint8Array): Promise<Uint8Array> {
  const x509 = await loadX509();
  const bad = 'rpc error: code = InvalidArgument desc = not a usable certificate signing request';
  if (csr.length > MAX_CSR_BYTES) throw new WaggleError('invalid-argument', bad);
  try {
    const request = new x509.Pkcs10CertificateRequest(Buffer.from(csr).toString('utf8'));
    if (await request.verify()) return new Uint8Array(request.publicKey.rawData);
  } catch (error) {
    throw new WaggleError('invalid-argument', bad, { cause: error });
  }
  throw new WaggleError('invalid-argument', bad);
}

/** Signs the certificates of one swarm's nodes. */
export class RootCa {
  readonly certificate: string;
  readonly #root: X509Certificate;
  readonly #signingKey: CryptoKey;

  private constructor(certificate: string, root: X509Certificate, signingKey: CryptoKey) {
    this.certificate = certificate;
    this.#root = root;
    this.#signingKey = signingKey;
  }

  /** @throws when the PEM is not a P-256 root with its key. */
  static async open(material: RootMaterial): Promise<RootCa> {
    const x509 = await loadX509();
    const pkcs8 = createPrivateKey(material.key).export({ type: 'pkcs8', format: 'der' });
    const signingKey = await webcrypto.subtle.importKey('pkcs8', pkcs8, ALGORITHM, false, ['sign']);
    return new RootCa(material.certificate, new x509.X509Certificate(material.certificate), signingKey);
  }

  /**
   * Subject and names are ours, only the key is the requester's: CN the node, OU its role, O the swarm; names the same,
   * and swarm-ca for managers.
   * @param publicKey SPKI, DER. @param expiryMs life from now on. @returns PEM.
   */
  async issue(publicKey: Uint8Array, subject: NodeSubject, nowMs: number, expiryMs: number): Promise<string> {
    const x509 = await loadX509();
    const unit = roleUnit(subject.role);
    const names = subject.role === 'manager' ? [unit, subject.nodeId, ROOT_NAME] : [unit, subject.nodeId];
    const key = new x509.PublicKey(publicKey);
    const usage = x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.keyEncipherment;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: serialNumber(),
      subject: [{ O: [subject.clusterId] }, { OU: [unit] }, { CN: [subject.nodeId] }],
      issuer: this.#root.subjectName,
      notBefore: new Date(nowMs - BACKDATE_MS),
      notAfter: new Date(nowMs + expiryMs),
      publicKey: key,
      signingKey: this.#signingKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(usage, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth]),
        new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
        await x509.AuthorityKeyIdentifierExtension.create(this.#root.publicKey),
        await x509.SubjectKeyIdentifierExtension.create(key),
      ],
    });
    return pemOf(certificate);
  }
}

/** Positive and 16 bytes long (RFC 5280 4.1.2.2). */
function serialNumber(): string {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

function pemOf(certificate: X509Certificate): string {
  return `${certificate.toString('pem').trim()}\n`;
}
