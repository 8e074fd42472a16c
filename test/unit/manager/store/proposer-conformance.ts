import { describe, expect, test } from 'vitest';
import {
  MAX_PROPOSAL_BYTES,
  type Proposer,
  type StateMachine,
  type Store,
} from '../../../../manager/store/transaction.ts';
import { newService } from './objects.ts';

export interface ProposerFixture {
  store: Store & StateMachine;
  proposer: Proposer;
  stop(): Promise<void>;
}

/** What every Proposer with a StateStore behind it must do. `start` gives one that accepts proposals. */
export function proposerConformance(name: string, start: () => Promise<ProposerFixture>): void {
  const within = (run: (fixture: ProposerFixture) => Promise<void>) => async () => {
    const fixture = await start();
    try {
      await run(fixture);
    } finally {
      await fixture.stop();
    }
  };

  describe(`${name}: proposer conformance`, () => {
    test(
      'a resolved update is applied here, and not before it resolves',
      within(async ({ store }) => {
        const pending = store.update((tx) => tx.create('services', newService('s1', 'web')));
        expect(store.view((tx) => tx.get('services', 's1'))).toBeUndefined();
        await pending;
        expect(store.view((tx) => tx.get('services', 's1')?.Spec.Name)).toBe('web');
      }),
    );

    test(
      'updates in flight keep their order and each gets its own answer',
      within(async ({ store }) => {
        const results = await Promise.allSettled(
          Array.from({ length: 50 }, (_, i) =>
            store.update((tx) => {
              tx.create('services', newService(`s${i}`, i % 10 === 9 ? 'same' : `web${i}`));
              return i;
            }),
          ),
        );
        const won = results.filter((result) => result.status === 'fulfilled');
        expect(won).toHaveLength(46);
        const versions = store.view((tx) =>
          [...tx.all('services')]
            .toSorted((a, b) => Number(a.ID.slice(1)) - Number(b.ID.slice(1)))
            .map((service) => service.Version.Index),
        );
        expect(versions).toEqual(versions.toSorted((a, b) => a - b));
        expect(new Set(versions).size).toBe(46);
      }),
    );

    test(
      'racing increments all take effect once',
      within(async ({ store }) => {
        await store.update((tx) => tx.create('services', newService('s', 'web')));
        const increment = () =>
          store.update((tx) => {
            const service = tx.get('services', 's');
            if (service !== undefined) tx.update('services', { ...service, SpecVersion: service.SpecVersion + 1 });
          });
        await Promise.all(Array.from({ length: 8 }, increment));
        expect(store.view((tx) => tx.get('services', 's')?.SpecVersion)).toBe(9);
      }),
    );

    test(
      'a refused proposal answers and the next one goes on',
      within(async ({ store }) => {
        const racers = await Promise.allSettled(
          ['a', 'b'].map((id) => store.update((tx) => tx.create('services', newService(id, 'web')))),
        );
        expect(racers.map((racer) => racer.status)).toEqual(['fulfilled', 'rejected']);
        await store.update((tx) => tx.create('services', newService('c', 'other')));
        expect(store.view((tx) => tx.count('services'))).toBe(2);
      }),
    );

    test(
      'a transaction above the limit is refused before it is proposed',
      within(async ({ store }) => {
        const huge = { Labels: { a: 'x'.repeat(MAX_PROPOSAL_BYTES) } };
        const update = store.update((tx) => tx.create('services', newService('s', 'web', huge)));
        await expect(update).rejects.toMatchObject({
          code: 'resource-exhausted',
          message: "rpc error: code = Unknown desc = raft: raft message is too large and can't be sent",
        });
        expect(store.view((tx) => tx.count('services'))).toBe(0);
      }),
    );

    test(
      'watchers see one batch per transaction, in the order of the log',
      within(async ({ store }) => {
        const watch = store.watch(['services']);
        await Promise.all(
          [0, 1, 2].map((i) =>
            store.update((tx) => {
              tx.create('services', newService(`a${i}`, `a${i}`));
              tx.create('services', newService(`b${i}`, `b${i}`));
            }),
          ),
        );
        const seen: string[][] = [];
        for await (const batch of watch) {
          seen.push(batch.map((event) => event.after?.ID ?? ''));
          if (seen.length === 3) break;
        }
        expect(seen).toEqual([
          ['a0', 'b0'],
          ['a1', 'b1'],
          ['a2', 'b2'],
        ]);
      }),
    );
  });
}
