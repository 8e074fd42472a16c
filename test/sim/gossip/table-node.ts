import type { LocalEndpoint } from '../../../worker/gossip/endpoint-table.ts';
import type { OwnerStanding } from '../../../worker/gossip/core/record-lists.ts';
import { ReplicaCore } from '../../../worker/gossip/core/replica-core.ts';
import type { Effects, Message } from '../../../worker/gossip/core/message.ts';
import type { Roster } from '../../../worker/gossip/core/roster.ts';
import type { ModelNode, ModelSwarm } from './model-swarm.ts';
import { nodeName } from './swim-node.ts';

const TICK_MS = 50;
/** Seal and fixed fields. */
const PACKET_BYTES = 33 + 28 + 40;

/** One record as a busy swarm has it: container, task and service names. */
export function endpointOf(index: number, networkId = 'net'): LocalEndpoint {
  return {
    networkId,
    endpointId: `e${index}`.padEnd(64, '0'),
    address: '10.0.200.200',
    mac: '02:42:0a:00:c8:c8',
    vtep: '192.168.200.200',
    vni: 4096,
    names: ['0123456789ab', 'web.1.abcdefghijklmnopqrstuvwxy'],
    services: ['web', 'tasks.web'],
  };
}

/** Bytes of a table message on the wire, as its fields are encoded. */
export function messageBytes(message: Message): number {
  let bytes = PACKET_BYTES + 16 * message.ranges.length + 50 * message.digests.length;
  for (const update of message.updates) {
    bytes += 50;
    for (const { endpointId, endpoint } of update.changes) {
      bytes += 10 + endpointId.length;
      if (endpoint === undefined) continue;
      bytes += 50 + [...endpoint.names, ...endpoint.services].reduce((sum, name) => sum + name.length + 2, 0);
    }
  }
  return bytes;
}

/** One network's replica on a node that needs it, all nodes being alive and known: what a record's way through the swarm costs and takes. */
export class TableNode implements ModelNode {
  readonly core: ReplicaCore;
  readonly #index: number;
  readonly #swarm: ModelSwarm<TableNode>;
  #tickAtMs: number;
  onChange: (nowMs: number) => void = () => undefined;

  /**
   * @param speaks it will have records. The others are silent from the start, and their lives are not told of: the introduction of a
   * whole swarm in one moment costs n times n digests, and is not what is looked at.
   */
  constructor(index: number, swarm: ModelSwarm<TableNode>, speaks: boolean) {
    this.#index = index;
    this.#swarm = swarm;
    const standing = (): OwnerStanding => 'served';
    const options = {
      nodeId: nodeName(index),
      networkId: 'net',
      incarnation: speaks ? 1 : 0,
      settleAtMs: speaks ? 0 : Number.POSITIVE_INFINITY,
    };
    this.core = new ReplicaCore(options, { owners: { standing }, random: swarm.random.next });
    this.#tickAtMs = swarm.nowMs + swarm.random.next() * TICK_MS;
  }

  setPeers(peers: Roster, nowMs: number): void {
    this.#owe(this.core.setPeers(peers, true, nowMs), nowMs);
  }

  publish(endpoint: LocalEndpoint, nowMs: number): void {
    this.#owe(this.core.publish(endpoint, nowMs), nowMs);
    this.#owe(this.core.flush(nowMs), nowMs);
  }

  receive(from: number, content: unknown, nowMs: number): void {
    this.#owe(this.core.receive(content as Message, { host: String(from), port: 7946 }, nowMs), nowMs);
  }

  wake(nowMs: number): void {
    while (this.#tickAtMs <= nowMs) this.#tickAtMs += TICK_MS;
    this.#owe(this.core.tick(nowMs), nowMs);
  }

  nextAtMs(): number {
    return this.#tickAtMs;
  }

  #owe(effects: Effects, nowMs: number): void {
    for (const { host, message } of effects.sends) {
      const bytes = messageBytes(message);
      this.#swarm.send(this.#index, Number(host), message, bytes, bytes > 1_400);
    }
    if (effects.changed.size > 0) this.onChange(nowMs);
  }
}
