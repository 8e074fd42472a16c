import type { HostAnswer, WitnessState } from './node-witness.ts';

/** A node that lives answers a challenge long before; a busy one within it. */
const ANSWER_MS = 1_000;
/** An agent whose session broke opens another one within it. */
const REOPEN_MS = 500;
/** And after a change of the leader, which it must notice first. */
const REOPEN_AT_LEADER_MS = 1_000;
/** Challenges and questions to the host are repeated; an answer of the host counts a little longer than that. */
const ASK_AGAIN_MS = 1_000;
const HOST_ANSWER_MS = 2_000;

/** How a node's session stands. `none`: this leader has not had one yet. */
export type SessionStanding = { kind: 'open' } | { kind: 'ended' | 'none'; sinceMs: number };

/** What is to be asked now: the node through its session, its host by a connection. */
export interface Questions {
  challenge: boolean;
  host: boolean;
}

const HOST_TEXT: Readonly<Record<HostAnswer, string>> = {
  refused: 'up without a daemon',
  accepted: 'accepts connections',
  silent: 'no answer',
};

/**
 * The evidence about one node that gossip does not see alive. Suspicion begins the case, so that by the time of gossip's verdict the other
 * witness has been heard. Pure: times are arguments, on one clock that never goes backwards.
 */
export class LossCase {
  readonly #suspectedAtMs: number;
  #word: Exclude<WitnessState, 'alive'>;
  /** Of the oldest challenge without an answer. */
  #challengedAtMs: number | undefined;
  #answeredAtMs: number | undefined;
  #askedHostAtMs = Number.NEGATIVE_INFINITY;
  #host: { answer: HostAnswer; atMs: number } | undefined;
  /**
   * The host has said that it is up: one that accepts connections afterwards has its daemon starting, not hanging; and no single packet that
   * is lost may speak against it.
   */
  #wasRefused = false;
  #silences = 0;

  constructor(word: Exclude<WitnessState, 'alive'>, suspectedAtMs: number) {
    this.#word = word;
    this.#suspectedAtMs = suspectedAtMs;
  }

  get word(): Exclude<WitnessState, 'alive'> {
    return this.#word;
  }

  hear(word: Exclude<WitnessState, 'alive'>): void {
    this.#word = word;
  }

  /** The node has spoken in its session. */
  answered(nowMs: number): void {
    this.#challengedAtMs = undefined;
    this.#answeredAtMs = nowMs;
  }

  hostAnswered(answer: HostAnswer, nowMs: number): void {
    this.#host = { answer, atMs: nowMs };
    this.#wasRefused ||= answer === 'refused';
    this.#silences = answer === 'silent' ? this.#silences + 1 : 0;
  }

  /** What to ask now; it counts as asked. */
  questions(session: SessionStanding, nowMs: number): Questions {
    const again = nowMs - ASK_AGAIN_MS;
    const challenge =
      session.kind === 'open' && this.#challengedAtMs === undefined && (this.#answeredAtMs ?? again) <= again;
    if (challenge) this.#challengedAtMs = nowMs;
    const isDoubtful = session.kind !== 'open' || this.#challengedAtMs !== undefined;
    const host = isDoubtful && this.#word !== 'left' && this.#askedHostAtMs <= again;
    if (host) this.#askedHostAtMs = nowMs;
    return { challenge, host };
  }

  /** True when both witnesses have lost the node, and its host does not prove that only the daemon is away. */
  isLost(session: SessionStanding, nowMs: number): boolean {
    if (this.#word === 'suspect' || !this.#isSilent(session, nowMs)) return false;
    if (this.#word === 'left') return true;
    const host = this.#host;
    if (host === undefined || nowMs - host.atMs > HOST_ANSWER_MS) return false;
    return this.#wasRefused ? this.#silences > 1 : host.answer !== 'refused';
  }

  /** The evidence in words. */
  describe(session: SessionStanding, nowMs: number): string {
    const { answer } = this.#host ?? {};
    const ago = (ms: number): string => `${((nowMs - ms) / 1000).toFixed(1)} s`;
    return [
      this.#word === 'left'
        ? 'gossip: it has left'
        : `gossip: ${this.#word}, suspected for ${ago(this.#suspectedAtMs)}`,
      `session: ${this.#sessionText(session, ago)}`,
      ...(answer === undefined ? [] : [`host: ${HOST_TEXT[answer]}`]),
    ].join('; ');
  }

  #isSilent(session: SessionStanding, nowMs: number): boolean {
    if (session.kind === 'open') {
      return this.#challengedAtMs !== undefined && nowMs - this.#challengedAtMs >= ANSWER_MS;
    }
    return nowMs - session.sinceMs >= (session.kind === 'ended' ? REOPEN_MS : REOPEN_AT_LEADER_MS);
  }

  #sessionText(session: SessionStanding, ago: (ms: number) => string): string {
    if (session.kind === 'ended') return `ended ${ago(session.sinceMs)} ago`;
    if (session.kind === 'none') return `none with the new leader for ${ago(session.sinceMs)}`;
    return this.#challengedAtMs === undefined ? 'open' : `no answer for ${ago(this.#challengedAtMs)}`;
  }
}
