import { ConnectDeadline } from '../../proto/rpc/connect-deadline.ts';
import type { TlsSource } from '../../proto/rpc/credentials.ts';
import { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { NO_LEADER } from '../../proto/rpc/no-leader.ts';
import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { ControlOperation } from '../controlapi/control-api.ts';
import { ControlStream } from './control-stream.ts';
import type { OperationRunner, RequestMark } from './leader-operations.ts';

/** Above the 10 s that the leader may wait for an allocation. */
const TIMEOUT_MS = 20_000;

export interface LeaderControlModules {
  source: TlsSource;
  /** host:port of the leader as known now. */
  leader: () => string | undefined;
  clock: Clock;
}

interface Link {
  connection: ManagerConnection;
  deadline: ConnectDeadline;
  /** The next operation opens another one after its end. */
  stream: ControlStream | undefined;
}

/** The leader's operations, asked for over gRPC by a manager that does not lead. */
export class LeaderControl implements OperationRunner, Startable {
  readonly #modules: LeaderControlModules;
  #link: Link | undefined;
  /** Of former certificates, until what is under way on them must have ended. */
  readonly #retired = new Map<Link, CancelTimer>();
  #unsubscribe: (() => void) | undefined;

  constructor(modules: LeaderControlModules) {
    this.#modules = modules;
  }

  async start(): Promise<void> {
    // A renewed certificate: calls under way go on, the next one opens a connection of its own.
    this.#unsubscribe ??= this.#modules.source.onChange(() => {
      const retired = this.#link;
      this.#link = undefined;
      if (retired !== undefined) this.#retire(retired);
    });
    await Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    for (const [link, cancel] of this.#retired) {
      cancel();
      close(link);
    }
    this.#retired.clear();
    close(this.#link);
    this.#link = undefined;
    await Promise.resolve();
  }

  async run(operation: ControlOperation, args: object, mark?: RequestMark): Promise<unknown> {
    const answer = await this.#stream().ask(operation, Buffer.from(JSON.stringify(args)), mark);
    return JSON.parse(answer.toString('utf8'));
  }

  #retire(link: Link): void {
    const end = (): void => {
      this.#retired.delete(link);
      close(link);
    };
    this.#retired.set(link, this.#modules.clock.after(TIMEOUT_MS, end));
  }

  #stream(): ControlStream {
    const link = this.#connect();
    const { connection } = link;
    link.stream ??= new ControlStream(
      { timeoutMs: TIMEOUT_MS },
      { connection, clock: this.#modules.clock, onEnd: () => (link.stream = undefined) },
    );
    return link.stream;
  }

  #connect(): Link {
    const address = this.#modules.leader();
    if (address === undefined) throw new WaggleError('unknown', NO_LEADER);
    const link = this.#link;
    if (link?.connection.address === address && !link.deadline.passed(link.connection.channel)) return link;
    close(link);
    const connection = new ManagerConnection(address, this.#modules.source.tls());
    this.#link = { connection, deadline: new ConnectDeadline(this.#modules.clock), stream: undefined };
    return this.#link;
  }
}

function close(link: Link | undefined): void {
  link?.stream?.close();
  link?.connection.close();
}
