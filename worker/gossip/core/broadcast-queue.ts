import type { MemberNews } from './swim-message.ts';
import { newsSizeBytes } from './swim-message.ts';

/**
 * News waiting to be passed on (SWIM 4.1): what was sent least goes first, each piece as often as the limit says. One entry per
 * member, the newest; so it is bounded by the number of members. Accusations of one suspicion travel together.
 */
export class BroadcastQueue {
  /** By number of times sent. */
  readonly #tiers: Map<string, readonly MemberNews[]>[] = [];
  #size = 0;

  /** True while something has not been sent even once. */
  get hasFresh(): boolean {
    return (this.#tiers[0]?.size ?? 0) > 0;
  }

  get empty(): boolean {
    return this.#size === 0;
  }

  /** Replaces what was to be said of the same member. */
  put(news: readonly MemberNews[]): void {
    const [first] = news;
    if (first === undefined) return;
    this.drop(first.nodeId);
    this.#tier(0).set(first.nodeId, news);
    this.#size += 1;
  }

  drop(nodeId: string): void {
    for (const tier of this.#tiers) if (tier.delete(nodeId)) this.#size -= 1;
  }

  /** What fits, counted as sent `times` more; an entry sent `limit` times is forgotten. */
  take(roomBytes: number, times: number, limit: number): MemberNews[] {
    const taken: MemberNews[] = [];
    if (this.#size === 0) return taken;
    const moves: { nodeId: string; news: readonly MemberNews[]; to: number }[] = [];
    let room = roomBytes;
    for (const [sent, tier] of this.#tiers.entries()) {
      for (const [nodeId, news] of tier) {
        const size = news.reduce((sum, each) => sum + newsSizeBytes(each), 0);
        if (size > room) continue;
        room -= size;
        taken.push(...news);
        tier.delete(nodeId);
        moves.push({ nodeId, news, to: sent + times });
        if (room < 40) break;
      }
      if (room < 40) break;
    }
    for (const { nodeId, news, to } of moves) {
      if (to < limit) this.#tier(to).set(nodeId, news);
      else this.#size -= 1;
    }
    return taken;
  }

  #tier(sent: number): Map<string, readonly MemberNews[]> {
    while (this.#tiers.length <= sent) this.#tiers.push(new Map());
    return this.#tiers[sent] as Map<string, readonly MemberNews[]>;
  }
}
