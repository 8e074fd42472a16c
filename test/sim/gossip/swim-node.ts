import { Roster } from '../../../worker/gossip/core/roster.ts';
import { SwimCore } from '../../../worker/gossip/core/swim-core.ts';
import { newsSizeBytes, type SwimEffects, type SwimPacket } from '../../../worker/gossip/core/swim-message.ts';
import type { SwimPreset } from '../../../worker/gossip/core/swim-preset.ts';
import type { MemberState } from '../../../worker/gossip/members.ts';
import type { ModelNode, ModelSwarm } from './model-swarm.ts';

/** Seal and fixed fields of a packet. */
const PACKET_BYTES = 33 + 30 + 28;

export function nodeName(index: number): string {
  return `node-${index.toString().padStart(20, '0')}`;
}

export function rosterOf(count: number): Roster {
  return new Roster(
    Array.from({ length: count }, (_, index) => ({ nodeId: nodeName(index), host: String(index), port: 7946 })),
  );
}

/** The product's membership in a simulated swarm. */
export class SwimNode implements ModelNode {
  readonly core: SwimCore;
  readonly #index: number;
  readonly #swarm: ModelSwarm<SwimNode>;
  /** Members as last seen changing, with the time. */
  onChange: (nodeIds: ReadonlySet<string>, nowMs: number) => void = () => undefined;

  constructor(index: number, swarm: ModelSwarm<SwimNode>, preset: SwimPreset, incarnation = 0) {
    this.#index = index;
    this.#swarm = swarm;
    this.core = new SwimCore({ nodeId: nodeName(index), incarnation, preset }, swarm.random.next);
  }

  setRoster(roster: Roster, nowMs: number): void {
    this.#owe(this.core.setRoster(roster, nowMs), nowMs);
  }

  leave(nowMs: number): void {
    this.#owe(this.core.leave(nowMs), nowMs);
  }

  receive(from: number, content: unknown, nowMs: number): void {
    const source = { host: String(from), port: 7946 };
    this.#owe(this.core.receive(nodeName(from), source, content as SwimPacket, nowMs), nowMs);
  }

  wake(nowMs: number): void {
    this.#owe(this.core.tick(nowMs), nowMs);
  }

  nextAtMs(): number {
    return this.core.nextAtMs();
  }

  sees(index: number): MemberState | undefined {
    return this.core.standing(nodeName(index))?.state;
  }

  #owe(effects: SwimEffects, nowMs: number): void {
    for (const { host, packet } of effects.sends) {
      const bytes = packet.news.reduce((sum, news) => sum + newsSizeBytes(news), PACKET_BYTES + packet.target.length);
      if (bytes > 1_400 && !packet.stream) throw new Error(`a datagram of ${bytes} bytes`);
      this.#swarm.send(this.#index, Number(host), packet, bytes, packet.stream);
    }
    if (effects.changed.size > 0) this.onChange(effects.changed, nowMs);
  }
}
