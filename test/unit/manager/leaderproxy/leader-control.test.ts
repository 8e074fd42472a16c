import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlApi } from '../../../../manager/controlapi/control-api.ts';
import { ControlStream } from '../../../../manager/leaderproxy/control-stream.ts';
import { LeaderControl } from '../../../../manager/leaderproxy/leader-control.ts';
import { ManagerConnection } from '../../../../proto/rpc/manager-connection.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { type LoopbackManager, startLoopbackManager } from '../../../fixtures/loopback-manager.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';

describe('LeaderControl', () => {
  let manager: LoopbackManager;
  let leader: LeaderControl;
  let address: string | undefined;
  let served: ControlApi | undefined;
  let marks: unknown[];
  beforeEach(async () => {
    marks = [];
    served = {
      getNode: ({ ref }: { ref: string }) => Promise.resolve({ ID: ref, Spec: { Name: 'é' } }),
      removeNode: () =>
        Promise.reject(new WaggleError('failed-precondition', 'node x is not down and can’t be removed')),
      secret: () => Promise.resolve('not an operation'),
    } as unknown as ControlApi;
    manager = await startLoopbackManager({ control: () => served, onMark: (mark) => marks.push(mark) });
    ({ address } = manager);
    leader = new LeaderControl({ source: manager.identity, leader: () => address, clock: systemClock });
    await leader.start();
  });
  afterEach(async () => {
    await leader.stop();
    await manager.stop();
  });

  it('passes arguments and results', async () => {
    expect(await leader.run('getNode', { ref: 'self' })).toEqual({ ID: 'self', Spec: { Name: 'é' } });
  });

  it.each([
    { id: 'none', mark: undefined },
    { id: 'a first attempt', mark: { request: 'r', isRepeat: false, term: 7 } },
    { id: 'a repetition', mark: { request: 'r', isRepeat: true, term: 2 ** 40 } },
  ])('passes the name of a request: $id', async ({ mark }) => {
    await leader.run('getNode', { ref: 'self' }, mark);
    expect(marks).toEqual([mark]);
  });

  it('goes on after the certificate was renewed, and leaves nothing behind when it stops', async () => {
    const clock = new VirtualClock();
    let renewed = (): void => undefined;
    const onChange = (listener: () => void): (() => void) => {
      renewed = listener;
      return () => undefined;
    };
    const source = { tls: () => manager.identity.tls(), onChange };
    const control = new LeaderControl({ source, leader: () => address, clock });
    await control.start();
    await control.run('getNode', { ref: 'a' });
    renewed();
    expect(await control.run('getNode', { ref: 'b' })).toMatchObject({ ID: 'b' });
    await control.stop();
    expect(clock.next()).toBeUndefined();
  });

  it('passes errors with code and words', async () => {
    await expect(leader.run('removeNode', { ref: 'x', force: false })).rejects.toMatchObject({
      code: 'failed-precondition',
      message: 'node x is not down and can’t be removed',
    });
  });

  it.each([
    { id: 'no leader known', make: () => (address = undefined), code: 'unknown', message: 'does not have a leader' },
    { id: 'it does not lead', make: () => (served = undefined), code: 'unavailable', message: 'does not lead' },
    { id: 'nobody there', make: () => (address = '127.0.0.1:1'), code: 'unavailable', message: 'ECONNREFUSED' },
  ])('fails when $id', async ({ make, code, message }) => {
    make();
    await expect(leader.run('getNode', { ref: 'x' })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });

  it('carries what is longer than a message, and many at a time', async () => {
    const long = 'ü'.repeat(3 * 1024 * 1024);
    const refs = [long, ...Array.from({ length: 200 }, (_, index) => `n${index}`)];
    const answers = await Promise.all(refs.map((ref) => leader.run('getNode', { ref })));
    expect((answers as { ID: string }[]).map(({ ID }) => ID === long || ID)).toEqual([true, ...refs.slice(1)]);
  });

  it('fails what is under way when the leader goes away, and asks the next one anew', async () => {
    const waits = Promise.withResolvers<never>();
    served = { ...served, listTasks: () => waits.promise } as unknown as ControlApi;
    const answer = leader.run('listTasks', { filters: {} }).catch((error: unknown) => error);
    await leader.run('getNode', { ref: 'x' });
    await manager.server.stop();
    expect(await answer).toMatchObject({ code: 'unavailable' });
    await manager.server.start();
    address = `127.0.0.1:${manager.server.port}`;
    expect(await leader.run('getNode', { ref: 'y' })).toMatchObject({ ID: 'y' });
  });

  it.each([
    { id: 'unknown', name: 'secret', json: '{}', code: 'unimplemented' },
    { id: 'inherited', name: 'constructor', json: '{}', code: 'unimplemented' },
    { id: 'no JSON', name: 'getNode', json: '{', code: 'invalid-argument' },
    { id: 'no object', name: 'getNode', json: '3', code: 'invalid-argument' },
  ])('refuses what is $id', async ({ name, json, code }) => {
    const stream = streamTo(manager);
    await expect(stream.ask(name, Buffer.from(json))).rejects.toMatchObject({ code });
    stream.close();
  });

  it('ends the stream of a caller whose arguments never end', async () => {
    const stream = streamTo(manager);
    await expect(stream.ask('getNode', Buffer.alloc(9 * 1024 * 1024))).rejects.toMatchObject({
      code: 'resource-exhausted',
    });
  });
});

function streamTo(manager: LoopbackManager): ControlStream {
  const connection = new ManagerConnection(manager.address, manager.identity.tls());
  return new ControlStream({ timeoutMs: 5000 }, { connection, clock: systemClock, onEnd: () => connection.close() });
}
