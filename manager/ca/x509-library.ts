import { webcrypto } from 'node:crypto';
import type * as library from '@peculiar/x509';

export type X509 = typeof library;

let loading: Promise<X509> | undefined;

/** The X.509 library; it takes 0.13 s to load, so only managers do, and only when they sign. */
export function loadX509(): Promise<X509> {
  loading ??= load();
  return loading;
}

async function load(): Promise<X509> {
  await import('reflect-metadata');
  const x509 = await import('@peculiar/x509');
  x509.cryptoProvider.set(webcrypto);
  return x509;
}
