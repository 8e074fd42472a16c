import { afterEach, describe, expect, it } from 'vitest';
import { initCluster, newGossipKey, storeNewCluster } from '../../../../manager/ca/init-cluster.ts';
import { sharedFacts } from '../../../../manager/dispatcher/session-message.ts';
import { KeyManager, rotateKeys, ROTATION_INTERVAL_MS } from '../../../../manager/keymanager/key-manager.ts';
import { memoryStore } from '../../../../manager/store/memory-proposer.ts';
import type { Store } from '../../../../manager/store/transaction.ts';
import type { ClusterKey } from '../../../../proto/objects/cluster.ts';
import { type Clock, rfc3339 } from '../../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { KeyRing } from '../../../../worker/gossip/transport/key-ring.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { SeededRandom } from '../../../sim/raft/seeded-random.ts';

const HOUR_MS = 3_600_000;

const key = (tag: number, madeAt: number): ClusterKey => ({
  Subsystem: 'networking:gossip',
  Tag: tag,
  Key: `key ${tag}`,
  CreatedAt: rfc3339(madeAt),
});

describe('rotateKeys', () => {
  it.each([
    { id: 'none', keys: [], now: 5, tags: [1] },
    { id: 'one that is due', keys: [key(1, 0)], now: ROTATION_INTERVAL_MS, tags: [2, 1] },
    { id: 'three', keys: [key(3, 0), key(2, 0), key(1, 0)], now: ROTATION_INTERVAL_MS, tags: [4, 3, 2] },
    {
      id: 'three in another order',
      keys: [key(1, 0), key(3, 0), key(2, 0)],
      now: ROTATION_INTERVAL_MS,
      tags: [4, 3, 2],
    },
  ])('makes a new key and keeps three: $id', ({ keys, now, tags }) => {
    const rotated = rotateKeys(keys, now, key);
    expect('keys' in rotated && rotated.keys.map((one) => one.Tag)).toEqual(tags);
  });

  it.each([
    { id: 'fresh', madeAt: 1000, now: 1000, dueInMs: ROTATION_INTERVAL_MS },
    { id: 'old', madeAt: 0, now: ROTATION_INTERVAL_MS - 1, dueInMs: 1 },
  ])('waits: $id', ({ madeAt, now, dueInMs }) => {
    expect(rotateKeys([key(1, madeAt)], now, key)).toEqual({ dueInMs });
  });

  it('takes a key of a clock that is ahead for one made now', () => {
    expect(rotateKeys([key(2, 1e12), key(1, 0)], 5000, key)).toEqual({ keys: [key(2, 5000), key(1, 0)] });
  });
});

interface Swarm {
  clock: VirtualClock;
  store: Store;
  tags: () => number[];
  /** A manager that leads from now on, by its own clock. */
  lead: (clock?: Clock, through?: Store) => Promise<KeyManager>;
}

let leaders: KeyManager[] = [];

afterEach(async () => {
  await Promise.all(leaders.map((leader) => leader.stop()));
  leaders = [];
});

async function newSwarm(): Promise<Swarm> {
  const clock = new VirtualClock();
  const store = memoryStore({ clock });
  await storeNewCluster(store, await initCluster({ managerAddress: 'x:1' }, { clock }));
  return {
    clock,
    store,
    tags: () => store.view((tx) => [...tx.all('clusters')].flatMap((one) => one.Keys.map((k) => k.Tag))),
    lead: async (by = clock, through = store) => {
      const leader = new KeyManager({ store: through, clock: by, log: silentLog, newKey: newGossipKey });
      leaders.push(leader);
      await leader.start();
      await clock.advance(0);
      return leader;
    },
  };
}

/** The same moments by a clock that shows another time. */
function shifted(clock: VirtualClock, byMs: number): Clock {
  return {
    now: () => clock.now() + byMs,
    monotonic: () => clock.monotonic(),
    after: (ms, callback) => clock.after(ms, callback),
  };
}

describe('KeyManager', () => {
  it('rotates every 12 h', async () => {
    const { clock, tags, lead } = await newSwarm();
    await lead();
    await clock.advance(ROTATION_INTERVAL_MS - 1000);
    expect(tags()).toEqual([1]);
    await clock.advance(2000);
    expect(tags()).toEqual([2, 1]);
    for (let day = 0; day < 2; day++) await clock.advance(2 * ROTATION_INTERVAL_MS);
    expect(tags()).toEqual([6, 5, 4]);
  });

  it.each([1, 2, 3, 4, 5])('keeps to the hour whoever leads, and rotates once each time: seed %i', async (seed) => {
    const random = new SeededRandom(seed);
    const { clock, tags, lead } = await newSwarm();
    const began = clock.now();
    const rotations: number[] = [];
    let newest = 1;
    const note = (): void => {
      const now = tags()[0] ?? 0;
      if (now === newest) return;
      expect(now).toBe(newest + 1);
      newest = now;
      rotations.push(clock.now() - began);
    };
    /** Hours in which nobody led as the schedule came up. */
    const late = new Map<number, number>();
    for (let change = 0; change < 80; change++) {
      const leader = await lead();
      note();
      for (let steps = random.int(0, 29); steps > 0; steps--) {
        await clock.advance(HOUR_MS / 2);
        note();
      }
      await leader.stop();
      // Most often the next one leads at once; sometimes there is no leader for hours.
      const gapMs = random.chance(0.2) ? random.int(0, 19) * HOUR_MS : random.int(0, 3000);
      late.set(clock.now() - began, gapMs);
      await clock.advance(gapMs);
    }
    expect(rotations.length).toBeGreaterThan(20);
    for (const [index, at] of rotations.entries()) {
      const sinceLast = at - (rotations[index - 1] ?? 0);
      expect(sinceLast).toBeGreaterThanOrEqual(ROTATION_INTERVAL_MS);
      // It came when it was due, save where nobody led: then as soon as somebody did.
      const due = at - sinceLast + ROTATION_INTERVAL_MS;
      const gaps = [...late].filter(([from, gapMs]) => from <= due && from + gapMs > due).map(([, gapMs]) => gapMs);
      expect(at - due).toBeLessThanOrEqual(Math.max(HOUR_MS / 2, ...gaps));
    }
  });

  it('is not put off by leaders that change more often than it rotates', async () => {
    const { clock, tags, lead } = await newSwarm();
    for (let hours = 0; hours < 36; hours += 2) {
      const leader = await lead();
      await clock.advance(2 * HOUR_MS);
      await leader.stop();
    }
    expect(tags()).toEqual([4, 3, 2]);
  });

  it('rotates once when the former leader does not know yet that it is one', async () => {
    const { clock, tags, lead } = await newSwarm();
    await lead();
    await lead();
    await clock.advance(ROTATION_INTERVAL_MS + 1000);
    expect(tags()).toEqual([2, 1]);
  });

  it.each([
    { id: 'ahead by a minute', aheadMs: 60_000 },
    { id: 'ahead by years', aheadMs: 1e11 },
    { id: 'behind by a minute', aheadMs: -60_000 },
    { id: 'behind by years', aheadMs: -1e11 },
  ])('goes on after a leader whose clock was $id', async ({ aheadMs }) => {
    const { clock, tags, lead } = await newSwarm();
    const wrong = await lead(shifted(clock, aheadMs));
    await clock.advance(ROTATION_INTERVAL_MS + 120_000);
    await wrong.stop();
    const before = tags()[0] ?? 0;
    expect(before).toBeGreaterThanOrEqual(2);
    await lead();
    for (let hours = 0; hours < 36; hours++) await clock.advance(HOUR_MS);
    // Three intervals: the first may have been cut short, and each key lived for the time of one at most.
    expect((tags()[0] ?? 0) - before).toBeGreaterThanOrEqual(2);
    expect((tags()[0] ?? 0) - before).toBeLessThanOrEqual(4);
  });

  it('tries again when the state cannot be written, and rotates once', async () => {
    const { clock, store, tags, lead } = await newSwarm();
    let failures = 3;
    const flaky: Store = {
      view: (read) => store.view(read),
      watch: (tables) => store.watch(tables),
      viewAndWatch: (read, tables) => store.viewAndWatch(read, tables),
      update: (write, options) =>
        failures-- > 0 ? Promise.reject(new WaggleError('unavailable', 'no leader')) : store.update(write, options),
    };
    await lead(clock, flaky);
    await clock.advance(ROTATION_INTERVAL_MS + 10_000);
    expect(failures).toBeLessThan(0);
    expect(tags()).toEqual([2, 1]);
  });
});

/** A node's keys are what its manager last told it (sharedFacts), by a session and not by gossip. */
class Node {
  readonly ring = new KeyRing();
  told = -1;
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  hear(): void {
    const keys = this.#store.view((tx) => sharedFacts(tx).keys ?? []);
    this.told = Math.max(...keys.map(({ tag }) => tag ?? 0));
    this.ring.set(keys.map(({ tag, key: bytes }) => ({ tag: tag ?? 0, key: Buffer.from(bytes ?? []) })));
  }

  hears(other: Node): boolean {
    const sealed = other.ring.seal(Buffer.from('hello'));
    return sealed !== undefined && this.ring.open(sealed)?.toString() === 'hello';
  }
}

describe('the keys of nodes', () => {
  it.each([1, 2, 3, 4])('fit each other while nobody is a whole rotation behind: seed %i', async (seed) => {
    const random = new SeededRandom(seed);
    const { clock, store, tags, lead } = await newSwarm();
    let leader = await lead();
    const nodes = Array.from({ length: 5 }, () => new Node(store));
    for (const node of nodes) node.hear();
    for (let hours = 0; hours < 24 * 7; hours++) {
      await clock.advance(HOUR_MS);
      if (random.chance(0.1)) {
        await leader.stop();
        leader = await lead();
      }
      const newest = tags()[0] ?? 0;
      for (const node of nodes) if (random.chance(0.15) || newest - node.told > 1) node.hear();
      for (const a of nodes) for (const b of nodes) expect(a.hears(b), `${a.told} ${b.told}`).toBe(true);
    }
    expect(tags()[0]).toBeGreaterThanOrEqual(14);
  });

  it.each([
    { rotations: 1, understood: true },
    { rotations: 2, understood: false },
    { rotations: 3, understood: false },
    { rotations: 10, understood: false },
  ])(
    'fit again once a node that was away for $rotations rotations has a session',
    async ({ rotations, understood }) => {
      const { clock, store, tags, lead } = await newSwarm();
      await lead();
      // Three keys are there, as in every swarm that is a day old.
      await clock.advance(2 * ROTATION_INTERVAL_MS + 1000);
      const [here, away] = [new Node(store), new Node(store)];
      away.hear();
      for (let each = 0; each < rotations; each++) await clock.advance(ROTATION_INTERVAL_MS);
      here.hear();
      expect(here.told - away.told).toBe(rotations);
      expect(here.hears(away) || away.hears(here)).toBe(understood);
      away.hear();
      expect([here.hears(away), away.hears(here), away.told]).toEqual([true, true, tags()[0]]);
    },
  );

  it('go through three phases: opens only, seals, opens only, gone', async () => {
    const { clock, store, tags, lead } = await newSwarm();
    await lead();
    await clock.advance(2 * ROTATION_INTERVAL_MS + 1000);
    const node = new Node(store);
    const phases: string[] = [];
    const tag = (tags()[0] ?? 0) + 1;
    for (let each = 0; each < 4; each++) {
      await clock.advance(ROTATION_INTERVAL_MS);
      node.hear();
      const sealedWith = node.ring.seal(Buffer.from('x'))?.readUInt32BE(1);
      phases.push(sealedWith === tag ? 'seals' : tags().includes(tag) ? 'opens' : 'gone');
    }
    expect(phases).toEqual(['opens', 'seals', 'opens', 'gone']);
  });
});
