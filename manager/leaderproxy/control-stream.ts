import type { waggle } from '../../proto/gen/control.js';
import type { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { errorCodeOf, fromServiceError } from '../../proto/rpc/status.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { RequestMark } from './leader-operations.ts';
import { Outbox, partsOf } from './outbox.ts';

type Operation = waggle.control.IOperation;

const MAX_OPEN = 1024;
/** A list of everything that a swarm of the largest size holds is a tenth of it. */
const MAX_RESULT_BYTES = 256 * 1024 * 1024;

interface Waiter {
  resolve: (json: Buffer) => void;
  reject: (error: Error) => void;
  parts: Uint8Array[];
  bytes: number;
  cancelTimer: CancelTimer;
}

export interface ControlStreamModules {
  connection: ManagerConnection;
  clock: Clock;
  /** The stream has ended; everything that waited on it has failed. */
  onEnd: () => void;
}

/** Operations on their way to one leader, over one stream. Made for one connection, and of no use after its end. */
export class ControlStream {
  readonly #timeoutMs: number;
  readonly #modules: ControlStreamModules;
  readonly #call: ReturnType<ManagerConnection['control']['operate']>;
  readonly #outbox: Outbox<Operation>;
  readonly #waiters = new Map<number, Waiter>();
  #number = 0;
  #isOver = false;

  /** @param options.timeoutMs until an operation that is not answered counts as failed. */
  constructor(options: { timeoutMs: number }, modules: ControlStreamModules) {
    this.#timeoutMs = options.timeoutMs;
    this.#modules = modules;
    const { control } = modules.connection;
    const call = control.operate();
    this.#call = call;
    this.#outbox = new Outbox<Operation>({ write: (operations) => call.write({ operations }) });
    call.on('drain', () => this.#outbox.drained());
    call.on('data', ({ outcomes }: waggle.control.OutcomeBatch) => outcomes.forEach((outcome) => this.#take(outcome)));
    call.on('error', (error: Error) => this.#end(fromServiceError(error)));
    call.on('end', () => this.#end(new WaggleError('unavailable', 'the leader ended the connection')));
  }

  /**
   * @returns the result in JSON.
   * @throws WaggleError the leader's own; deadline-exceeded or unavailable, after which the leader may still have done it.
   */
  ask(name: string, argumentsJson: Uint8Array, mark?: RequestMark): Promise<Buffer> {
    if (this.#waiters.size >= MAX_OPEN) {
      return Promise.reject(new WaggleError('resource-exhausted', 'too many operations are under way'));
    }
    const number = ++this.#number;
    return new Promise((resolve, reject) => {
      const cancelTimer = this.#modules.clock.after(this.#timeoutMs, () => {
        const text = `no answer from ${this.#modules.connection.address} within ${this.#timeoutMs} ms`;
        this.#settle(number)?.reject(new WaggleError('deadline-exceeded', text));
      });
      this.#waiters.set(number, { resolve, reject, parts: [], bytes: 0, cancelTimer });
      const marked = mark === undefined ? {} : { request: mark.request, repeat: mark.isRepeat, term: mark.term ?? 0 };
      for (const { part, last } of partsOf(argumentsJson)) {
        this.#outbox.add({ number, name, part, last, ...(last ? marked : {}) }, part.length);
      }
    });
  }

  /** No more is asked on it; it ends with what is under way. */
  close(): void {
    this.#call.cancel();
  }

  #take({ number, part, last, errorCode, errorMessage }: waggle.control.IOutcome): void {
    const id = Number(number ?? 0);
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return;
    waiter.parts.push(part ?? new Uint8Array());
    waiter.bytes += part?.length ?? 0;
    const isTooLong = waiter.bytes > MAX_RESULT_BYTES;
    if (last !== true && !isTooLong) return;
    this.#settle(id);
    if (isTooLong) waiter.reject(new WaggleError('resource-exhausted', "the leader's answer is too large"));
    else if (errorCode !== '' && errorCode !== undefined && errorCode !== null)
      waiter.reject(new WaggleError(errorCodeOf(errorCode), errorMessage ?? ''));
    else waiter.resolve(Buffer.concat(waiter.parts));
  }

  #settle(number: number): Waiter | undefined {
    const waiter = this.#waiters.get(number);
    this.#waiters.delete(number);
    waiter?.cancelTimer();
    return waiter;
  }

  #end(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#outbox.close();
    this.#modules.onEnd();
    for (const number of this.#waiters.keys()) this.#settle(number)?.reject(error);
  }
}
