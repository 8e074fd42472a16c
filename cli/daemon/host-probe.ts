import { connect, isIP } from 'node:net';
import type { HostAnswer } from '../../manager/dispatcher/node-witness.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { splitHostPort } from './addresses.ts';

/**
 * A host of the same swarm resets or accepts within some round trips; it has half a second. In slices, so that a standstill of this process costs
 * one of them: between two timers the event loop reads what has come.
 */
const SLICE_MS = 100;
const SLICES = 5;
const MAX_PORT = 65_535;

/**
 * Opens a TCP connection and closes it at once. A reset (RFC 9293 3.5.2) is proof that the host's kernel lives and that nobody listens.
 * @param address host:port. @returns within half a second; never rejects.
 */
export function askHost(address: string, modules: { clock: Clock }): Promise<HostAnswer> {
  const { host, port } = splitHostPort(address);
  // Not a name: whoever registers an address must not make this manager ask name servers.
  if (isIP(host) === 0 || !(port > 0 && port <= MAX_PORT)) return Promise.resolve('silent');
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let slices = 0;
    let cancel: CancelTimer = () => undefined;
    const settle = (answer: HostAnswer): void => {
      cancel();
      socket.destroy();
      resolve(answer);
    };
    const wait = (): void => {
      if (slices++ === SLICES) settle('silent');
      else cancel = modules.clock.after(SLICE_MS, wait);
    };
    wait();
    socket.once('connect', () => settle('accepted'));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      settle(error.code === 'ECONNREFUSED' ? 'refused' : 'silent');
    });
  });
}
