import { fc, it as property } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { Update } from '../../../../../worker/gossip/core/message.ts';
import { OwnerView, sameDigest } from '../../../../../worker/gossip/core/owner-view.ts';
import { packUpdates } from '../../../../../worker/gossip/core/packing.ts';

/** An owner that published e0 … e(n-1) at sequences 1 … n and is settled. */
function owner(count: number): OwnerView {
  const view = new OwnerView('o');
  view.incarnation = 5;
  for (let n = 0; n < count; n++) publish(view, `e${n}`, `10.0.0.${n}`);
  view.settle();
  return view;
}

function publish(view: OwnerView, endpointId: string, address: string): void {
  const endpoint = { networkId: 'n', endpointId, address, mac: 'm', vtep: 'v', vni: 1, names: ['c'], services: [] };
  view.append({ networkId: 'n', endpointId, endpoint }, 0, view.coveredTo > 0);
}

function withdraw(view: OwnerView, endpointId: string): void {
  view.append({ networkId: 'n', endpointId }, 0, true);
}

const served = (view: OwnerView): string[] => Array.from(view.endpoints(), (it) => it.endpointId).toSorted();
const give = (view: OwnerView, updates: readonly Update[]): void => {
  for (const update of updates) view.apply(update, 0);
};

describe('OwnerView', () => {
  it('is equal after a snapshot', () => {
    const from = owner(3);
    const view = new OwnerView('o');
    give(view, from.contentFor(view.digest()));
    expect(sameDigest(view.digest(), from.digest())).toBe(true);
    expect(from.contentFor(view.digest())).toEqual([]);
  });

  it('does not bring back what was withdrawn when an old packet comes late, even after the tombstone is gone', () => {
    const from = owner(1);
    const old = from.contentFor(undefined);
    const view = new OwnerView('o');
    give(view, old);
    const covered = view.digest();
    withdraw(from, 'e0');
    give(view, from.contentFor(covered));
    view.reap(0, 1, Number.POSITIVE_INFINITY);
    give(view, old);
    expect(served(view)).toEqual([]);
  });

  it('gives a snapshot to whom a reaped tombstone is missing', () => {
    const from = owner(2);
    const view = new OwnerView('o');
    give(view, from.contentFor(undefined));
    withdraw(from, 'e0');
    from.reap(0, 1, Number.POSITIVE_INFINITY);
    give(view, from.contentFor(view.digest()));
    expect(served(view)).toEqual(['e1']);
    expect(sameDigest(view.digest(), from.digest())).toBe(true);
  });

  it('keeps tombstones that not everyone has', () => {
    const from = owner(1);
    withdraw(from, 'e0');
    from.reap(0, 1, 2);
    expect(from.contentFor({ ...from.digest(), coveredTo: 2 })[0]?.snapshot).toBe(false);
  });

  it('serves the earlier life until the new one has told everything', () => {
    const view = new OwnerView('o');
    give(view, owner(3).contentFor(undefined));
    const next = new OwnerView('o');
    next.incarnation = 6;
    publish(next, 'e1', '10.0.0.99');
    give(view, next.contentFor(undefined));
    expect(served(view)).toEqual(['e0', 'e1', 'e2']);
    next.settle();
    give(view, next.contentFor(view.digest()));
    expect(served(view)).toEqual(['e1']);
  });

  it('ends an earlier life that is never confirmed', () => {
    const view = new OwnerView('o');
    give(view, owner(1).contentFor(undefined));
    const next = new OwnerView('o');
    next.incarnation = 6;
    give(view, next.contentFor(undefined));
    expect(served(view)).toEqual(['e0']);
    expect([...view.reap(30_000, 0, 0)]).toEqual(['n']);
    expect(served(view)).toEqual([]);
  });

  it('ignores an earlier incarnation', () => {
    const view = new OwnerView('o');
    view.incarnation = 9;
    expect(view.apply({ ...(owner(1).contentFor(undefined)[0] as Update) }, 0).advanced).toBe(false);
  });

  property.prop([
    fc.array(fc.record({ id: fc.integer({ min: 0, max: 5 }), gone: fc.boolean() }), { minLength: 1, maxLength: 40 }),
    fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 60 }),
  ])('any order, loss and repetition of pieces followed by one exchange gives the truth', (steps, order) => {
    const from = owner(0);
    const view = new OwnerView('o');
    const pieces: Update[] = [];
    for (const { id, gone } of steps) {
      const before = from.digest();
      if (gone) withdraw(from, `e${id}`);
      else publish(from, `e${id}`, `10.0.0.${pieces.length % 250}`);
      pieces.push(...packUpdates(from.contentFor(before)).flat(), ...from.contentFor(undefined));
    }
    for (const at of order) give(view, [pieces[at % pieces.length] as Update]);
    give(view, from.contentFor(view.digest()));
    expect(served(view)).toEqual(served(from));
    expect(sameDigest(view.digest(), from.digest())).toBe(true);
  });

  property.prop([fc.integer({ min: 1, max: 400 })], { numRuns: 30 })(
    'pieces of a long delta add up to the whole',
    (count) => {
      const from = owner(1);
      const view = new OwnerView('o');
      give(view, from.contentFor(undefined));
      for (let n = 0; n < count; n++) publish(from, `long-endpoint-name-${n}`, '10.0.0.1');
      for (const group of packUpdates(from.contentFor(view.digest()))) give(view, group);
      expect(sameDigest(view.digest(), from.digest())).toBe(true);
    },
  );
});
