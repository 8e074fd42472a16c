/**
 * Who is alive: sessions, heartbeats and how long a node may be silent; and sooner, when gossip and the session have both lost a node. Pure:
 * times are arguments on one clock that never goes backwards, nothing is awaited; `tick` says what is due and goes on saying so until `settled`
 * confirms that it is written. Periods and graces are swarmkit's, manager/dispatcher (SWARM-BEHAVIOUR 2.2).
 */

import { LossCase, type Questions, type SessionStanding } from './loss-case.ts';
import type { HostAnswer, WitnessState } from './node-witness.ts';

/** Periods without a heartbeat before a node counts as down. */
const GRACE_PERIODS = 3;
/** A new leader knows no session yet: twice the grace. */
const LEADER_START_FACTOR = 2;
/** Share of the period by which a node's own may differ, so that a swarm does not beat in step. */
const JITTER = 0.1;
/** A node that stays down so long is given up, and with it its tasks. */
export const ORPHAN_AFTER_MS = 24 * 3_600_000;
/** While gossip misses a node that is not down. */
const RECHECK_MS = 100;
/** Nodes that fell within this time fell at once. */
const AT_ONCE_MS = 10_000;

interface Session {
  sessionId: string;
  /** Until when a heartbeat must come. */
  deadlineMs: number;
  /** When its stream broke. */
  endedAtMs?: number;
}

/** A node without a session that is not down yet. */
interface Awaited {
  sinceMs: number;
  /** Until when it may register. */
  deadlineMs: number;
}

/** What is to be written to the store. */
export type RegistryEffect = { kind: 'down'; nodeId: string; message: string } | { kind: 'orphan'; nodeId: string };

export interface NodeRegistryOptions {
  /** The cluster spec's Dispatcher.HeartbeatPeriod. */
  periodMs: number;
}

/**
 * unknown (awaited) -> registered -> down, and back to registered by a new session. Down is who was silent for the grace, or whom both
 * witnesses lost: then at once, unless this leader has reason to doubt itself, which is when gossip misses more than half of the nodes (it is rather
 * the leader that is cut off) or its own awareness is above 0 (Lifeguard 4.1).
 */
export class NodeRegistry {
  #periodMs: number;
  readonly #sessions = new Map<string, Session>();
  readonly #awaited = new Map<string, Awaited>();
  /** Nodes that are down, and since when this leader knows. */
  readonly #down = new Map<string, number>();
  readonly #due = new Map<string, RegistryEffect>();
  /** Nodes that gossip misses, down or not. */
  readonly #cases = new Map<string, LossCase>();
  /** When nodes fell by both witnesses, for as long as that counts as now. */
  readonly #fallen = new Map<string, number>();
  #recheckAtMs: number | undefined;

  constructor(options: NodeRegistryOptions) {
    this.#periodMs = options.periodMs;
  }

  /** Takes effect with each node's next heartbeat. */
  setPeriod(periodMs: number): void {
    this.#periodMs = periodMs;
  }

  /** A node that the store has and that has no session here: as after a change of the leader. */
  expect(nodeId: string, down: boolean, nowMs: number): void {
    if (this.#sessions.has(nodeId)) return;
    if (down) this.#down.set(nodeId, nowMs);
    else this.#await(nodeId, nowMs, LEADER_START_FACTOR);
  }

  /** The node is gone from the store. */
  forget(nodeId: string): void {
    for (const map of [this.#sessions, this.#awaited, this.#down, this.#due, this.#cases, this.#fallen]) {
      map.delete(nodeId);
    }
  }

  /** Begins a session; an older one of the same node is invalid from now on. */
  register(nodeId: string, sessionId: string, nowMs: number): void {
    for (const map of [this.#awaited, this.#down, this.#due, this.#fallen]) map.delete(nodeId);
    this.#sessions.set(nodeId, { sessionId, deadlineMs: nowMs + this.#periodMs * GRACE_PERIODS });
    this.#cases.get(nodeId)?.answered(nowMs);
  }

  /** True while this is the node's session. */
  isCurrent(nodeId: string, sessionId: string): boolean {
    return this.#sessions.get(nodeId)?.sessionId === sessionId;
  }

  /** @param random in [0, 1). @returns when to beat again; undefined when this is not the node's session. */
  heartbeat(nodeId: string, sessionId: string, nowMs: number, random: number): number | undefined {
    const session = this.#sessions.get(nodeId);
    if (session?.sessionId !== sessionId) return undefined;
    const periodMs = Math.round(this.#periodMs * (1 + JITTER * (2 * random - 1)));
    session.deadlineMs = nowMs + periodMs * GRACE_PERIODS;
    this.#cases.get(nodeId)?.answered(nowMs);
    return periodMs;
  }

  /** The stream of the session broke. It stays the node's session until the grace is over or another one begins. */
  sessionLost(nodeId: string, sessionId: string, nowMs: number): void {
    const session = this.#sessions.get(nodeId);
    if (session?.sessionId === sessionId) session.endedAtMs ??= nowMs;
  }

  /**
   * What gossip says of a node; undefined when it says nothing. A fall that is not written yet is taken back when it lives.
   * @param ageMs for how long gossip has said so.
   */
  witness(nodeId: string, state: WitnessState | undefined, nowMs: number, ageMs = 0): void {
    if (state !== undefined && state !== 'alive') {
      const known = this.#cases.get(nodeId);
      if (known !== undefined) known.hear(state);
      else this.#cases.set(nodeId, new LossCase(state, nowMs - ageMs));
      this.#recheckAtMs = nowMs;
      return;
    }
    this.#cases.delete(nodeId);
    if (this.#due.get(nodeId)?.kind !== 'down' || !this.#fallen.delete(nodeId)) return;
    this.#due.delete(nodeId);
    this.#down.delete(nodeId);
    this.#await(nodeId, nowMs, 1);
  }

  /** What a connection to the node's host came to. */
  hostAnswered(nodeId: string, answer: HostAnswer, nowMs: number): void {
    this.#cases.get(nodeId)?.hostAnswered(answer, nowMs);
  }

  /** Whom to ask what, now; it counts as asked. */
  questions(nowMs: number): (Questions & { nodeId: string })[] {
    const asked: (Questions & { nodeId: string })[] = [];
    for (const [nodeId, lossCase] of this.#cases) {
      const session = this.#standing(nodeId);
      if (session === undefined) continue;
      const questions = lossCase.questions(session, nowMs);
      if (questions.challenge || questions.host) asked.push({ nodeId, ...questions });
    }
    return asked;
  }

  /** Everything due by now, again and again until it is settled. @param awareness of this node, see NodeWitness. */
  tick(nowMs: number, awareness = 0): RegistryEffect[] {
    this.#judge(nowMs, awareness);
    for (const [nodeId, { deadlineMs }] of [...this.#sessions, ...this.#awaited]) {
      if (deadlineMs > nowMs) continue;
      const text = this.#sessions.has(nodeId) ? 'heartbeat failure' : 'heartbeat failure for node in "unknown" state';
      const evidence = this.#evidence(nodeId, nowMs);
      this.#fall(nodeId, evidence === undefined ? text : `${text} (${evidence})`, nowMs);
    }
    for (const [nodeId, sinceMs] of this.#down) {
      if (sinceMs + ORPHAN_AFTER_MS <= nowMs && !this.#due.has(nodeId))
        this.#due.set(nodeId, { kind: 'orphan', nodeId });
    }
    return [...this.#due.values()];
  }

  /** False once the node has registered or is gone. */
  isDue(effect: RegistryEffect): boolean {
    return this.#due.get(effect.nodeId) === effect;
  }

  /** The effect is in the store. */
  settled(effect: RegistryEffect): void {
    if (this.#due.get(effect.nodeId) !== effect) return;
    this.#due.delete(effect.nodeId);
    if (effect.kind === 'orphan') this.#down.delete(effect.nodeId);
  }

  /** When `tick` has something to say, or `questions` to ask; undefined for never. */
  nextAt(): number | undefined {
    let next = this.#recheckAtMs;
    const consider = (at: number): void => {
      next = next === undefined ? at : Math.min(next, at);
    };
    for (const { deadlineMs } of this.#sessions.values()) consider(deadlineMs);
    for (const { deadlineMs } of this.#awaited.values()) consider(deadlineMs);
    for (const [nodeId, sinceMs] of this.#down) if (!this.#due.has(nodeId)) consider(sinceMs + ORPHAN_AFTER_MS);
    return next;
  }

  #judge(nowMs: number, awareness: number): void {
    for (const [nodeId, atMs] of this.#fallen) if (atMs + AT_ONCE_MS <= nowMs) this.#fallen.delete(nodeId);
    const missed = [...this.#cases.keys()].filter((nodeId) => this.#standing(nodeId) !== undefined);
    const fallen = [...this.#fallen.keys()].filter((nodeId) => this.#down.has(nodeId)).length;
    const nodes = this.#sessions.size + this.#awaited.size + fallen;
    this.#recheckAtMs = missed.length === 0 ? undefined : nowMs + RECHECK_MS;
    const left = missed.filter((nodeId) => this.#cases.get(nodeId)?.word === 'left');
    // Whoever says farewell leaves no doubt, neither about itself nor about this leader.
    const isSure = awareness === 0 && 2 * (missed.length - left.length + fallen) <= nodes;
    for (const nodeId of isSure ? missed : left) {
      const session = this.#standing(nodeId);
      const lossCase = this.#cases.get(nodeId);
      if (session === undefined || lossCase === undefined || !lossCase.isLost(session, nowMs)) continue;
      if (lossCase.word !== 'left') this.#fallen.set(nodeId, nowMs);
      this.#fall(nodeId, `node lost (${lossCase.describe(session, nowMs)})`, nowMs);
    }
  }

  /** Undefined for a node that is down or not of this swarm. */
  #standing(nodeId: string): SessionStanding | undefined {
    const session = this.#sessions.get(nodeId);
    if (session !== undefined)
      return session.endedAtMs === undefined ? { kind: 'open' } : { kind: 'ended', sinceMs: session.endedAtMs };
    const awaited = this.#awaited.get(nodeId);
    return awaited === undefined ? undefined : { kind: 'none', sinceMs: awaited.sinceMs };
  }

  #evidence(nodeId: string, nowMs: number): string | undefined {
    const session = this.#standing(nodeId);
    return session === undefined ? undefined : this.#cases.get(nodeId)?.describe(session, nowMs);
  }

  #await(nodeId: string, nowMs: number, factor: number): void {
    this.#awaited.set(nodeId, { sinceMs: nowMs, deadlineMs: nowMs + this.#periodMs * GRACE_PERIODS * factor });
  }

  #fall(nodeId: string, message: string, nowMs: number): void {
    this.#sessions.delete(nodeId);
    this.#awaited.delete(nodeId);
    this.#down.set(nodeId, nowMs);
    this.#due.set(nodeId, { kind: 'down', nodeId, message });
  }
}
