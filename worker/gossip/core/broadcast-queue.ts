import type { MemberNews } from './swim-message.ts';
import { newsSizeBytes } from './swim-message.ts';

/**
 * News waiting to be passed on (SWIM 4.1): what was sent least goes first, each piece as often as the limit says. Of each member
 * there is one piece, the newest, but for a suspicion, of which there is one for each accuser; so it is bounded by the members.
 */
export class BroadcastQueue {
  /** By number of times sent. */
  readonly #tiers: Set<MemberNews>[] = [];
  readonly #byMember = new Map<string, MemberNews[]>();

  /** True while something has not been sent even once. */
  get hasFresh(): boolean {
    return (this.#tiers[0]?.size ?? 0) > 0;
  }

  get empty(): boolean {
    return this.#byMember.size === 0;
  }

  /** Replaces what was to be said of the same member. */
  put(news: MemberNews): void {
    this.drop(news.nodeId);
    this.add(news);
  }

  /** Beside what is to be said of the same member: one more who accuses it. */
  add(news: MemberNews): void {
    const beside = this.#byMember.get(news.nodeId);
    if (beside === undefined) this.#byMember.set(news.nodeId, [news]);
    else beside.push(news);
    this.#tier(0).add(news);
  }

  drop(nodeId: string): void {
    const dropped = this.#byMember.get(nodeId);
    if (dropped === undefined) return;
    this.#byMember.delete(nodeId);
    for (const tier of this.#tiers) for (const news of dropped) tier.delete(news);
  }

  /** What fits, counted as sent `times` more; what was sent `limit` times is forgotten. */
  take(roomBytes: number, times: number, limit: number): MemberNews[] {
    const taken: MemberNews[] = [];
    if (this.empty) return taken;
    const moves: { news: MemberNews; to: number }[] = [];
    let room = roomBytes;
    for (const [sent, tier] of this.#tiers.entries()) {
      for (const news of tier) {
        const size = newsSizeBytes(news);
        if (size > room) continue;
        room -= size;
        taken.push(news);
        tier.delete(news);
        moves.push({ news, to: sent + times });
        if (room < 40) break;
      }
      if (room < 40) break;
    }
    for (const { news, to } of moves) {
      if (to < limit) this.#tier(to).add(news);
      else this.#forget(news);
    }
    return taken;
  }

  #forget(news: MemberNews): void {
    const rest = this.#byMember.get(news.nodeId)?.filter((other) => other !== news) ?? [];
    if (rest.length === 0) this.#byMember.delete(news.nodeId);
    else this.#byMember.set(news.nodeId, rest);
  }

  #tier(sent: number): Set<MemberNews> {
    while (this.#tiers.length <= sent) this.#tiers.push(new Set());
    return this.#tiers[sent] as Set<MemberNews>;
  }
}
