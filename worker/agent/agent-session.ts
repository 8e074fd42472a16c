import type { ClientReadableStream } from '@grpc/grpc-js';
import type { waggle } from '../../proto/gen/dispatcher.js';
import type { NodeDescription } from '../../proto/objects/node.ts';
import type { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { fromServiceError } from '../../proto/rpc/status.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { AssignmentChain } from './assignment-chain.ts';
import { type AnswerQuestion, QuestionStream } from './question-stream.ts';
import type { SendStatuses, StatusReporter } from './status-reporter.ts';
import { readFacts, type SwarmFacts } from './swarm-facts.ts';
import type { TaskManager } from './task-manager.ts';

/** As swarmkit agent/session.go. */
const RPC_TIMEOUT_MS = 5000;
/** For a manager that gossip misses: it is asked at once and waited for no longer than that; or than this, to open a session with it. */
const DOUBT_TIMEOUT_MS = 1000;
const DOUBT_OPEN_MS = 2000;
const REOPEN_MS = 100;

export interface NodeRegistration {
  description: NodeDescription;
  advertiseAddress: string;
  dataPathAddress: string;
  gossipAddress: string;
  /** WireGuard public key; empty when this host cannot encrypt. */
  tunnelKey: string;
}

export interface AgentSessionOptions {
  registration: NodeRegistration;
  /** Gossip misses the manager already. */
  isDoubtful: boolean;
}

export interface AgentSessionModules {
  connection: Pick<ManagerConnection, 'address' | 'dispatcher' | 'diagnosis'>;
  /** Absent: the leader's questions are not listened to. */
  answer?: AnswerQuestion;
  tasks: TaskManager;
  reporter: StatusReporter;
  /** Called with the first message and with each later one. */
  /** The manager does not lead; these are the managers, the leader first as far as it knows. */
  onRedirect: (managers: readonly string[]) => void;
  onFacts: (facts: SwarmFacts) => void;
  clock: Clock;
  log: Log;
}

/** One session with one manager: session stream, heartbeats, assignments and statuses; the first to fail ends all. */
export class AgentSession {
  readonly #options: AgentSessionOptions;
  readonly #modules: AgentSessionModules;
  #established = false;
  /** Sends a heartbeat out of turn; absent while there is no session. */
  #beatNow: ((timeoutMs: number) => void) | undefined;

  constructor(options: AgentSessionOptions, modules: AgentSessionModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** True once the manager has accepted this node. */
  get established(): boolean {
    return this.#established;
  }

  /** Gossip misses the manager: the session ends within a second, unless the manager answers. */
  doubt(): void {
    this.#beatNow?.(DOUBT_TIMEOUT_MS);
  }

  /** @throws WaggleError always: why the session ended, or the signal's reason. Nothing of it goes on afterwards. */
  async run(signal: AbortSignal): Promise<never> {
    const { dispatcher } = this.#modules.connection;
    const abort = new AbortController();
    const end = (reason: unknown): void => abort.abort(reason);
    const onAbort = (): void => end(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const parts: Promise<void>[] = [];
    const begin = (part: Promise<void>): void => void parts.push(part.catch(end));
    const { description, ...addresses } = this.#options.registration;
    const descriptionJson = Buffer.from(JSON.stringify(description));
    try {
      const stream = dispatcher.session({ ...addresses, sessionId: '', descriptionJson });
      const first = Promise.withResolvers<string>();
      begin(this.#follow(stream, first.resolve, abort.signal));
      const sessionId = await this.#firstWithin(first.promise, abort.signal);
      this.#established = true;
      this.#modules.log.info({ manager: this.#modules.connection.address }, 'session with manager established');
      this.#beatNow = this.#outOfTurn(sessionId, abort);
      begin(this.#beat(sessionId, abort.signal));
      begin(this.#assign(sessionId, abort.signal));
      begin(this.#listen(abort.signal));
      begin(this.#modules.reporter.serve(this.#sender(sessionId), abort.signal));
      await aborted(abort.signal);
    } catch (error) {
      end(error);
    } finally {
      this.#beatNow = undefined;
      signal.removeEventListener('abort', onAbort);
      await Promise.all(parts);
    }
    throw fromServiceError(abort.signal.reason);
  }

  async #follow(
    stream: ClientReadableStream<waggle.dispatcher.SessionMessage>,
    opened: (sessionId: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    for await (const message of cancellable(stream, signal)) {
      if (message.sessionId === '') {
        this.#modules.onRedirect(message.managers.map(({ address }) => address ?? ''));
        continue;
      }
      if (message.challenge) {
        this.#beatNow?.(RPC_TIMEOUT_MS);
        continue;
      }
      this.#modules.onFacts(readFacts(message));
      opened(message.sessionId);
    }
    throw new WaggleError('unavailable', 'the manager ended the session');
  }

  async #firstWithin(first: Promise<string>, signal: AbortSignal): Promise<string> {
    const late = Promise.withResolvers<never>();
    const timeoutMs = this.#options.isDoubtful ? DOUBT_OPEN_MS : RPC_TIMEOUT_MS;
    const cancel = this.#modules.clock.after(timeoutMs, () =>
      late.reject(new WaggleError('deadline-exceeded', `no session within ${timeoutMs} ms`)),
    );
    try {
      return await Promise.race([first, late.promise, aborted(signal)]);
    } finally {
      cancel();
    }
  }

  async #beat(sessionId: string, signal: AbortSignal): Promise<void> {
    for (;;) await sleep(this.#modules.clock, await this.#heartbeat(sessionId, RPC_TIMEOUT_MS, signal), signal);
  }

  /** @returns milliseconds until the next one is wanted. */
  async #heartbeat(sessionId: string, timeoutMs: number, signal: AbortSignal): Promise<number> {
    const { connection, clock } = this.#modules;
    const { dispatcher } = connection;
    const options = { clock, timeoutMs, signal };
    return (await callUnary(dispatcher, dispatcher.heartbeat, { sessionId }, options)).periodMs;
  }

  /** Heartbeats on request, one of each time-out at a time; one that fails ends the session. */
  #outOfTurn(sessionId: string, abort: AbortController): (timeoutMs: number) => void {
    const underWay = new Set<number>();
    return (timeoutMs) => {
      if (underWay.has(timeoutMs)) return;
      underWay.add(timeoutMs);
      this.#heartbeat(sessionId, timeoutMs, abort.signal)
        .catch((error: unknown) => abort.abort(error))
        .finally(() => underWay.delete(timeoutMs));
    };
  }

  /** A gap in the chain: the stream is opened anew and begins with the whole set. */
  async #assign(sessionId: string, signal: AbortSignal): Promise<void> {
    const { connection, tasks, clock, log } = this.#modules;
    for (;;) {
      const chain = new AssignmentChain();
      let gap = false;
      for await (const message of cancellable(connection.dispatcher.assignments({ sessionId }), signal)) {
        const result = chain.take(message);
        if (result.kind === 'complete') tasks.replace(result.set);
        if (result.kind === 'incremental') tasks.apply(result.set);
        if (result.kind !== 'gap') continue;
        log.warn({ expected: result.expected, got: result.got }, 'gap in the assignments, stream opened anew');
        gap = true;
        break;
      }
      if (!gap) throw new WaggleError('unavailable', 'the manager ended the assignments');
      await sleep(clock, REOPEN_MS, signal);
    }
  }

  async #listen(signal: AbortSignal): Promise<void> {
    const { answer } = this.#modules;
    if (answer !== undefined) await new QuestionStream({ ...this.#modules, answer }).run(signal);
  }

  #sender(sessionId: string): SendStatuses {
    const { connection, clock } = this.#modules;
    const { dispatcher } = connection;
    return async (reports, signal) => {
      const updates = reports.map(({ taskId, status }) => ({
        taskId,
        statusJson: Buffer.from(JSON.stringify(status)),
      }));
      const options = { clock, timeoutMs: RPC_TIMEOUT_MS, signal };
      await callUnary(dispatcher, dispatcher.updateTaskStatus, { sessionId, updates }, options);
    };
  }
}

/** Rejects with the signal's reason. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
  });
}

/** The stream's messages; it is cancelled when the signal aborts or the loop is left. */
async function* cancellable<Message>(
  stream: ClientReadableStream<Message>,
  signal: AbortSignal,
): AsyncIterable<Message> {
  const cancel = (): void => stream.cancel();
  stream.on('error', () => undefined);
  if (signal.aborted) cancel();
  signal.addEventListener('abort', cancel, { once: true });
  try {
    for await (const message of stream) yield message as Message;
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw fromServiceError(error);
  } finally {
    signal.removeEventListener('abort', cancel);
    cancel();
  }
}
