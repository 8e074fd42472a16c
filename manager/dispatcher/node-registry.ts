/**
 * Who is alive: sessions, heartbeats and how long a node may be silent. Pure: times are arguments, nothing is
 * awaited; `tick` says what is due and goes on saying so until `settled` confirms that it is written.
 * Numbers of swarmkit manager/dispatcher (SWARM-BEHAVIOUR 2.2).
 */

/** Periods without a heartbeat before a node counts as down. */
const GRACE_PERIODS = 3;
/** A new leader knows no session yet: twice the grace. */
const LEADER_START_FACTOR = 2;
/** Share of the period by which a node's own may differ, so that a swarm does not beat in step. */
const JITTER = 0.1;
/** A node that stays down so long is given up, and with it its tasks. */
export const ORPHAN_AFTER_MS = 24 * 3_600_000;

interface Session {
  sessionId: string;
  /** Until when a heartbeat must come. */
  deadlineMs: number;
}

/** What is to be written to the store. */
export type RegistryEffect = { kind: 'down'; nodeId: string; message: string } | { kind: 'orphan'; nodeId: string };

export interface NodeRegistryOptions {
  /** The cluster spec's Dispatcher.HeartbeatPeriod. */
  periodMs: number;
}

export class NodeRegistry {
  #periodMs: number;
  readonly #sessions = new Map<string, Session>();
  /** Nodes without a session that are not down yet, and until when they may register. */
  readonly #awaited = new Map<string, number>();
  /** Nodes that are down, and since when this leader knows. */
  readonly #down = new Map<string, number>();
  readonly #due = new Map<string, RegistryEffect>();

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
    else this.#awaited.set(nodeId, nowMs + this.#periodMs * GRACE_PERIODS * LEADER_START_FACTOR);
  }

  /** The node is gone from the store. */
  forget(nodeId: string): void {
    this.#sessions.delete(nodeId);
    this.#awaited.delete(nodeId);
    this.#down.delete(nodeId);
    this.#due.delete(nodeId);
  }

  /** Begins a session; an older one of the same node is invalid from now on. */
  register(nodeId: string, sessionId: string, nowMs: number): void {
    this.#awaited.delete(nodeId);
    this.#down.delete(nodeId);
    this.#due.delete(nodeId);
    this.#sessions.set(nodeId, { sessionId, deadlineMs: nowMs + this.#periodMs * GRACE_PERIODS });
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
    return periodMs;
  }

  /** Everything due by now, again and again until it is settled. */
  tick(nowMs: number): RegistryEffect[] {
    for (const [nodeId, session] of this.#sessions) {
      if (session.deadlineMs > nowMs) continue;
      this.#sessions.delete(nodeId);
      this.#fall(nodeId, 'heartbeat failure', nowMs);
    }
    for (const [nodeId, deadlineMs] of this.#awaited) {
      if (deadlineMs > nowMs) continue;
      this.#awaited.delete(nodeId);
      this.#fall(nodeId, 'heartbeat failure for node in "unknown" state', nowMs);
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

  /** When `tick` has something to say, undefined for never. */
  nextAt(): number | undefined {
    let next: number | undefined;
    const consider = (at: number): void => {
      next = next === undefined ? at : Math.min(next, at);
    };
    for (const session of this.#sessions.values()) consider(session.deadlineMs);
    for (const deadlineMs of this.#awaited.values()) consider(deadlineMs);
    for (const [nodeId, sinceMs] of this.#down) if (!this.#due.has(nodeId)) consider(sinceMs + ORPHAN_AFTER_MS);
    return next;
  }

  #fall(nodeId: string, message: string, nowMs: number): void {
    this.#down.set(nodeId, nowMs);
    this.#due.set(nodeId, { kind: 'down', nodeId, message });
  }
}
