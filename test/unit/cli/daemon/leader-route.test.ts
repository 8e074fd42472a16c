import { describe, expect, it } from 'vitest';
import { routeToLeader } from '../../../../cli/daemon/leader-route.ts';
import type { OperationRunner, RequestMark } from '../../../../manager/leaderproxy/leader-operations.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

type Kind = 'self' | 'other' | 'none';

/** A manager whose leader the test sets, and whose two APIs answer as the test says. */
class Bench {
  readonly clock = new VirtualClock();
  readonly listeners = new Set<() => void>();
  readonly calls: string[] = [];
  readonly marks: (RequestMark | undefined)[] = [];
  kind: Kind = 'none';
  epoch = '1/0';
  answer: (where: string, operation: string) => Promise<unknown> = (where) => Promise.resolve(where);

  readonly api = routeToLeader({
    leader: () => ({ kind: this.kind, term: Number(this.epoch.split('/')[0]), epoch: this.epoch }),
    onLeaderChange: (listener) => {
      this.listeners.add(listener);
      return () => this.listeners.delete(listener);
    },
    local: this.#runner('local'),
    remote: this.#runner('remote'),
    clock: this.clock,
  });

  lead(kind: Kind, epoch: string): void {
    this.kind = kind;
    this.epoch = epoch;
    for (const listener of this.listeners) listener();
  }

  #runner(where: string): OperationRunner {
    return {
      run: (operation, _args, mark) => {
        this.calls.push(`${where}.${operation}`);
        this.marks.push(mark);
        return this.answer(where, operation);
      },
    };
  }
}

const notLeading = (): Promise<never> =>
  Promise.reject(new WaggleError('unavailable', 'this manager does not lead the swarm'));

describe('routeToLeader', () => {
  it('answers here, while this manager leads; changes have a name of their own', async () => {
    const bench = new Bench();
    bench.lead('self', '1/1');
    await bench.api.listNodes({ filters: {} });
    await bench.api.removeService({ ref: 'web' });
    expect(bench.calls).toEqual(['local.listNodes', 'local.removeService']);
    expect(bench.marks).toEqual([
      undefined,
      { request: expect.stringMatching(/^[0-9a-z]{25}$/) as string, isRepeat: false, term: 1 },
    ]);
    expect(bench.listeners.size).toBe(0);
  });

  it('waits out an election', async () => {
    const bench = new Bench();
    const listed = bench.api.listNodes({ filters: {} });
    await bench.clock.advance(1500);
    bench.lead('other', '2/7');
    await bench.clock.advance(100);
    expect(await listed).toBe('remote');
  });

  it('gives up without a leader, in the words of Docker', async () => {
    const bench = new Bench();
    const listed = expect(bench.api.listNodes({ filters: {} })).rejects.toThrow('The swarm does not have a leader.');
    await bench.clock.advance(9000);
    await listed;
  });

  it('asks again whoever did nothing because he does not lead any more, changes too', async () => {
    const bench = new Bench();
    bench.lead('other', '1/7');
    bench.answer = (where) => (where === 'remote' ? notLeading() : Promise.resolve(where));
    const removed = bench.api.removeService({ ref: 'web' });
    await bench.clock.advance(50);
    bench.lead('self', '2/1');
    await bench.clock.advance(50);
    expect(await removed).toBe('local');
  });

  it('asks a read again when the leader freezes and another one is elected', async () => {
    const bench = new Bench();
    bench.lead('other', '1/7');
    bench.answer = (where) => (where === 'remote' ? new Promise(() => undefined) : Promise.resolve(where));
    const listed = bench.api.listNodes({ filters: {} });
    await bench.clock.advance(1000);
    bench.lead('none', '1/0');
    bench.lead('self', '2/1');
    await bench.clock.advance(50);
    expect(await listed).toBe('local');
  });

  it.each([
    { id: 'nobody answers until another one is elected', make: () => new Promise(() => undefined) },
    { id: 'the connection breaks', make: () => Promise.reject(new WaggleError('unavailable', 'read ECONNRESET')) },
  ])('asks a change again under its name when $id', async ({ make }) => {
    const bench = new Bench();
    bench.lead('other', '1/7');
    bench.answer = (where) => (where === 'remote' ? make() : Promise.resolve(where));
    const removed = bench.api.removeService({ ref: 'web' });
    await bench.clock.advance(10);
    bench.lead('self', '2/1');
    await bench.clock.advance(50);
    expect(await removed).toBe('local');
    const [first] = bench.marks;
    expect(bench.marks).toEqual([first, { ...first, isRepeat: true, term: 2 }]);
  });

  it('says that the outcome of a change is unknown when nobody tells in time', async () => {
    const bench = new Bench();
    bench.lead('other', '1/7');
    bench.answer = () => Promise.reject(new WaggleError('unavailable', 'read ECONNRESET'));
    const removed = expect(bench.api.removeService({ ref: 'web' })).rejects.toThrow('may or may not');
    await bench.clock.advance(10);
    bench.lead('none', '1/0');
    await bench.clock.advance(9000);
    await removed;
  });

  it('passes refusals on at once', async () => {
    const bench = new Bench();
    bench.lead('self', '1/1');
    bench.answer = () => Promise.reject(new WaggleError('not-found', 'service web not found'));
    await expect(bench.api.getService({ ref: 'web', insertDefaults: false })).rejects.toThrow('service web not found');
  });
});
