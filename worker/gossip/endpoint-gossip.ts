import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { GossipCore } from './core/gossip-core.ts';
import type { Effects, Peer } from './core/message.ts';
import type { EndpointRecord, EndpointTable, LocalEndpoint } from './endpoint-table.ts';
import { type DropCounts, GossipTransport } from './transport/gossip-transport.ts';
import type { GossipKey } from './transport/key-ring.ts';

export interface EndpointGossipOptions {
  nodeId: string;
  bindAddress: string;
  /** UDP and TCP. Default 7946. */
  port?: number;
}

export interface EndpointGossipModules {
  clock: Clock;
  log: Log;
  random: Random;
}

const TICK_MS = 50;

/**
 * The endpoint table over the network: GossipCore on sockets and a clock. What is published in one turn of the event
 * loop leaves in one message per peer. Usable before start() and without keys or peers; it then only keeps what is
 * published.
 */
export class EndpointGossip implements EndpointTable, Startable {
  readonly #core: GossipCore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #transport: GossipTransport;
  readonly #listeners = new Set<(networkIds: ReadonlySet<string>) => void>();
  #peers: readonly Peer[] | undefined;
  #cancelTick: CancelTimer | undefined;
  #running = false;
  #flushing = false;

  constructor(options: EndpointGossipOptions, modules: EndpointGossipModules) {
    this.#clock = modules.clock;
    this.#log = modules.log.child({ module: 'worker/gossip' });
    const startedAtMs = Math.floor(modules.clock.now());
    this.#core = new GossipCore({ nodeId: options.nodeId, startedAtMs }, modules.random);
    this.#transport = new GossipTransport(
      { bindAddress: options.bindAddress, port: options.port ?? 7946 },
      {
        clock: modules.clock,
        log: this.#log,
        onMessage: (message, source) => this.#owe(this.#core.receive(message, source, this.#clock.now())),
      },
    );
  }

  /** Packets and streams that were refused, by reason. */
  get drops(): Readonly<DropCounts> {
    return this.#transport.drops;
  }

  async start(): Promise<void> {
    await this.#transport.start();
    this.#running = true;
    this.#tick();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelTick?.();
    await this.#transport.stop();
  }

  /** The other nodes of the swarm as the manager names them; `host` is an address. The same list again is no change. */
  setPeers(peers: readonly Peer[]): void {
    this.#peers = peers;
    // Before there is a key the exchange with new peers cannot be begun; it is then begun by setKeys.
    if (this.#transport.hasKeys) this.#owe(this.#core.setPeers(peers, this.#clock.now()));
  }

  /** 16-byte keys; the one with the highest tag seals, all open. An empty list stops the exchange. */
  setKeys(keys: readonly GossipKey[]): void {
    this.#transport.setKeys(keys);
    if (this.#transport.hasKeys && this.#peers !== undefined) {
      this.#owe(this.#core.setPeers(this.#peers, this.#clock.now()));
    }
  }

  publish(endpoint: LocalEndpoint): void {
    this.#owe(this.#core.publish(endpoint, this.#clock.now()));
    this.#flushSoon();
  }

  withdraw(networkId: string, endpointId: string): void {
    this.#owe(this.#core.withdraw(networkId, endpointId, this.#clock.now()));
    this.#flushSoon();
  }

  network(networkId: string): readonly EndpointRecord[] {
    return this.#core.network(networkId);
  }

  onChange(listener: (networkIds: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  synced(): boolean {
    return this.#core.synced();
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (this.#transport.hasKeys) this.#owe(this.#core.flush(this.#clock.now()));
    });
  }

  #tick(): void {
    if (!this.#running) return;
    this.#owe(this.#core.tick(this.#clock.now()));
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick());
  }

  #owe(effects: Effects): void {
    for (const { host, port, message } of effects.sends) this.#transport.send(host, port, message);
    if (effects.changed.size === 0) return;
    for (const listener of this.#listeners) this.#tell(listener, effects.changed);
  }

  /** One listener that fails must not keep the change from the others. */
  #tell(listener: (networkIds: ReadonlySet<string>) => void, changed: ReadonlySet<string>): void {
    try {
      listener(changed);
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'a listener of the endpoint table failed');
    }
  }
}
