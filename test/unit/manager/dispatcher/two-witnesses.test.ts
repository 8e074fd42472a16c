import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import { NodeRegistry } from '../../../../manager/dispatcher/node-registry.ts';
import type { HostAnswer, WitnessState } from '../../../../manager/dispatcher/node-witness.ts';

/** What befalls node n; the others are registered and well. Times in milliseconds. */
interface Scene {
  id: string;
  /** Registered and well, beside n; gossip misses `missed` of them. */
  others?: number;
  missed?: number;
  session?: 'open' | 'answers' | 'ended' | 'none';
  gossip: WitnessState | undefined;
  host?: HostAnswer | readonly HostAnswer[];
  awareness?: number;
  /** Seconds after the suspicion at which n is down; undefined when only the grace counts. */
  downAfterMs: number | undefined;
}

const NOW = 1_000_000;
const STEP_MS = 100;

/** Runs the scene as the dispatcher would, for 8 s: less than the grace. @returns when n fell, and the message. */
function play(scene: Scene): { downAfterMs: number; message: string } | undefined {
  const { others = 2, missed = 0, session = 'open', gossip, host = 'silent', awareness = 0 } = scene;
  const registry = new NodeRegistry({ periodMs: 5000 });
  for (let index = 0; index < others; index++) registry.register(`o${index}`, 's', NOW);
  if (session === 'none') registry.expect('n', false, NOW);
  else registry.register('n', 's', NOW);
  for (let index = 0; index < missed; index++) registry.witness(`o${index}`, 'suspect', NOW);
  registry.witness('n', gossip === 'dead' ? 'suspect' : gossip, NOW);
  if (session === 'ended') registry.sessionLost('n', 's', NOW);
  let asked = 0;
  for (let now = NOW; now < NOW + 8_000; now += STEP_MS) {
    if (now === NOW + 1_200 && gossip === 'dead') registry.witness('n', 'dead', now);
    for (const { nodeId, challenge, host: isAsked } of registry.questions(now)) {
      if (challenge && (nodeId !== 'n' || session === 'answers')) registry.heartbeat(nodeId, 's', now, 0.5);
      const answers = typeof host === 'string' ? [host] : host;
      const answer = nodeId === 'n' ? answers[Math.min(asked, answers.length - 1)] : 'accepted';
      if (nodeId === 'n' && isAsked) asked++;
      if (isAsked && answer !== undefined) registry.hostAnswered(nodeId, answer, now);
    }
    const fall = registry.tick(now, awareness).find(({ nodeId }) => nodeId === 'n');
    if (fall?.kind === 'down') return { downAfterMs: now - NOW, message: fall.message };
  }
  return undefined;
}

describe('a node is down before the grace is over', () => {
  const scenes: Scene[] = [
    { id: 'both witnesses lost it, its host is silent', gossip: 'dead', downAfterMs: 1_200 },
    { id: 'both lost it, its host hangs and accepts', gossip: 'dead', host: 'accepted', downAfterMs: 1_200 },
    { id: 'gossip lost it, its session broke', gossip: 'dead', session: 'ended', downAfterMs: 1_200 },
    { id: 'gossip lost it, the new leader has no session', gossip: 'dead', session: 'none', downAfterMs: 1_200 },
    { id: 'it said farewell and its session broke', gossip: 'left', session: 'ended', downAfterMs: 500 },
    {
      id: 'it said farewell, the leader doubts itself',
      gossip: 'left',
      session: 'ended',
      awareness: 3,
      downAfterMs: 500,
    },
    { id: 'it is one of two nodes', gossip: 'dead', others: 1, downAfterMs: 1_200 },
    { id: 'half of the nodes are missed', gossip: 'dead', others: 3, missed: 1, downAfterMs: 1_200 },
    {
      id: 'first only the daemon was away',
      gossip: 'dead',
      host: ['refused', 'refused', 'silent'],
      downAfterMs: 3_000,
    },
  ];
  it.each(scenes)('$id', (scene) => {
    const fall = play(scene);
    expect(fall?.downAfterMs).toBe(scene.downAfterMs);
    expect(fall?.message).toMatch(/^node lost \(gossip: .*; session: .*\)$/);
  });
});

describe('only the grace counts', () => {
  const scenes: Scene[] = [
    { id: 'gossip sees it', gossip: 'alive', downAfterMs: undefined },
    { id: 'gossip sees it, its session broke', gossip: 'alive', session: 'ended', downAfterMs: undefined },
    { id: 'gossip does not know it', gossip: undefined, session: 'none', downAfterMs: undefined },
    { id: 'it is only suspected', gossip: 'suspect', session: 'ended', downAfterMs: undefined },
    { id: 'its session answers', gossip: 'dead', session: 'answers', downAfterMs: undefined },
    {
      id: 'its host is up without a daemon',
      gossip: 'dead',
      session: 'ended',
      host: 'refused',
      downAfterMs: undefined,
    },
    {
      id: 'one packet to a host without a daemon is lost',
      gossip: 'dead',
      session: 'ended',
      host: ['refused', 'silent', 'refused', 'refused', 'silent', 'refused'],
      downAfterMs: undefined,
    },
    {
      id: 'its daemon is starting again',
      gossip: 'dead',
      session: 'ended',
      host: ['refused', 'accepted'],
      downAfterMs: undefined,
    },
    { id: 'the leader doubts itself', gossip: 'dead', awareness: 1, downAfterMs: undefined },
    { id: 'most nodes are missed', gossip: 'dead', others: 2, missed: 1, downAfterMs: undefined },
    { id: 'all other nodes are missed', gossip: 'dead', others: 4, missed: 3, downAfterMs: undefined },
  ];
  it.each(scenes)('$id', (scene) => expect(play(scene)).toBeUndefined());

  it('a cut leader does not take one after another either', () => {
    const registry = new NodeRegistry({ periodMs: 5000 });
    const nodes = ['a', 'b', 'c', 'd', 'e'];
    for (const node of ['self', ...nodes]) registry.register(node, 's', NOW);
    const fallen = new Set<string>();
    for (let now = NOW; now < NOW + 10_000; now += STEP_MS) {
      const index = Math.floor((now - NOW) / 1_500);
      const node = nodes[index];
      if (node !== undefined && (now - NOW) % 1_500 === 0) registry.witness(node, 'dead', now);
      for (const asked of registry.questions(now)) if (asked.host) registry.hostAnswered(asked.nodeId, 'silent', now);
      for (const effect of registry.tick(now)) {
        fallen.add(effect.nodeId);
        registry.settled(effect);
      }
    }
    expect([...fallen]).toEqual(['a', 'b', 'c']);
  });

  it('says with the grace what is known', () => {
    const registry = new NodeRegistry({ periodMs: 5000 });
    registry.register('n', 's', NOW);
    registry.witness('n', 'dead', NOW + 1_000);
    registry.sessionLost('n', 's', NOW + 500);
    registry.hostAnswered('n', 'refused', NOW + 14_000);
    expect(registry.tick(NOW + 15_000)).toEqual([
      {
        kind: 'down',
        nodeId: 'n',
        message:
          'heartbeat failure (gossip: dead, suspected for 14.0 s; session: ended 14.5 s ago; host: up without a daemon)',
      },
    ]);
  });
});

describe('a fall', () => {
  function fallen(): { registry: NodeRegistry; now: number } {
    const registry = new NodeRegistry({ periodMs: 5000 });
    registry.register('n', 's', NOW);
    registry.register('o', 's', NOW);
    registry.witness('n', 'dead', NOW);
    registry.questions(NOW);
    registry.hostAnswered('n', 'silent', NOW + 900);
    expect(registry.tick(NOW + 1_000)).toHaveLength(1);
    return { registry, now: NOW + 1_000 };
  }

  it('that is not written is taken back when gossip sees the node again', () => {
    const { registry, now } = fallen();
    registry.witness('n', 'alive', now + 10);
    expect(registry.tick(now + 10)).toEqual([]);
    expect(registry.tick(now + 10 + 14_999)).toEqual([expect.objectContaining({ nodeId: 'o' })]);
    expect(registry.tick(now + 10 + 15_000)).toContainEqual({
      kind: 'down',
      nodeId: 'n',
      message: 'heartbeat failure for node in "unknown" state',
    });
  });

  it('that is written stands until the node registers', () => {
    const { registry, now } = fallen();
    for (const effect of registry.tick(now)) registry.settled(effect);
    registry.witness('n', 'alive', now + 10);
    expect(registry.tick(now + 10)).toEqual([]);
    expect(registry.heartbeat('n', 's', now + 20, 0.5)).toBeUndefined();
    registry.register('n', 's2', now + 30);
    expect(registry.isCurrent('n', 's2')).toBe(true);
  });

  it('leaves nothing to look after: a node that stays dead costs no time', () => {
    const { registry, now } = fallen();
    for (const effect of registry.tick(now)) registry.settled(effect);
    registry.tick(now + 100);
    expect(registry.questions(now + 5_000)).toEqual([]);
    expect(registry.nextAt()).toBe(NOW + 15_000);
  });
});

describe('challenges', () => {
  it('are sent with the suspicion and again each second that it lasts, and not while one is unanswered', () => {
    const registry = new NodeRegistry({ periodMs: 5000 });
    registry.register('n', 's', NOW);
    registry.witness('n', 'suspect', NOW);
    const times: number[] = [];
    for (let now = NOW; now <= NOW + 4_000; now += STEP_MS) {
      const asked = registry.questions(now).filter(({ challenge }) => challenge);
      times.push(...asked.map(() => now - NOW));
      if (asked.length > 0 && now < NOW + 2_000) registry.heartbeat('n', 's', now, 0.5);
    }
    expect(times).toEqual([0, 1_000, 2_000]);
  });

  const event = fc.record({
    afterMs: fc.integer({ min: 0, max: 1_500 }),
    node: fc.constantFrom('a', 'b', 'c'),
    kind: fc.constantFrom(
      'beat',
      'end',
      'register',
      'alive',
      'suspect',
      'dead',
      'refused',
      'accepted',
      'silent',
      'settle',
    ),
    awareness: fc.constantFrom(0, 0, 0, 2),
  });
  test.prop([fc.array(event, { maxLength: 80 })])(
    'whoever falls early was missed by gossip, has not answered for half a second, and no host of it refused last',
    (events) => {
      const registry = new NodeRegistry({ periodMs: 5000 });
      const seen = new Map<string, { heardMs: number; gossip: string; host: string }>();
      for (const node of ['self', 'a', 'b', 'c']) {
        registry.register(node, 's0', NOW);
        seen.set(node, { heardMs: NOW, gossip: 'alive', host: '' });
      }
      let now = NOW;
      let session = 0;
      const sessions = new Map(['a', 'b', 'c'].map((node) => [node, 's0']));
      for (const { afterMs, node, kind, awareness } of events) {
        now += afterMs;
        const known = seen.get(node);
        const current = sessions.get(node) ?? '';
        if (known === undefined) continue;
        registry.heartbeat('self', 's0', now, 0.5);
        if (kind === 'beat' && registry.heartbeat(node, current, now, 0.5) !== undefined) known.heardMs = now;
        if (kind === 'end') registry.sessionLost(node, current, now);
        if (kind === 'register') {
          sessions.set(node, `s${++session}`);
          registry.register(node, `s${session}`, now);
          known.heardMs = now;
        }
        if (kind === 'alive' || kind === 'suspect' || kind === 'dead') {
          registry.witness(node, kind, now);
          known.gossip = kind;
          if (kind === 'alive') known.host = '';
        }
        if (kind === 'refused' || kind === 'accepted' || kind === 'silent') {
          registry.hostAnswered(node, kind, now);
          known.host = kind;
        }
        registry.questions(now);
        const before = new Set(['a', 'b', 'c'].filter((name) => registry.isCurrent(name, sessions.get(name) ?? '')));
        for (const effect of registry.tick(now, awareness)) {
          const facts = seen.get(effect.nodeId);
          if (before.has(effect.nodeId) && effect.kind === 'down' && effect.message.startsWith('node lost')) {
            expect(facts?.gossip).toBe('dead');
            expect(facts?.host).not.toBe('refused');
            expect(now - (facts?.heardMs ?? now)).toBeGreaterThanOrEqual(500);
            expect(awareness).toBe(0);
          }
          if (kind === 'settle') registry.settled(effect);
        }
        const missed = ['a', 'b', 'c'].filter((name) => seen.get(name)?.gossip !== 'alive');
        if (missed.length > 2) continue;
        expect(registry.nextAt()).toBeDefined();
      }
    },
  );
});
