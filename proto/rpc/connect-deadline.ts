import { type Channel, connectivityState } from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.ts';

/** A handshake takes milliseconds; on a host that has no time for it, hundreds of them. */
export const CONNECT_WITHIN_MS = 5_000;

/**
 * Limits how long a channel may take to connect, which grpc-js (1.14) does not: when a peer gives up in the middle of the TLS or
 * HTTP/2 handshake and the network loses its word of it, the channel waits for that handshake for ever, and every call with it.
 * Level-triggered: to be asked before each use of the channel.
 */
export class ConnectDeadline {
  readonly #clock: Clock;
  readonly #withinMs: number;
  /** When it was first wanted and not ready, on the monotonic clock. */
  #since: number | undefined;

  constructor(clock: Clock, withinMs = CONNECT_WITHIN_MS) {
    this.#clock = clock;
    this.#withinMs = withinMs;
  }

  /** True when the channel has been wanted for that long and is not ready: it should be closed and another one be made. */
  passed(channel: Pick<Channel, 'getConnectivityState'>): boolean {
    if (channel.getConnectivityState(false) === connectivityState.READY) {
      this.#since = undefined;
      return false;
    }
    this.#since ??= this.#clock.monotonic();
    return this.#clock.monotonic() - this.#since > this.#withinMs;
  }
}
