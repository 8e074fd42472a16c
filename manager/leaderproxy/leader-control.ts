import type { TlsSource } from '../../proto/rpc/credentials.ts';
import { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { ControlApi, ControlOperation } from '../controlapi/control-api.ts';
import { CONTROL_OPERATIONS } from './control-operations.ts';

/** Above the 10 s that the leader may wait for an allocation. */
const TIMEOUT_MS = 20_000;

export interface LeaderControlModules {
  source: TlsSource;
  /** host:port of the leader as known now. */
  leader: () => string | undefined;
  clock: Clock;
}

/** The leader's ControlApi, called over gRPC by a manager that does not lead. */
export class LeaderControl implements Startable {
  readonly api: ControlApi;
  readonly #modules: LeaderControlModules;
  #connection: ManagerConnection | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(modules: LeaderControlModules) {
    this.#modules = modules;
    this.api = Object.fromEntries(
      CONTROL_OPERATIONS.map((operation) => [operation, (args: object) => this.#invoke(operation, args)]),
    ) as unknown as ControlApi;
  }

  async start(): Promise<void> {
    // A renewed certificate: calls under way go on, the next one opens a connection of its own.
    this.#unsubscribe ??= this.#modules.source.onChange(() => {
      const retired = this.#connection;
      this.#connection = undefined;
      if (retired !== undefined) this.#modules.clock.after(TIMEOUT_MS, () => retired.close());
    });
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#connection?.close();
    this.#connection = undefined;
    await Promise.resolve();
  }

  async #invoke(operation: ControlOperation, args: object): Promise<unknown> {
    const { control } = this.#connect();
    const request = { operation, argumentsJson: Buffer.from(JSON.stringify(args)) };
    const options = { clock: this.#modules.clock, timeoutMs: TIMEOUT_MS };
    const answer = await callUnary(control, control.invoke, request, options);
    return JSON.parse(Buffer.from(answer.resultJson).toString('utf8'));
  }

  #connect(): ManagerConnection {
    const address = this.#modules.leader();
    if (address === undefined) {
      throw new WaggleError(
        'unknown',
        "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online. " +
          'Make sure more than half of the managers are online.',
      );
    }
    if (this.#connection?.address === address) return this.#connection;
    this.#connection?.close();
    this.#connection = new ManagerConnection(address, this.#modules.source.tls());
    return this.#connection;
  }
}
