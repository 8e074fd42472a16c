import path from 'node:path';
import type { NodeDescription, NodeRole } from '../../proto/objects/node.ts';
import type { TlsSource } from '../../proto/rpc/credentials.ts';
import { isNodeRemoved } from '../../proto/rpc/gate.ts';
import { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { Executor } from '../exec/controller.ts';
import { FileTable } from '../storage/file-table.ts';
import { AddressLeaseClient } from './address-lease-client.ts';
import { AgentSession } from './agent-session.ts';
import { ManagerList } from './manager-list.ts';
import type { AnswerQuestion } from './question-stream.ts';
import type { ManagerWatch } from './manager-watch.ts';
import { NodeDescriber } from './node-describer.ts';
import { StatusReporter } from './status-reporter.ts';
import type { SwarmFacts } from './swarm-facts.ts';
import { TaskDb } from './task-db.ts';
import { TaskManager } from './task-manager.ts';

/** As swarmkit agent/agent.go. */
const SESSION_BACKOFF: BackoffOptions = { minMs: 100, maxMs: 8000, factor: 2, jitter: 0.3 };
/** Rounds over all managers without a session, about 20 s, until an operator should know. */
const WARN_ROUNDS = 8;
const FACTS_ROW = 'facts';
/** Longest stop grace that leaving waits for; containers still there then are an error. */
const LEAVE_TIMEOUT_MS = 120_000;

export interface AgentOptions {
  dataDir: string;
  /** Managers to begin with, host:port. */
  managers: readonly string[];
  /** What other hosts call this node, without a port. */
  advertiseAddress: string;
  /** Its VTEP. */
  dataPathAddress: string;
  /** host:port. */
  gossipAddress: string;
}

export interface AgentModules {
  /** The node's certificate and the role in it. */
  identity: TlsSource & { readonly role: NodeRole };
  executor: Executor;
  /** Asks the engine; for each session. */
  describe: (signal: AbortSignal) => Promise<NodeDescription>;
  /** The host's WireGuard public key, empty when it cannot encrypt; asked for each session. Default: it cannot. */
  tunnelKey?: () => string;
  /** The manager gives this node another role than its certificate has: it must be renewed. */
  renew: () => void;
  /** Answers the leader's questions about this node; absent: nobody listens to them. */
  answer?: AnswerQuestion;
  /** Absent: a manager that vanishes is noticed by its connection alone. */
  managerWatch?: ManagerWatch;
  clock: Clock;
  random: Random;
  log: Log;
}

/** Whether a manager knows this node right now, and if not, why. */
export type Connectivity = { connected: true } | { connected: false; error: string };

/**
 * The worker's side of the dispatcher: keeps a session with a manager, does what it is assigned, reports what became
 * of it. Without a manager everything goes on as last told, after a restart too.
 */
export class Agent implements Startable {
  readonly tasks: TaskManager;
  readonly leases: AddressLeaseClient;
  readonly #options: AgentOptions;
  readonly #modules: AgentModules;
  readonly #reporter: StatusReporter;
  readonly #managers: ManagerList;
  readonly #describer: NodeDescriber;
  readonly #db: TaskDb;
  readonly #factsTable: FileTable<SwarmFacts>;
  readonly #listeners = new Set<(facts: SwarmFacts) => void>();
  readonly #removalListeners = new Set<() => void>();
  #isRemoved = false;
  readonly #abort = new AbortController();
  /** Ends the present session. */
  #register = new AbortController();
  #facts: SwarmFacts | undefined;
  #connectivity: Connectivity = { connected: false, error: 'no manager has been reached yet' };
  /** Facts on their way to the disk. */
  #saving: Promise<void> = Promise.resolve();
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;

  constructor(options: AgentOptions, modules: AgentModules) {
    this.#options = options;
    this.#modules = modules;
    this.#db = new TaskDb(options);
    this.#reporter = new StatusReporter(modules);
    this.tasks = new TaskManager({ ...modules, db: this.#db, reporter: this.#reporter });
    this.leases = new AddressLeaseClient(options, modules);
    this.#managers = new ManagerList({ ...options, seeds: options.managers }, modules);
    this.#describer = new NodeDescriber({ ...modules, onChange: () => this.registerAnew() });
    this.#factsTable = new FileTable(path.join(options.dataDir, 'agent', 'facts'));
  }

  /** Last facts from a manager, of an earlier life too; undefined before the very first session. */
  get facts(): SwarmFacts | undefined {
    return this.#facts;
  }

  get connectivity(): Connectivity {
    return this.#connectivity;
  }

  /** Calls once a manager has said that this node was taken out of the swarm; at once when it has. @returns the unsubscribe. */
  onRemoved(listener: () => void): () => void {
    this.#removalListeners.add(listener);
    if (this.#isRemoved) listener();
    return () => this.#removalListeners.delete(listener);
  }

  /** Best first, host:port. */
  get managers(): readonly string[] {
    return this.#managers.addresses;
  }

  /** Calls at once with the present facts, if any, and with every later ones. @returns the unsubscribe. */
  onFacts(listener: (facts: SwarmFacts) => void): () => void {
    this.#listeners.add(listener);
    if (this.#facts !== undefined) listener(this.#facts);
    return () => this.#listeners.delete(listener);
  }

  /** Called after a task of this node has got any further. @returns the unsubscribe. */
  onTaskStatus(listener: (taskId: string) => void): () => void {
    return this.#reporter.onReport(listener);
  }

  /** The node has changed: tells the manager, in a session of its own. Tasks and addresses stay as they are. */
  registerAnew(): void {
    this.#register.abort(new WaggleError('aborted', 'the node registers anew'));
  }

  /** Takes up what runs already; does not wait for a manager. */
  async start(): Promise<void> {
    if (this.#running !== undefined) return;
    await this.#managers.load();
    const facts = (await this.#factsTable.open()).get(FACTS_ROW);
    if (facts !== undefined) this.#announce(facts);
    await this.leases.start();
    await this.tasks.start();
    this.#running = this.#keepSession();
  }

  /** Containers go on running. */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  /**
   * Ends all tasks, removes their containers and every record, then stops. @throws WaggleError deadline-exceeded when
   * containers are still there after two minutes; it can be called again.
   */
  async leave(): Promise<void> {
    this.#abort.abort(new WaggleError('aborted', 'the node leaves the swarm'));
    await this.#describer.stop();
    await this.#running;
    const late = new AbortController();
    const cancel = this.#modules.clock.after(LEAVE_TIMEOUT_MS, () =>
      late.abort(new WaggleError('deadline-exceeded', 'containers of the swarm could not be removed in time')),
    );
    try {
      await this.tasks.leave(late.signal);
    } finally {
      cancel();
    }
    await this.stop();
    await Promise.all([this.leases.destroy(), this.#managers.destroy(), this.#factsTable.destroy()]);
  }

  async #end(): Promise<void> {
    this.#abort.abort(new WaggleError('aborted', 'the agent stops'));
    await this.#describer.stop();
    await this.#running;
    await this.#saving;
    await this.leases.stop();
    await this.tasks.stop();
  }

  async #keepSession(): Promise<void> {
    const { random, log } = this.#modules;
    const { signal } = this.#abort;
    for (let failures = 0; !signal.aborted; ) {
      const address = this.#choose(failures);
      let established = false;
      try {
        if (address === undefined) throw new WaggleError('unavailable', 'no manager is known');
        await this.#oneSession(address, () => {
          established = true;
        });
      } catch (error) {
        if (signal.aborted) break;
        if (this.#register.signal.aborted) continue;
        failures = established ? 1 : failures + 1;
        this.#connectivity = { connected: false, error: messageOf(error) };
        if (isNodeRemoved(error)) this.#learnRemoval();
        if (address !== undefined) this.#managers.failed(address);
        const fields = { manager: address, error: messageOf(error), failures };
        // A round over all managers is one failure.
        const rounds = Math.ceil(failures / Math.max(1, this.#managers.addresses.length));
        if (established) log.info(fields, 'session with manager lost');
        else if (isWorthWarning(rounds)) log.warn(fields, 'no manager has taken this node for long, tried again');
        else log.debug(fields, 'no session with manager');
        await this.#pause(backoffDelayMs(SESSION_BACKOFF, rounds, random()));
      }
    }
    this.#connectivity = { connected: false, error: 'the agent has stopped' };
  }

  /** The best manager that gossip does not miss, for one round; gossip may be wrong, so in the next one the best there is. */
  #choose(failures: number): string | undefined {
    const { addresses } = this.#managers;
    const [first] = addresses;
    if (failures % (2 * Math.max(1, addresses.length)) >= addresses.length) return first;
    return addresses.find((address) => !this.#isMissed(address)) ?? first;
  }

  #isMissed(address: string): boolean {
    const nodeId = this.#facts?.managers.find((manager) => manager.address === address)?.nodeId;
    return nodeId !== undefined && this.#modules.managerWatch?.isMissed(nodeId) === true;
  }

  /** A new certificate, or a key that was unlocked, is tried at once. */
  async #pause(delayMs: number): Promise<void> {
    const { identity, clock } = this.#modules;
    const changed = new AbortController();
    const unsubscribe = identity.onChange(() => changed.abort());
    const signal = AbortSignal.any([this.#abort.signal, changed.signal]);
    await sleep(clock, delayMs, signal).catch(() => undefined);
    unsubscribe();
  }

  async #oneSession(address: string, established: () => void): Promise<void> {
    const { identity, tunnelKey, answer, clock, log } = this.#modules;
    const { advertiseAddress, dataPathAddress, gossipAddress } = this.#options;
    this.#register = new AbortController();
    const description = await this.#describer.current(this.#facts?.node.Description);
    const connection = new ManagerConnection(address, identity.tls());
    const session = new AgentSession(
      {
        registration: {
          description,
          advertiseAddress,
          dataPathAddress,
          gossipAddress,
          tunnelKey: tunnelKey?.() ?? '',
        },
        isDoubtful: this.#isMissed(address),
      },
      {
        connection,
        ...(answer === undefined ? {} : { answer }),
        tasks: this.tasks,
        reporter: this.#reporter,
        onRedirect: (managers) => void this.#managers.set(managers),
        onFacts: (facts) => {
          established();
          this.#connectivity = { connected: true };
          this.leases.attach(connection);
          this.#learn(facts);
        },
        clock,
        log,
      },
    );
    const unwatch = this.#modules.managerWatch?.onChange(() => {
      if (this.#isMissed(address)) session.doubt();
    });
    try {
      await session.run(AbortSignal.any([this.#abort.signal, this.#register.signal]));
    } finally {
      unwatch?.();
      this.leases.attach(undefined);
      connection.close();
    }
  }

  #learn(facts: SwarmFacts): void {
    this.#saving = this.#saving.then(() => this.#save(facts));
    this.#announce(facts);
    if (facts.node.Spec.Role !== this.#modules.identity.role) this.#modules.renew();
  }

  #learnRemoval(): void {
    if (this.#isRemoved) return;
    this.#isRemoved = true;
    this.#modules.log.error({}, 'this node was removed from the swarm: leave it here by force, then join anew');
    for (const listener of this.#removalListeners) listener();
  }

  async #save(facts: SwarmFacts): Promise<void> {
    await this.#managers.set(facts.managers.map((manager) => manager.address));
    await this.#factsTable.put(FACTS_ROW, facts).catch((error: unknown) => {
      this.#modules.log.warn({ error: messageOf(error) }, 'facts of the swarm not on disk, written with the next ones');
    });
  }

  #announce(facts: SwarmFacts): void {
    this.#facts = facts;
    for (const listener of this.#listeners) listener(facts);
  }
}

/** In the 8th round, the 16th, the 32nd, …: the reasons of all managers, and less often the longer it lasts. */
function isWorthWarning(rounds: number): boolean {
  return rounds >= WARN_ROUNDS && Number.isInteger(Math.log2(rounds));
}
