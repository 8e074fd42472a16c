import type { ClusterKey } from '../../proto/objects/cluster.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import { ControlLoop, type LoopBody } from '../store/control-loop.ts';
import type { ReadTx, Store } from '../store/transaction.ts';

/** As swarmkit's keymanager: a new key every 12 h, three kept, so that a node that was cut off still understands. */
export const ROTATION_INTERVAL_MS = 12 * 3_600_000;
const KEYS_KEPT = 3;

/** Makes a key with a tag and a time of making. */
export type KeyFactory = (tag: number, nowMs: number) => ClusterKey;

/** Pure: the keys after a rotation, newest first, or how long none is due. */
export function rotateKeys(
  keys: readonly ClusterKey[],
  nowMs: number,
  newKey: KeyFactory,
): { keys: ClusterKey[] } | { dueInMs: number } {
  const newest = keys.toSorted((a, b) => b.Tag - a.Tag);
  const [first] = newest;
  const dueAt = first === undefined ? nowMs : Date.parse(first.CreatedAt) + ROTATION_INTERVAL_MS;
  if (dueAt > nowMs) return { dueInMs: Math.min(dueAt - nowMs, ROTATION_INTERVAL_MS) };
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
      onView: () => undefined,
      onEvents: () => undefined,
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
    const tag = await this.#store.update((tx) => {
      for (const cluster of tx.all('clusters')) {
        const rotated = rotateKeys(cluster.Keys, now, this.#newKey);
        if (!('keys' in rotated)) return undefined;
        tx.update('clusters', { ...cluster, Keys: rotated.keys });
        return rotated.keys[0]?.Tag;
      }
      return undefined;
    });
    if (tag !== undefined) this.#log.info({ tag }, 'gossip key rotated');
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
