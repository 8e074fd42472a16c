import type * as grpc from '@grpc/grpc-js';
import type { NodeRole } from '../objects/node.ts';
import { messageOf, WaggleError } from '../runtime/errors.ts';
import type { Log } from '../runtime/log.ts';
import { type Caller, callerOf } from './caller.ts';
import { toServiceError } from './status.ts';

/** What the gate must know of the swarm, at the time of each call. */
export interface Membership {
  /** Undefined while this node has no state of a swarm: then nobody is let in. */
  clusterId(): string | undefined;
  /** True while the certificate of a node that was removed from the swarm is to be refused. */
  isRemoved(nodeId: string): boolean;
}

/** Answers of a streaming call. */
export interface ResponseStream<Response> {
  /** Resolves when the peer takes more. @throws WaggleError aborted when it is gone. */
  write(message: Response): Promise<void>;
  /** Aborts when the peer is gone or has given up. */
  signal: AbortSignal;
}

/** The other end of a stream that goes both ways. */
export interface DuplexPeer<Response> {
  /** @returns false when no more should be sent before `drained`. What is sent after the end is dropped. */
  send(message: Response): boolean;
}

/** What becomes of a stream that goes both ways. */
export interface DuplexReceiver<Request> {
  /** @throws WaggleError to end the stream with it. */
  receive(message: Request): void;
  drained(): void;
  /** Called once, whoever ended it. */
  ended(): void;
}

export const MANAGERS: readonly NodeRole[] = ['manager'];
export const ALL_NODES: readonly NodeRole[] = ['worker', 'manager'];

const PERMISSION_DENIED = 'Permission denied';
const WAS_REMOVED = 'was removed';

/** A manager's answer to a node that was taken out of the swarm: final, for no node ID is used again. */
export function nodeRemoved(nodeId: string): WaggleError {
  return new WaggleError('permission-denied', `${PERMISSION_DENIED}: node ${nodeId} ${WAS_REMOVED}`);
}

/** Whether a manager's refusal says so; see `nodeRemoved`. */
export function isNodeRemoved(error: unknown): boolean {
  return error instanceof WaggleError && error.code === 'permission-denied' && error.message.endsWith(WAS_REMOVED);
}

/**
 * Every handler of port 2377 goes through here. Deny by default: a call needs a certificate of this very swarm, of a
 * node that was not removed, in a role that the method names. Errors go back with their code and message.
 */
export class RpcGate {
  readonly #membership: Membership;
  readonly #log: Log;

  constructor(modules: { membership: Membership; log: Log }) {
    this.#membership = modules.membership;
    this.#log = modules.log;
  }

  unary<Request, Response>(
    roles: readonly NodeRole[],
    handler: (request: Request, caller: Caller) => Promise<Response> | Response,
  ): grpc.handleUnaryCall<Request, Response> {
    return (call, callback) => {
      void this.#answer(call, callback, () =>
        handler(call.request, this.#admit(callerOf(call.getAuthContext()), roles)),
      );
    };
  }

  /** For the bootstrap services: without a certificate `caller` is undefined; a bad one is refused all the same. */
  open<Request, Response>(
    handler: (request: Request, caller: Caller | undefined) => Promise<Response> | Response,
  ): grpc.handleUnaryCall<Request, Response> {
    return (call, callback) => {
      void this.#answer(call, callback, () => {
        const context = call.getAuthContext();
        const anonymous = context.sslPeerCertificate === undefined;
        return handler(call.request, anonymous ? undefined : this.#admit(callerOf(context), ALL_NODES));
      });
    };
  }

  /** The stream ends when `handler` does; the same checks as for unary calls come first. */
  stream<Request, Response>(
    roles: readonly NodeRole[],
    handler: (request: Request, caller: Caller, stream: ResponseStream<Response>) => Promise<void>,
  ): grpc.handleServerStreamingCall<Request, Response> {
    return (call) => {
      const abort = new AbortController();
      const gone = (): void => abort.abort(new WaggleError('aborted', 'the peer is gone'));
      call.on('cancelled', gone);
      call.on('error', gone);
      const serve = async (): Promise<void> => {
        const caller = this.#admit(callerOf(call.getAuthContext()), roles);
        const write = (message: Response): Promise<void> => writeTo(call, message, abort.signal);
        await handler(call.request, caller, { write, signal: abort.signal });
      };
      serve().then(
        () => call.end(),
        (error: unknown) => {
          this.#log.debug({ method: call.getPath(), peer: call.getPeer(), error: messageOf(error) }, 'stream ended');
          // Not destroy(): grpc-js sends the status from its own listener for this event.
          if (!abort.signal.aborted) call.emit('error', toServiceError(error));
        },
      );
    };
  }

  /** A client stream: the answer is sent when `handler` resolves, after the last request or before. */
  upload<Request, Response>(
    roles: readonly NodeRole[],
    handler: (requests: AsyncIterable<Request>, caller: Caller) => Promise<Response>,
  ): grpc.handleClientStreamingCall<Request, Response> {
    return (call, callback) => {
      void this.#answer(call, callback, () =>
        handler(call as AsyncIterable<Request>, this.#admit(callerOf(call.getAuthContext()), roles)),
      );
    };
  }

  /** Both ways, until the peer ends it; whoever sends is looked at anew with each message. */
  duplex<Request, Response>(
    roles: readonly NodeRole[],
    open: (peer: DuplexPeer<Response>) => DuplexReceiver<Request>,
  ): grpc.handleBidiStreamingCall<Request, Response> {
    return (call) => {
      let receiver: DuplexReceiver<Request> | undefined;
      let isOver = false;
      const end = (error?: unknown): void => {
        if (isOver) return;
        isOver = true;
        receiver?.ended();
        if (error === undefined) return void call.end();
        this.#log.debug({ method: call.getPath(), peer: call.getPeer(), error: messageOf(error) }, 'stream ended');
        call.emit('error', toServiceError(error));
      };
      const take = (message?: Request): void => {
        if (isOver) return;
        try {
          this.#admit(callerOf(call.getAuthContext()), roles);
          receiver ??= open({ send: (response) => isOver || call.write(response) });
          if (message !== undefined) receiver.receive(message);
        } catch (error) {
          end(error);
        }
      };
      const gone = (): void => {
        if (!isOver) receiver?.ended();
        isOver = true;
      };
      call.on('data', take);
      call.on('drain', () => receiver?.drained());
      call.on('end', () => end());
      call.on('cancelled', gone);
      call.on('error', gone);
      take();
    };
  }

  async #answer<Request, Response>(
    call: grpc.ServerUnaryCall<Request, Response> | grpc.ServerReadableStream<Request, Response>,
    callback: grpc.sendUnaryData<Response>,
    serve: () => Promise<Response> | Response,
  ): Promise<void> {
    let response: Response;
    try {
      response = await serve();
    } catch (error) {
      this.#log.debug({ method: call.getPath(), peer: call.getPeer(), error: messageOf(error) }, 'call refused');
      callback(toServiceError(error));
      return;
    }
    callback(null, response);
  }

  #admit(caller: Caller | undefined, roles: readonly NodeRole[]): Caller {
    if (caller === undefined) throw new WaggleError('permission-denied', `${PERMISSION_DENIED}: no certificate`);
    const clusterId = this.#membership.clusterId();
    if (clusterId === undefined) throw new WaggleError('unavailable', 'this manager has no state of the swarm yet');
    if (caller.clusterId !== clusterId) {
      throw new WaggleError('permission-denied', `${PERMISSION_DENIED}: certificate of another swarm`);
    }
    if (this.#membership.isRemoved(caller.nodeId)) {
      throw nodeRemoved(caller.nodeId);
    }
    if (!roles.includes(caller.role)) {
      throw new WaggleError('permission-denied', `${PERMISSION_DENIED}: not for a ${caller.role}`);
    }
    return caller;
  }
}

function writeTo<Response>(
  call: grpc.ServerWritableStream<unknown, Response>,
  message: Response,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) return onAbort();
    if (call.write(message)) return resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    call.once('drain', () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
  });
}
