import * as grpc from '@grpc/grpc-js';
import type { Clock } from '../runtime/clock.ts';
import { WaggleError } from '../runtime/errors.ts';
import { fromServiceError } from './status.ts';

type UnaryMethod<Request, Response> = (
  request: Request,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: grpc.requestCallback<Response>,
) => grpc.ClientUnaryCall;

export interface UnaryOptions {
  clock: Clock;
  timeoutMs: number;
  signal?: AbortSignal;
}

/**
 * One call with an end: `callUnary(client, client.heartbeat, request, …)`.
 * @throws WaggleError the server's own, unavailable when it cannot be reached, deadline-exceeded after `timeoutMs`, or
 * the signal's reason when it aborts first. After the last two the server may still have done the work.
 */
export function callUnary<Request, Response>(
  client: grpc.Client,
  method: UnaryMethod<Request, Response>,
  request: Request,
  options: UnaryOptions,
): Promise<Response> {
  const { signal } = options;
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    let ended: Error | undefined;
    const end = (reason: Error): void => {
      ended ??= reason;
      call.cancel();
    };
    const onAbort = (): void => end(signal?.reason as Error);
    const cancelTimer = options.clock.after(options.timeoutMs, () =>
      end(new WaggleError('deadline-exceeded', `no answer from ${addressOf(client)} within ${options.timeoutMs} ms`)),
    );
    signal?.addEventListener('abort', onAbort, { once: true });
    const call = method.call(client, request, new grpc.Metadata(), {}, (error, response) => {
      cancelTimer();
      signal?.removeEventListener('abort', onAbort);
      if (error === null && response !== undefined) resolve(response);
      else reject(ended ?? fromServiceError(error));
    });
  });
}

function addressOf(client: grpc.Client): string {
  return client.getChannel().getTarget().replace(/^dns:/, '');
}
