import type { Awareness } from './awareness.ts';
import type { Peer } from './message.ts';
import { RoundTrips } from './round-trips.ts';
import type { Address, SwimKind } from './swim-message.ts';
import type { SwimPreset } from './swim-preset.ts';

/** What a prober wants done. All calls are made within its own inputs. */
export interface ProberOutlet {
  send(to: Address, kind: SwimKind, content: { sequence: number; target?: string; stream?: boolean }): void;
  /** A ping again, without news: what is told to the dead counts as told. */
  repeat(to: Address, sequence: number): void;
  /** Up to `count` living members to ask, without this one. */
  helpers(count: number, except: string): readonly Peer[];
  /** How often the member has cleared itself of a suspicion lately. */
  objections(nodeId: string): number;
  unreached(nodeId: string): void;
}

/**
 * direct -> (no ack in probeTimeoutMs) indirect -> (no ack until the deadline) unreached; an ack ends it at any time. The target is
 * pinged again every againMs throughout: a lost datagram shall not make a suspect.
 */
interface Probe {
  target: Peer;
  /** Of its pings and its requests; each has its own. */
  sequences: number[];
  againMs: number;
  againAtMs: number;
  indirectAtMs: number;
  deadlineMs: number;
  /** Node IDs; undefined while direct. */
  helpers: ReadonlySet<string> | undefined;
  nacks: number;
}

/** A ping on behalf of another node. */
interface Relay {
  target: string;
  origin: Address;
  sequence: number;
  nackAtMs: number;
  endMs: number;
  nacked: boolean;
}

const MOST_RELAYS = 256;
const MOST_PROBES = 64;
/** A ping is repeated when the usual time of an answer is over by so much; with twice that time nearly all have answered. */
const AGAIN = 1.25;
const OVERDUE = 2;

/**
 * Probes and relayed probes under way (SWIM 3.1, Lifeguard 4.1). Bounded: above 64 probes or 256 relays new ones are not begun.
 * Times are stretched by this node's doubt of itself, by the target's objections, and when round trips take longer than the preset
 * is made for, together up to the same limit. A failed probe counts against this node's health for every helper that did not
 * even say nack: those that are well say it.
 */
export class Prober {
  readonly #preset: SwimPreset;
  readonly #awareness: Awareness;
  readonly #outlet: ProberOutlet;
  readonly #roundTrips = new RoundTrips();
  readonly #probes = new Set<Probe>();
  readonly #bySequence = new Map<number, Probe>();
  readonly #relays = new Map<number, Relay>();
  #sequence = 0;

  constructor(preset: SwimPreset, awareness: Awareness, outlet: ProberOutlet) {
    this.#preset = preset;
    this.#awareness = awareness;
    this.#outlet = outlet;
  }

  isProbing(nodeId: string): boolean {
    for (const probe of this.#probes) if (probe.target.nodeId === nodeId) return true;
    return false;
  }

  begin(target: Peer, nowMs: number): void {
    if (this.#probes.size >= MOST_PROBES) return;
    const { againMs, timeoutMs, deadlineMs } = this.#patience(target.nodeId);
    const probe: Probe = {
      target,
      sequences: [],
      againMs,
      againAtMs: nowMs + againMs,
      indirectAtMs: nowMs + timeoutMs,
      deadlineMs: nowMs + deadlineMs,
      helpers: undefined,
      nacks: 0,
    };
    this.#probes.add(probe);
    this.#outlet.send(target, 'ping', { sequence: this.#pingNumber(probe, nowMs) });
  }

  relay(target: Peer, origin: Address, sequence: number, nowMs: number): void {
    if (this.#relays.size >= MOST_RELAYS) return;
    const own = ++this.#sequence;
    this.#relays.set(own, {
      target: target.nodeId,
      origin,
      sequence,
      nackAtMs: nowMs + this.#preset.probeTimeoutMs * this.#preset.nackAfter,
      endMs: nowMs + this.#patience(target.nodeId).deadlineMs,
      nacked: false,
    });
    this.#roundTrips.sent(own, nowMs);
    this.#outlet.send(target, 'ping', { sequence: own });
  }

  acked(from: string, sequence: number, nowMs: number): void {
    this.#roundTrips.answered(sequence, nowMs);
    const probe = this.#bySequence.get(sequence);
    if (probe !== undefined && (probe.target.nodeId === from || probe.helpers?.has(from) === true)) {
      this.#end(probe);
      this.#awareness.add(-1);
      return;
    }
    const relay = this.#relays.get(sequence);
    if (relay === undefined || relay.target !== from) return;
    this.#relays.delete(sequence);
    this.#outlet.send(relay.origin, 'ack', { sequence: relay.sequence });
  }

  nacked(from: string, sequence: number): void {
    const probe = this.#bySequence.get(sequence);
    if (probe?.helpers?.has(from) === true) probe.nacks += 1;
  }

  /** The member is gone: what is under way proves nothing any more. */
  drop(nodeId: string): void {
    for (const probe of this.#probes) if (probe.target.nodeId === nodeId) this.#end(probe);
  }

  tick(nowMs: number): void {
    for (const probe of [...this.#probes]) {
      if (nowMs >= probe.deadlineMs) {
        this.#fail(probe);
        continue;
      }
      if (nowMs >= probe.againAtMs) {
        probe.againAtMs = nowMs + probe.againMs;
        this.#outlet.repeat(probe.target, this.#pingNumber(probe, nowMs));
      }
      if (probe.helpers === undefined && nowMs >= probe.indirectAtMs) this.#ask(probe);
    }
    for (const [sequence, relay] of [...this.#relays]) {
      if (!relay.nacked && nowMs >= relay.nackAtMs) {
        relay.nacked = true;
        this.#outlet.send(relay.origin, 'nack', { sequence: relay.sequence });
      }
      if (nowMs >= relay.endMs) this.#relays.delete(sequence);
    }
  }

  nextAtMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const probe of this.#probes) {
      next = Math.min(next, probe.deadlineMs, probe.againAtMs);
      if (probe.helpers === undefined) next = Math.min(next, probe.indirectAtMs);
    }
    for (const relay of this.#relays.values()) next = Math.min(next, relay.nacked ? relay.endMs : relay.nackAtMs);
    return next;
  }

  /** This node stood still: answers may be waiting to be read. */
  postpone(ms: number): void {
    for (const probe of this.#probes) {
      probe.againAtMs += ms;
      probe.indirectAtMs += ms;
      probe.deadlineMs += ms;
    }
    for (const relay of this.#relays.values()) {
      relay.nackAtMs += ms;
      relay.endMs += ms;
    }
  }

  #patience(nodeId: string): { againMs: number; timeoutMs: number; deadlineMs: number } {
    const { pingAgainMs, probeTimeoutMs, probeDeadlineMs, awarenessMax } = this.#preset;
    const { usualMs } = this.#roundTrips;
    const most = awarenessMax + 1;
    const stretch = Math.min(most, this.#awareness.stretch(this.#outlet.objections(nodeId) + 1));
    const part = Math.min(most, Math.max(stretch, (OVERDUE * usualMs) / probeTimeoutMs));
    return {
      againMs: Math.max(pingAgainMs * stretch, AGAIN * Math.min(usualMs, most * pingAgainMs)),
      timeoutMs: probeTimeoutMs * part,
      deadlineMs: probeDeadlineMs * part,
    };
  }

  #pingNumber(probe: Probe, nowMs: number): number {
    const sequence = this.#number(probe);
    this.#roundTrips.sent(sequence, nowMs);
    return sequence;
  }

  #ask(probe: Probe): void {
    const { nodeId } = probe.target;
    const helpers = this.#outlet.helpers(this.#preset.indirectProbes, nodeId);
    probe.helpers = new Set(helpers.map((helper) => helper.nodeId));
    const sequence = this.#number(probe);
    for (const helper of helpers) this.#outlet.send(helper, 'ping-request', { sequence, target: nodeId });
    // UDP alone may be blocked or lossy.
    this.#outlet.send(probe.target, 'ping', { sequence, stream: true });
  }

  #number(probe: Probe): number {
    const sequence = ++this.#sequence;
    probe.sequences.push(sequence);
    this.#bySequence.set(sequence, probe);
    return sequence;
  }

  #fail(probe: Probe): void {
    this.#end(probe);
    this.#awareness.add((probe.helpers?.size ?? 0) - probe.nacks);
    this.#outlet.unreached(probe.target.nodeId);
  }

  #end(probe: Probe): void {
    this.#probes.delete(probe);
    for (const sequence of probe.sequences) this.#bySequence.delete(sequence);
  }
}
