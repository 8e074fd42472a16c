import { X509Certificate } from 'node:crypto';

const SEQUENCE = 0x30;
const EXPLICIT_VERSION = 0xa0;
/** In a TBSCertificate (RFC 5280 4.1), after the optional version: serial, signature, issuer. */
const FIELDS_BEFORE_ISSUER = 2;

export interface TlsInfo {
  TrustRoot: string;
  /** base64 of the DER of the subject and of the SubjectPublicKeyInfo. */
  CertIssuerSubject?: string;
  CertIssuerPublicKey?: string;
}

/** What `GET /swarm` says of a root certificate. One that cannot be read is shown as it is. */
export function tlsInfo(rootPem: string): TlsInfo {
  try {
    const root = new X509Certificate(rootPem);
    return {
      TrustRoot: rootPem,
      CertIssuerSubject: issuerOf(root.raw).toString('base64'),
      CertIssuerPublicKey: root.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    };
  } catch {
    return { TrustRoot: rootPem };
  }
}

/** The issuer, as encoded; a root's issuer is itself. */
function issuerOf(certificate: Buffer): Buffer {
  const tbs = element(certificate, element(certificate, 0).content);
  let at = tbs.content;
  if (certificate[at] === EXPLICIT_VERSION) at = element(certificate, at).end;
  for (let skipped = 0; skipped < FIELDS_BEFORE_ISSUER; skipped++) at = element(certificate, at).end;
  if (certificate[at] !== SEQUENCE) throw new RangeError('certificate without an issuer');
  return certificate.subarray(at, element(certificate, at).end);
}

/** Where the contents of the DER element at `start` begin and end. */
function element(der: Buffer, start: number): { content: number; end: number } {
  const first = der.readUInt8(start + 1);
  if (first < 0x80) return { content: start + 2, end: start + 2 + first };
  const size = first & 0x7f;
  const content = start + 2 + size;
  return { content, end: content + der.readUIntBE(start + 2, size) };
}
