import type { ClusterKey } from '../../proto/objects/cluster.ts';
import { type Clock, rfc3339 } from '../../proto/runtime/clock.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { ControlLoop, type LoopBody } from '../store/control-loop.ts';
import type { ReadTx, Store } from '../store/transaction.ts';

/** As swarmkit's keymanager: a new key every 12 h, three kept, so that a node that was cut off still understands. */
export const ROTATION_INTERVAL_MS = 12 * 3_600_000;
const KEYS_KEPT = 3;

/** Makes a key with a tag and a time of making. */
export type KeyFactory = (tag: number, nowMs: number) => ClusterKey;

/**
 * Pure: the keys as they are to be written, newest first, or how long none is to be written. A key is as old as it says, whoever
 * leads by then. One that was made by a clock ahead of ours has no age that we know of: it is as if made now.
 */
export function rotateKeys(
  keys: readonly ClusterKey[],
  nowMs: number,
  newKey: KeyFactory,
): { keys: ClusterKey[] } | { dueInMs: number } {
  const newest = keys.toSorted((a, b) => b.Tag - a.Tag);
  const [first] = newest;
  const madeAt = first === undefined ? Number.NEGATIVE_INFINITY : Date.parse(first.CreatedAt);
  if (first !== undefined && madeAt > nowMs) {
    return { keys: [{ ...first, CreatedAt: rfc3339(nowMs) }, ...newest.slice(1)] };
  }
  if (madeAt + ROTATION_INTERVAL_MS > nowMs) return { dueInMs: madeAt + ROTATION_INTERVAL_MS - nowMs };
  return { keys: [newKey((first?.Tag ?? 0) + 1, nowMs), ...newest].slice(0, KEYS_KEPT) };
}

/** Rotates the swarm's gossip keys; runs on the leader. The dispatcher spreads them with its session messages. */
export class KeyManager implements Startable {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #newKey: KeyFactory;
  readonly #loop: ControlLoop;

  constructor(modules: { store: Store; clock: Clock; log: Log; newKey: KeyFactory }) {
    this.#store = modules.store;
    this.#clock = modules.clock;
    this.#log = modules.log;
    this.#newKey = modules.newKey;
    const body: LoopBody = {
      name: 'keymanager',
      tables: ['clusters'],
      debounceMs: 0,
      tick: () => this.#rotate(),
    };
    this.#loop = new ControlLoop(body, modules);
  }

  start(): Promise<void> {
    return this.#loop.start();
  }

  stop(): Promise<void> {
    return this.#loop.stop();
  }

  async #rotate(): Promise<number | undefined> {
    const now = this.#clock.now();
    const due = this.#store.view((tx) => dueInMs(tx, now, this.#newKey));
    if (due === undefined || due > 0) return due;
    const written = await this.#store.update((tx) => {
      for (const cluster of tx.all('clusters')) {
        const rotated = rotateKeys(cluster.Keys, now, this.#newKey);
        if (!('keys' in rotated)) return undefined;
        tx.update('clusters', { ...cluster, Keys: rotated.keys });
        const tag = rotated.keys[0]?.Tag;
        return { tag, isNew: cluster.Keys.every((key) => key.Tag !== tag) };
      }
      return undefined;
    });
    if (written?.isNew === true) this.#log.info({ tag: written.tag }, 'gossip key rotated');
    else if (written !== undefined)
      this.#log.warn({ tag: written.tag }, 'gossip key was made by a clock ahead of ours');
    return ROTATION_INTERVAL_MS;
  }
}

function dueInMs(tx: ReadTx, nowMs: number, newKey: KeyFactory): number | undefined {
  for (const cluster of tx.all('clusters')) {
    const rotated = rotateKeys(cluster.Keys, nowMs, newKey);
    return 'keys' in rotated ? 0 : rotated.dueInMs;
  }
  return undefined;
}
