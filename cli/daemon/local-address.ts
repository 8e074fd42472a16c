import { createSocket } from 'node:dgram';
import { isIP, isIPv4 } from 'node:net';
import type { JoinRequest } from '../../manager/engineapi/backend.ts';

/**
 * The address from which this host reaches another, by its routing table; nothing is sent. Undefined when there is no way
 * there, when the way is the loopback, and for names.
 * @param remote `IPv4[:port]`.
 */
export function localAddressTowards(remote: string): Promise<string | undefined> {
  const host = remote.split(':', 1)[0] ?? '';
  if (isIP(host) !== 4) return Promise.resolve(undefined);
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    const settle = (address: string | undefined): void => {
      socket.close();
      resolve(address);
    };
    socket.once('error', () => settle(undefined));
    // Any port will do: it decides nothing.
    socket.connect(9, host, () => {
      const { address } = socket.address();
      settle(isIPv4(address) && !address.startsWith('127.') && address !== '0.0.0.0' ? address : undefined);
    });
  });
}

/** One who joins and does not say how to be reached is reached where it comes from, as with Docker. */
export async function withAdvertised(request: JoinRequest): Promise<JoinRequest> {
  const wildcard = ['', '0.0.0.0'].includes((request.ListenAddr ?? '').split(':', 1)[0] ?? '');
  if (!wildcard || (request.AdvertiseAddr ?? '') !== '') return request;
  const address = await localAddressTowards(request.RemoteAddrs?.[0] ?? '');
  return address === undefined ? request : { ...request, AdvertiseAddr: address };
}
