import type { Random } from '../../../proto/runtime/random.ts';
import type { MemberState } from '../members.ts';
import type { Peer } from './message.ts';
import { textHash } from './record-hash.ts';
import { Roster } from './roster.ts';
import type { MemberNews } from './swim-message.ts';

/** What is known of one member. */
export interface Standing {
  readonly incarnation: number;
  readonly state: MemberState;
  /** On the clock of the inputs. */
  readonly changedAtMs: number;
}

/**
 * The members and their standing. Whoever the manager named is a member, taken for alive until it is known better; nobody
 * else is. Which of two statements counts is decided by `supersedes` alone.
 */
export class MemberList {
  readonly #self: string;
  #roster = new Roster([]);
  /** Of whom nothing was heard since the beginning. */
  #unheard: Standing = { incarnation: 0, state: 'alive', changedAtMs: 0 };
  /** Only what differs from "alive, never heard of". */
  readonly #standings = new Map<string, Standing>();
  readonly #gone = new Set<string>();
  #checksum = 0;
  /** Of this node itself, for every packet. */
  #own = { incarnation: 0, hash: 0 };

  constructor(self: string) {
    this.#self = self;
  }

  /** @returns node IDs that came or went. */
  setRoster(roster: Roster, nowMs: number): { came: Peer[]; went: string[] } {
    const before = this.#roster;
    if (before === roster) return { came: [], went: [] };
    const came = roster.peers.filter((peer) => peer.nodeId !== this.#self && !before.has(peer.nodeId));
    const went = before.peers.map((peer) => peer.nodeId).filter((nodeId) => !roster.has(nodeId));
    for (const nodeId of went) this.#replace(nodeId, undefined);
    if (before.peers.length === 0) this.#unheard = { incarnation: 0, state: 'alive', changedAtMs: nowMs };
    else
      for (const { nodeId } of came)
        this.#standings.set(nodeId, { incarnation: 0, state: 'alive', changedAtMs: nowMs });
    this.#roster = roster;
    return { came, went: went.filter((nodeId) => nodeId !== this.#self) };
  }

  get peers(): readonly Peer[] {
    return this.#roster.peers;
  }

  peer(nodeId: string): Peer | undefined {
    return nodeId === this.#self ? undefined : this.#roster.get(nodeId);
  }

  /** undefined for whom the manager did not name, and for this node itself. */
  standing(nodeId: string): Standing | undefined {
    const known = this.#standings.get(nodeId);
    if (known !== undefined) return known;
    return nodeId === this.#self || !this.#roster.has(nodeId) ? undefined : this.#unheard;
  }

  /** Members that are neither dead nor have left, and this node. */
  get size(): number {
    return this.#roster.peers.length - (this.#roster.has(this.#self) ? 1 : 0) + 1 - this.#gone.size;
  }

  /** Members that are dead or have left. */
  get gone(): number {
    return this.#gone.size;
  }

  /** Over incarnations and who lives; suspicions are left out, they pass by themselves. Equal means: nothing to compare. */
  checksum(ownIncarnation: number): number {
    if (this.#own.incarnation !== ownIncarnation) {
      this.#own = { incarnation: ownIncarnation, hash: standingHash(this.#self, ownIncarnation, 'alive') };
    }
    return (this.#checksum + this.#own.hash) >>> 0;
  }

  set(nodeId: string, state: MemberState, incarnation: number, nowMs: number): void {
    this.#replace(nodeId, { state, incarnation, changedAtMs: nowMs });
  }

  /** Up to `count` different members at random for which `wanted` holds. */
  sample(count: number, random: Random, wanted: (standing: Standing, nodeId: string) => boolean): Peer[] {
    const { peers } = this.#roster;
    const found = new Set<Peer>();
    const consider = (peer: Peer | undefined): void => {
      const standing = peer === undefined ? undefined : this.standing(peer.nodeId);
      if (peer !== undefined && standing !== undefined && wanted(standing, peer.nodeId)) found.add(peer);
    };
    if (peers.length > 4 * count + 16) {
      for (let tries = 0; tries < 4 * count + 8 && found.size < count; tries++) {
        consider(peers[Math.floor(random() * peers.length)]);
      }
      if (found.size > 0 || this.#gone.size === 0) return [...found];
    }
    const order = peers.map((peer) => ({ peer, key: random() })).toSorted((a, b) => a.key - b.key);
    for (const { peer } of order) {
      if (found.size >= count) break;
      consider(peer);
    }
    return [...found];
  }

  /** One of those that are dead or have left, at random. */
  anyGone(random: Random): Peer | undefined {
    const nodeId = [...this.#gone][Math.floor(random() * this.#gone.size)];
    return nodeId === undefined ? undefined : this.peer(nodeId);
  }

  /** All that is known and not the default, as news. */
  news(): MemberNews[] {
    return [...this.#standings]
      .filter(([, { state, incarnation }]) => incarnation > 0 || isGone(state))
      .map(([nodeId, { state, incarnation }]) => ({ nodeId, state, incarnation, accuser: '' }));
  }

  #replace(nodeId: string, next: Standing | undefined): void {
    const before = this.#standings.get(nodeId);
    if (before !== undefined) {
      this.#checksum = (this.#checksum - standingHash(nodeId, before.incarnation, before.state)) >>> 0;
      this.#gone.delete(nodeId);
      this.#standings.delete(nodeId);
    }
    if (next === undefined) return;
    this.#checksum = (this.#checksum + standingHash(nodeId, next.incarnation, next.state)) >>> 0;
    if (isGone(next.state)) this.#gone.add(nodeId);
    this.#standings.set(nodeId, next);
  }
}

export function isGone(state: MemberState): boolean {
  return state === 'dead' || state === 'left';
}

const RANK: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 };

/**
 * Order of statements (SWIM 4.2): a greater incarnation counts more; at equal incarnation the worse statement. What is
 * final is final for its incarnation: only a greater one, which the member alone can give itself, brings it back.
 */
export function supersedes(news: Pick<MemberNews, 'state' | 'incarnation'>, known: Standing): boolean {
  if (news.incarnation !== known.incarnation) return news.incarnation > known.incarnation;
  return RANK[news.state] > RANK[known.state];
}

function standingHash(nodeId: string, incarnation: number, state: MemberState): number {
  if (incarnation === 0 && !isGone(state)) return 0;
  return textHash(`${nodeId} ${incarnation} ${isGone(state) ? state : 'alive'}`);
}
