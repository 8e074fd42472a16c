import type { ObservedDevice, ObservedPeer } from '../encryption/tunnel-state.ts';

/**
 * Reads `wg show DEVICE dump` (wg(8)): a line on the device (private key, public key, port, mark), then one for each peer (public key,
 * preshared key, endpoint, allowed addresses, …), separated by tabs. The secrets are passed over.
 * @throws Error when it is not that.
 */
export function readWireguardDump(text: string): Pick<ObservedDevice, 'publicKey' | 'port' | 'peers'> {
  const [first = '', ...rest] = text.split('\n').filter((line) => line !== '');
  const [, publicKey, port] = first.split('\t');
  if (publicKey === undefined || port === undefined) throw new Error('wg prints something unknown');
  const peers = new Map<string, ObservedPeer>();
  for (const line of rest) {
    const [key = '', , endpoint = '', allowed = ''] = line.split('\t');
    peers.set(key, { endpoint, allowed: allowed === '(none)' ? [] : allowed.split(',') });
  }
  return { publicKey, port: Number(port), peers };
}
