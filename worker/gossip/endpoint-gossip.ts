import type { CancelTimer, Clock } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import { GossipCore, type KnownPeer } from './core/gossip-core.ts';
import { knownPeers, standingOf } from './core/known-peers.ts';
import type { Effects, Peer } from './core/message.ts';
import { Roster } from './core/roster.ts';
import { SwimCore } from './core/swim-core.ts';
import type { Address, SwimEffects } from './core/swim-message.ts';
import { LAN, type SwimPreset } from './core/swim-preset.ts';
import type { EndpointRecord, EndpointTable, LocalEndpoint, LocatedRecord } from './endpoint-table.ts';
import { MemberView } from './member-view.ts';
import type { Members } from './members.ts';
import type { Content } from './transport/envelope.ts';
import type { DropCounts } from './transport/drop-counts.ts';
import { GossipTransport } from './transport/gossip-transport.ts';
import type { GossipKey } from './transport/key-ring.ts';

export interface EndpointGossipOptions {
  nodeId: string;
  bindAddress: string;
  /** UDP and TCP. Default 7946. */
  port?: number;
  /** Default LAN. */
  preset?: SwimPreset;
}

export interface EndpointGossipModules {
  clock: Clock;
  log: Log;
  random: Random;
}

const TICK_MS = 50;

/**
 * The endpoint table and the membership over the network: GossipCore and SwimCore on sockets and a clock. What is published in
 * one turn of the event loop leaves in one message per peer. Usable before start() and without keys or peers; it then only keeps
 * what is published. Records of the dead are not served until they return; those of nodes that left are dropped.
 */
export class EndpointGossip implements EndpointTable, Startable {
  readonly #nodeId: string;
  readonly #core: GossipCore;
  readonly #swim: SwimCore;
  readonly #members: MemberView;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #transport: GossipTransport;
  readonly #listeners = new Set<(networkIds: ReadonlySet<string>) => void>();
  #roster: Roster | undefined;
  /** As the table was last told. */
  #standings = new Map<string, KnownPeer['standing']>();
  #cancelTick: CancelTimer | undefined;
  #cancelSwim: CancelTimer | undefined;
  #swimAtMs = Number.POSITIVE_INFINITY;
  #running = false;
  #flushing = false;

  constructor(options: EndpointGossipOptions, modules: EndpointGossipModules) {
    const { nodeId, bindAddress, port = 7946, preset = LAN } = options;
    const { clock, random } = modules;
    this.#nodeId = nodeId;
    this.#clock = clock;
    this.#log = modules.log.child({ module: 'worker/gossip' });
    const startedAtMs = Math.floor(clock.now());
    this.#core = new GossipCore({ nodeId, startedAtMs, nowMs: clock.monotonic() }, random);
    this.#swim = new SwimCore({ nodeId, incarnation: startedAtMs, preset }, random);
    this.#members = new MemberView(this.#swim, clock);
    const onContent = (from: string, content: Content, source: Address): void => this.#receive(from, content, source);
    this.#transport = new GossipTransport({ nodeId, bindAddress, port }, { clock, random, log: this.#log, onContent });
  }

  /** Who lives, as this node sees it. */
  get members(): Members {
    return this.#members;
  }

  /** Packets and streams that were refused, by reason. */
  get drops(): Readonly<DropCounts> {
    return this.#transport.drops;
  }

  async start(): Promise<void> {
    await this.#transport.start();
    this.#running = true;
    this.#tick();
    this.#armSwim();
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.#cancelTick?.();
    this.#cancelSwim?.();
    await this.#transport.stop();
  }

  /** Tells the others that this node goes for good: they drop its records at once. To be followed by stop. */
  leave(): void {
    this.#oweSwim(this.#swim.leave(this.#nowMs));
  }

  /** The other nodes of the swarm as the manager names them; `host` is an address. The same list again is no change. */
  setPeers(peers: readonly Peer[]): void {
    this.#roster = new Roster(peers.filter(({ nodeId }) => nodeId !== this.#nodeId));
    this.#meet();
  }

  /** 16-byte keys; the second newest seals when there are several, all open. An empty list stops the exchange. */
  setKeys(keys: readonly GossipKey[]): void {
    this.#transport.setKeys(keys);
    this.#meet();
  }

  publish(endpoint: LocalEndpoint): void {
    this.#owe(this.#core.publish(endpoint, this.#nowMs));
    this.#flushSoon();
  }

  withdraw(networkId: string, endpointId: string): void {
    this.#owe(this.#core.withdraw(networkId, endpointId, this.#nowMs));
    this.#flushSoon();
  }

  network(networkId: string): readonly EndpointRecord[] {
    this.#need(networkId);
    return this.#core.network(networkId);
  }

  located(networkId: string): readonly LocatedRecord[] {
    this.#need(networkId);
    return this.#core.located(networkId);
  }

  onChange(listener: (networkIds: ReadonlySet<string>) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  synced(networkId?: string): boolean {
    return this.#core.synced(networkId);
  }

  #need(networkId: string): void {
    if (!this.#core.holds(networkId, this.#nowMs)) this.#owe(this.#core.need(networkId, this.#nowMs));
  }

  get #nowMs(): number {
    return this.#clock.monotonic();
  }

  /** Before there is a key the exchange with new peers cannot be begun; it is then begun by setKeys. */
  #meet(): void {
    if (!this.#transport.hasKeys || this.#roster === undefined) return;
    this.#oweSwim(this.#swim.setRoster(this.#roster, this.#nowMs));
    this.#learnMembers();
  }

  #learnMembers(): void {
    const members = knownPeers(this.#swim);
    this.#standings = new Map(members.map(({ nodeId, standing }) => [nodeId, standing]));
    this.#owe(this.#core.setMembers(members, this.#nowMs));
  }

  #receive(from: string, content: Content, source: Address): void {
    if ('swim' in content) this.#oweSwim(this.#swim.receive(from, source, content.swim, this.#nowMs));
    else this.#owe(this.#core.receive(content.table, source, this.#nowMs));
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    queueMicrotask(() => {
      this.#flushing = false;
      if (this.#transport.hasKeys) this.#owe(this.#core.flush(this.#nowMs));
    });
  }

  #tick(): void {
    if (!this.#running) return;
    if (this.#transport.hasKeys) this.#owe(this.#core.tick(this.#nowMs));
    this.#cancelTick = this.#clock.after(TICK_MS, () => this.#tick());
  }

  #armSwim(): void {
    const at = this.#swim.nextAtMs();
    if (!this.#running || at >= this.#swimAtMs) return;
    this.#cancelSwim?.();
    this.#swimAtMs = at;
    this.#cancelSwim = this.#clock.after(Math.max(0, Math.ceil(at - this.#nowMs)), () => {
      this.#swimAtMs = Number.POSITIVE_INFINITY;
      this.#oweSwim(this.#swim.tick(this.#nowMs));
    });
  }

  #oweSwim(effects: SwimEffects): void {
    for (const { host, port, packet } of effects.sends) this.#transport.send(host, port, { swim: packet });
    this.#armSwim();
    if (effects.changed.size === 0) return;
    for (const nodeId of effects.changed) {
      const fields = { member: nodeId, state: this.#swim.standing(nodeId)?.state, awareness: this.#swim.awareness };
      // Suspicions come and go where packets are lost.
      if (fields.state === 'dead' || fields.state === 'left') this.#log.info(fields, 'gossip member is gone');
      else this.#log.debug(fields, 'gossip member changed state');
    }
    // Most changes are suspicions that pass; for records they change nothing.
    const told = [...effects.changed].filter(
      (nodeId) => standingOf(this.#swim, nodeId) !== this.#standings.get(nodeId),
    );
    if (told.length > 0) this.#learnMembers();
    for (const listener of this.#members.listeners) this.#tell(listener, effects.changed);
  }

  #owe(effects: Effects): void {
    for (const { host, port, message } of effects.sends) this.#transport.send(host, port, { table: message });
    if (effects.changed.size === 0) return;
    for (const listener of this.#listeners) this.#tell(listener, effects.changed);
  }

  /** One listener that fails must not keep the change from the others. */
  #tell(listener: (ids: ReadonlySet<string>) => void, changed: ReadonlySet<string>): void {
    try {
      listener(changed);
    } catch (error) {
      this.#log.error({ error: messageOf(error) }, 'a listener of gossip failed');
    }
  }
}
