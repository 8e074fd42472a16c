import { generateKeyPairSync, sign } from 'node:crypto';

/** A new private key (PKCS#8 PEM) and the request that its public key be certified (PKCS#10 PEM). */
export interface CertificateRequest {
  key: string;
  csr: string;
}

const SEQUENCE = 0x30;
const INTEGER_0 = Buffer.from([0x02, 0x01, 0x00]);
const BIT_STRING = 0x03;
const NO_ATTRIBUTES = Buffer.from([0xa0, 0x00]);
/** 1.2.840.10045.4.3.2, ecdsa-with-SHA256 (RFC 5758 3.2). */
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const PEM_LINE = 64;

/**
 * Makes a P-256 key and a request with an empty subject: the manager sets it. Written out by hand (RFC 2986) since
 * node:crypto makes no requests and the X.509 library takes 0.13 s to load, which workers need not pay.
 */
export function createCertificateRequest(): CertificateRequest {
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' });
  const information = der(SEQUENCE, INTEGER_0, der(SEQUENCE), publicKey, NO_ATTRIBUTES);
  const signature = sign('sha256', information, pair.privateKey);
  const request = der(
    SEQUENCE,
    information,
    der(SEQUENCE, ECDSA_WITH_SHA256),
    der(BIT_STRING, Buffer.from([0]), signature),
  );
  return {
    key: pair.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    csr: pem('CERTIFICATE REQUEST', request),
  };
}

/** Tag, length, content (X.690 8.1); contents here stay below 64 KiB. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content]);
  if (length < 0x100) return Buffer.concat([Buffer.from([tag, 0x81, length]), content]);
  return Buffer.concat([Buffer.from([tag, 0x82, length >> 8, length & 0xff]), content]);
}

function pem(label: string, bytes: Buffer): string {
  const lines = bytes.toString('base64').match(new RegExp(`.{1,${PEM_LINE}}`, 'g')) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}
