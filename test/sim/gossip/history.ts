import { GossipError } from './gossip-error.ts';
import type { Cores, HostNode } from './host-node.ts';
import { HostSwarm } from './host-swarm.ts';
import { ModelSwarm } from './model-swarm.ts';

export interface HistoryOutcome {
  /** Virtual time from the end of all trouble until all views were equal. */
  healedMs: number;
  /** Versions of endpoints that were published. */
  changes: number;
  /** Packets per node and second in the quiet at the end. */
  quietPackets: number;
}

/** What a node said in an earlier life is served for up to 30 s, and suspicions stretch with self-doubt. */
const HEAL_LIMIT_MS = 90_000;
const LAST_WORDS_LIMIT_MS = 10_000;
const QUIET_SECONDS = 2;
/** Twice what the liveliest quiet swarm of seven has been seen to say. */
const QUIET_PACKETS = 200;

/**
 * One random life of a swarm, all chance from one seed: packets lost, doubled, late and out of order; partitions and one-way cuts;
 * nodes killed, restarted (with a newer, the same or an older incarnation, and some of their endpoints gone), frozen, starved, with
 * clocks that run apart; members that the manager names late; farewells; and endpoints that come, change and go all the while.
 *
 * After it, in a network that still loses some: all who live see the same, which is the truth; the dead's records are kept and not
 * served, equally by all; what is published then is known to all soon; who dies then keeps its records, and has them when it is back;
 * and then the swarm is quiet. What must hold throughout is
 * checked by HostSwarm. @throws GossipError
 */
export function runHistory(seed: number, cores: Cores): HistoryOutcome {
  const model = new ModelSwarm<HostNode>({ seed });
  const { random, options } = model;
  const one = <T>(...from: readonly T[]): T => from[random.int(0, from.length - 1)] as T;
  options.loss = one(0, 0.05, 0.2, 0.4);
  options.duplicate = one(0, 0.1);
  options.late = one(0, 0.02);
  options.meanJitterMs = one(0.5, 5, 20);
  const shape = { count: random.int(2, 7), directPeers: one(2, 50), encoded: random.chance(0.2) };
  const swarm = new HostSwarm(model, shape, cores);
  for (let steps = random.int(5, 40); steps > 0; steps--) {
    disturb(swarm);
    model.run(random.next() * one(30, 300, 300, 3_000));
  }
  calm(swarm);
  const healedMs = heal(swarm, 'after all trouble', HEAL_LIMIT_MS, 'with the dead');
  for (const index of swarm.living()) {
    swarm.publish(index);
    swarm.withdraw(index);
  }
  heal(swarm, 'after the last words', LAST_WORDS_LIMIT_MS);
  const victim = random.pick(swarm.living());
  if (victim !== undefined && random.chance(0.3)) {
    swarm.kill(victim);
    heal(swarm, `after the death of ${victim}`, LAST_WORDS_LIMIT_MS);
    swarm.expectKept(victim);
    swarm.restart(victim, 'with all');
    heal(swarm, `after the return of ${victim}`, HEAL_LIMIT_MS);
  }
  heal(swarm, 'in the end', HEAL_LIMIT_MS, 'with the dead');
  model.takeTraffic();
  model.run(QUIET_SECONDS * 1_000);
  const quietPackets = model.takeTraffic().packets / QUIET_SECONDS / swarm.size;
  if (quietPackets > QUIET_PACKETS) throw new GossipError(`in the quiet a node sends ${quietPackets} packets a second`);
  return { healedMs, changes: swarm.changes, quietPackets };
}

function disturb(swarm: HostSwarm): void {
  const { model } = swarm;
  const { random } = model;
  const index = random.int(0, swarm.size - 1);
  switch (random.int(0, 19)) {
    case 0:
      return swarm.kill(index);
    case 1:
    case 2:
      return swarm.restart(index);
    case 3:
      return model.freeze(index);
    case 4:
      return model.thaw(index);
    case 5:
      return model.slow(index, random.chance(0.5) ? 0 : random.int(100, 3_000));
    case 6:
      for (let each = 0; each < swarm.size; each++) model.setSide(each, random.int(0, 1));
      return;
    case 7:
      return model.mend();
    case 8:
      return model.cut(index, random.int(0, swarm.size - 1));
    case 9:
      return swarm.rename(index, random.int(0, swarm.size - 1));
    case 10:
      return random.chance(0.3) ? swarm.leave(index) : undefined;
    case 11:
    case 12:
    case 13:
      return swarm.withdraw(index);
    default:
      return swarm.publish(index);
  }
}

/** Ends all trouble but a little loss. */
function calm(swarm: HostSwarm): void {
  const { model } = swarm;
  Object.assign(model.options, { loss: 0.05, duplicate: 0, late: 0 });
  model.mend();
  for (let index = 0; index < swarm.size; index++) {
    model.thaw(index);
    model.slow(index, 0);
  }
  swarm.nameAll();
}

function heal(swarm: HostSwarm, when: string, limitMs: number, extent: 'living' | 'with the dead' = 'living'): number {
  const difference = (): string | undefined => swarm.difference(extent === 'with the dead');
  const tookMs = swarm.model.runUntil(() => difference() === undefined, limitMs, 100);
  if (tookMs === undefined) throw new GossipError(`${when}: ${difference() ?? ''}`);
  return tookMs;
}
