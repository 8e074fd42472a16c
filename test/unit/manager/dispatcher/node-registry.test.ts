import { fc, test } from '@fast-check/vitest';
import { beforeEach, describe, expect, it } from 'vitest';
import { NodeRegistry, ORPHAN_AFTER_MS, type RegistryEffect } from '../../../../manager/dispatcher/node-registry.ts';

describe('NodeRegistry', () => {
  let registry: NodeRegistry;
  beforeEach(() => {
    registry = new NodeRegistry({ periodMs: 5000 });
  });
  const down = (nodeId: string, message = 'heartbeat failure'): RegistryEffect => ({ kind: 'down', nodeId, message });

  it.each([
    { id: 'lowest', random: 0, period: 4500 },
    { id: 'middle', random: 0.5, period: 5000 },
    { id: 'highest', random: 0.9999999, period: 5500 },
  ])('asks for a heartbeat every 5 s, give or take a tenth: $id', ({ random, period }) => {
    registry.register('n', 's', 0);
    expect(registry.heartbeat('n', 's', 0, random)).toBe(period);
    expect(registry.nextAt()).toBe(period * 3);
    expect(registry.tick(period * 3 - 1)).toEqual([]);
    expect(registry.tick(period * 3)).toEqual([down('n')]);
  });

  it('follows a new period with the next heartbeat', () => {
    registry.register('n', 's', 0);
    registry.setPeriod(1000);
    expect(registry.heartbeat('n', 's', 0, 0.5)).toBe(1000);
    expect(registry.tick(3000)).toEqual([down('n')]);
  });

  it('lets only the newest session of a node speak', () => {
    registry.register('n', 's1', 0);
    registry.register('n', 's2', 10);
    expect(registry.heartbeat('n', 's1', 20, 0.5)).toBeUndefined();
    expect(registry.isCurrent('n', 's1')).toBe(false);
    expect(registry.heartbeat('n', 's2', 20, 0.5)).toBe(5000);
    expect(registry.heartbeat('x', 's2', 20, 0.5)).toBeUndefined();
  });

  it('refuses heartbeats of a session that has run out', () => {
    registry.register('n', 's', 0);
    registry.tick(15_000);
    expect(registry.heartbeat('n', 's', 15_001, 0.5)).toBeUndefined();
  });

  it('gives nodes twice the grace after a change of the leader', () => {
    registry.expect('n', false, 0);
    expect(registry.tick(29_999)).toEqual([]);
    expect(registry.tick(30_000)).toEqual([down('n', 'heartbeat failure for node in "unknown" state')]);
  });

  it('says what is due until it is settled, unless the node is back', () => {
    registry.register('n', 's', 0);
    const [first] = registry.tick(15_000);
    expect(registry.tick(16_000)).toEqual([first]);
    registry.register('n', 's2', 17_000);
    expect(first !== undefined && registry.isDue(first)).toBe(false);
    expect(registry.tick(18_000)).toEqual([]);
    const [second] = registry.tick(40_000);
    if (second !== undefined) registry.settled(second);
    expect(registry.tick(41_000)).toEqual([]);
  });

  it('gives up the tasks of a node that is down for 24 h, once', () => {
    registry.expect('n', true, 1000);
    expect(registry.nextAt()).toBe(1000 + ORPHAN_AFTER_MS);
    expect(registry.tick(999 + ORPHAN_AFTER_MS)).toEqual([]);
    const [effect] = registry.tick(1000 + ORPHAN_AFTER_MS);
    expect(effect).toEqual({ kind: 'orphan', nodeId: 'n' });
    if (effect !== undefined) registry.settled(effect);
    expect(registry.tick(1e12)).toEqual([]);
    expect(registry.nextAt()).toBeUndefined();
  });

  it('does not orphan before it has written that the node is down', () => {
    registry.register('n', 's', 0);
    registry.tick(15_000);
    expect(registry.tick(15_000 + ORPHAN_AFTER_MS)).toEqual([down('n')]);
  });

  it('forgets a removed node', () => {
    registry.register('n', 's', 0);
    registry.forget('n');
    expect(registry.tick(1e9)).toEqual([]);
    expect(registry.nextAt()).toBeUndefined();
  });

  const event = fc.record({
    afterMs: fc.integer({ min: 0, max: 20_000 }),
    kind: fc.constantFrom('register', 'heartbeat', 'settle', 'nothing'),
    node: fc.constantFrom('a', 'b'),
  });
  test.prop([fc.array(event, { maxLength: 40 })])(
    'a node is down exactly when it was silent for the grace',
    (events) => {
      const model = new Map<string, number>();
      let now = 0;
      for (const { afterMs, kind, node } of events) {
        now += afterMs;
        const effects = registry.tick(now);
        for (const name of ['a', 'b']) {
          const alive = (model.get(name) ?? -1) > now;
          if (!alive) model.delete(name);
          expect(registry.isCurrent(name, 's')).toBe(alive);
        }
        if (kind === 'register') registry.register(node, 's', now);
        if (kind === 'heartbeat')
          expect(registry.heartbeat(node, 's', now, 0.5)).toBe(model.has(node) ? 5000 : undefined);
        if (kind === 'register' || (kind === 'heartbeat' && model.has(node))) model.set(node, now + 15_000);
        if (kind === 'settle') for (const effect of effects) registry.settled(effect);
      }
      for (const name of ['a', 'b']) registry.forget(name);
    },
  );
});
