import type { ApiNetwork, ControlApi } from '../../../../manager/controlapi/control-api.ts';
import type { Backend, LocalStatus, NetworkMapping } from '../../../../manager/engineapi/backend.ts';
import type { StoreEvent } from '../../../../manager/store/transaction.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';

export interface Call {
  operation: string;
  args: unknown;
}

type Answers = Partial<Record<string, unknown>>;

/** A node whose answers a test sets, and that remembers what it was asked. */
export class FakeBackend implements Backend {
  readonly calls: Call[] = [];
  /** By operation: a value to answer, or an Error to throw. */
  answers: Answers = {};
  local: LocalStatus = {
    nodeId: 'node1',
    nodeAddr: '10.1.0.1',
    state: 'active',
    manager: true,
    error: '',
    remoteManagers: [{ NodeID: 'node1', Addr: '10.1.0.1:2377' }],
  };
  mappings: NetworkMapping[] = [];
  known: ApiNetwork[] = [];
  /** Networks that may be attached to, by name and by ID. */
  attachable: Record<string, NetworkMapping | Error> = {};
  readonly #listeners = new Set<(events: readonly StoreEvent[]) => void>();

  async init(request: unknown): Promise<string> {
    return this.#answer('init', request) as string;
  }

  async join(request: unknown): Promise<void> {
    this.#answer('join', request);
  }

  async leave(force: boolean): Promise<void> {
    this.#answer('leave', force);
  }

  async unlock(key: string): Promise<void> {
    this.#answer('unlock', key);
  }

  status(): LocalStatus {
    return this.local;
  }

  control(): ControlApi {
    if (!this.local.manager) throw new WaggleError('unavailable', 'This node is not a swarm manager.');
    const handler: ProxyHandler<object> = {
      get: (_target, operation) => async (args: unknown) => this.#answer(String(operation), args),
    };
    return new Proxy({}, handler) as ControlApi;
  }

  watchEvents(listener: (events: readonly StoreEvent[]) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  emit(...events: StoreEvent[]): void {
    for (const listener of this.#listeners) listener(events);
  }

  networkMappings(): readonly NetworkMapping[] {
    return this.mappings;
  }

  async ensureLocalNetwork(ref: string): Promise<NetworkMapping | undefined> {
    this.calls.push({ operation: 'ensureLocalNetwork', args: ref });
    const found = this.attachable[ref];
    if (found instanceof Error) throw found;
    return found;
  }

  knownNetworks(): ApiNetwork[] {
    return this.known;
  }

  #answer(operation: string, args: unknown): unknown {
    this.calls.push({ operation, args });
    const answer = this.answers[operation];
    if (answer instanceof Error) throw answer;
    if (answer === undefined && operation.startsWith('list')) return [];
    return answer ?? {};
  }
}
