import type { Change } from './message.ts';

/**
 * 32-bit FNV-1a over the content of a change (Fowler, Noll, Vo; RFC 9923). A checksum of a set is the sum of the
 * hashes of its members modulo 2^32, so that it can be kept up to date change by change and has no order.
 */
export function recordHash(change: Change): number {
  const it = change.endpoint;
  const content = [change.networkId, change.endpointId, change.sequence];
  if (it !== undefined) content.push(it.address, it.mac, it.vtep, it.vni, ...it.names, '', ...it.services);
  if (it?.address6 !== undefined) content.push('', it.address6);
  if (it?.claimedAt !== undefined) content.push('', it.claimedAt);
  return textHash(content.join('\u0000'));
}

/** 32-bit FNV-1a of a text in UTF-8. */
export function textHash(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    // Nearly all texts here are ASCII, and are their own bytes.
    if (unit > 0x7f) return encodedHash(text);
    hash = Math.imul(hash ^ unit, 0x01000193);
  }
  return hash >>> 0;
}

function encodedHash(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

/** Bytes that a change takes in a packet, never less than it really takes. */
export function changeSizeBytes(change: Change): number {
  const perField = 3;
  let size = 24 + textBytes(change.networkId) + textBytes(change.endpointId);
  const it = change.endpoint;
  if (it === undefined) return size;
  size += 24 + it.address.length + it.mac.length + it.vtep.length + perField + (it.address6?.length ?? 0);
  for (const name of [...it.names, ...it.services]) size += perField + textBytes(name);
  return size;
}

/** Most a UTF-16 code unit can take in UTF-8. */
function textBytes(text: string): number {
  return text.length * 3 > 90 ? new TextEncoder().encode(text).length : text.length * 3;
}
