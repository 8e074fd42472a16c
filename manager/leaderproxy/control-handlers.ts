import type { Server } from '@grpc/grpc-js';
import type { waggle } from '../../proto/gen/control.js';
import { type DuplexPeer, MANAGERS, type RpcGate } from '../../proto/rpc/gate.ts';
import { controlService } from '../../proto/rpc/services.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import { isControlOperation } from './control-operations.ts';
import type { OperationRunner, RequestMark } from './leader-operations.ts';
import { Outbox, partsOf } from './outbox.ts';

type Operation = waggle.control.IOperation;
type Outcome = waggle.control.IOutcome;

/** Arguments of one operation, and of all operations of one stream that have not come to their end. */
const MAX_ARGUMENT_BYTES = 8 * 1024 * 1024;
const MAX_OPEN_BYTES = 64 * 1024 * 1024;
const MAX_OPEN = 1024;
const MAX_REQUEST_LENGTH = 64;

/**
 * Adds Control.Operate to the authenticated server, for managers only: operations of ControlApi with their arguments in
 * JSON. @param leading who carries them out here while this manager leads, else undefined.
 */
export function addControlService(server: Server, gate: RpcGate, leading: () => OperationRunner | undefined): void {
  controlService.add(server, {
    operate: gate.duplex<waggle.control.OperationBatch, waggle.control.IOutcomeBatch>(MANAGERS, (peer) => {
      const caller = new ControlCaller(peer, leading);
      return {
        receive: ({ operations }) => operations.forEach((operation) => caller.take(operation)),
        drained: () => caller.drained(),
        ended: () => caller.close(),
      };
    }),
  });
}

/** One manager that asks, and what it has asked for. */
class ControlCaller {
  readonly #leading: () => OperationRunner | undefined;
  readonly #outbox: Outbox<Outcome>;
  /** Operations whose arguments are not all here yet. */
  readonly #partial = new Map<number, { parts: Uint8Array[]; bytes: number }>();
  #partialBytes = 0;
  #open = 0;

  constructor(peer: DuplexPeer<waggle.control.IOutcomeBatch>, leading: () => OperationRunner | undefined) {
    this.#leading = leading;
    this.#outbox = new Outbox<Outcome>({ write: (outcomes) => peer.send({ outcomes }) });
  }

  /** @throws WaggleError for what no manager of ours sends: the stream must end. */
  take(operation: Operation): void {
    const { number, part, last } = operation;
    const id = Number(number ?? 0);
    const given = this.#partial.get(id) ?? { parts: [], bytes: 0 };
    given.parts.push(part ?? new Uint8Array());
    given.bytes += part?.length ?? 0;
    this.#partialBytes += part?.length ?? 0;
    if (given.bytes > MAX_ARGUMENT_BYTES || this.#partialBytes > MAX_OPEN_BYTES || this.#partial.size > MAX_OPEN) {
      throw new WaggleError('resource-exhausted', 'too much is asked for at a time');
    }
    this.#partial.set(id, given);
    if (last !== true) return;
    this.#partial.delete(id);
    this.#partialBytes -= given.bytes;
    void this.#answer(id, operation, given.parts);
  }

  drained(): void {
    this.#outbox.drained();
  }

  close(): void {
    this.#outbox.close();
    this.#partial.clear();
  }

  async #answer(number: number, operation: Operation, parts: Uint8Array[]): Promise<void> {
    this.#open++;
    try {
      const result = await this.#invoke(operation, parts);
      const json = Buffer.from(JSON.stringify(result));
      for (const { part, last } of partsOf(json)) this.#outbox.add({ number, part, last }, part.length);
    } catch (error) {
      const errorCode = error instanceof WaggleError ? error.code : 'unknown';
      const errorMessage = messageOf(error);
      this.#outbox.add({ number, last: true, errorCode, errorMessage }, errorMessage.length);
    } finally {
      this.#open--;
    }
  }

  async #invoke({ name, request, repeat, term }: Operation, parts: Uint8Array[]): Promise<unknown> {
    if (this.#open > MAX_OPEN) throw new WaggleError('resource-exhausted', 'too many operations are under way');
    const leader = this.#leading();
    if (leader === undefined) throw new WaggleError('unavailable', 'this manager does not lead the swarm');
    const operation = name ?? '';
    if (!isControlOperation(operation)) throw new WaggleError('unimplemented', `unknown operation ${operation}`);
    return await leader.run(
      operation,
      parseArguments(parts),
      markOf(request ?? '', repeat === true, Number(term ?? 0)),
    );
  }
}

function markOf(request: string, isRepeat: boolean, term: number): RequestMark | undefined {
  if (request.length > MAX_REQUEST_LENGTH)
    throw new WaggleError('invalid-argument', 'the name of the request is too long');
  return request === '' ? undefined : { request, isRepeat, ...(term === 0 ? {} : { term }) };
}

function parseArguments(parts: Uint8Array[]): object {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.concat(parts).toString('utf8'));
  } catch (error) {
    throw new WaggleError('invalid-argument', 'arguments are not JSON', { cause: error });
  }
  if (typeof value !== 'object' || value === null) throw new WaggleError('invalid-argument', 'arguments are no object');
  return value;
}
