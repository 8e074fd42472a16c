import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ControlApi } from '../../../../manager/controlapi/control-api.ts';
import { LeaderControl } from '../../../../manager/leaderproxy/leader-control.ts';
import { ManagerConnection } from '../../../../proto/rpc/manager-connection.ts';
import { callUnary } from '../../../../proto/rpc/unary.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { type LoopbackManager, startLoopbackManager } from '../../../fixtures/loopback-manager.ts';

describe('LeaderControl', () => {
  let manager: LoopbackManager;
  let leader: LeaderControl;
  let address: string | undefined;
  let served: ControlApi | undefined;
  beforeEach(async () => {
    served = {
      getNode: ({ ref }: { ref: string }) => Promise.resolve({ ID: ref, Spec: { Name: 'é' } }),
      removeNode: () =>
        Promise.reject(new WaggleError('failed-precondition', 'node x is not down and can’t be removed')),
      secret: () => Promise.resolve('not an operation'),
    } as unknown as ControlApi;
    manager = await startLoopbackManager({ control: () => served });
    ({ address } = manager);
    leader = new LeaderControl({ source: manager.identity, leader: () => address, clock: systemClock });
    await leader.start();
  });
  afterEach(async () => {
    await leader.stop();
    await manager.stop();
  });

  it('passes arguments and results', async () => {
    expect(await leader.api.getNode({ ref: 'self' })).toEqual({ ID: 'self', Spec: { Name: 'é' } });
  });

  it('passes errors with code and words', async () => {
    await expect(leader.api.removeNode({ ref: 'x', force: false })).rejects.toMatchObject({
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
    await expect(leader.api.getNode({ ref: 'x' })).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message) as string,
    });
  });

  it.each([
    { id: 'unknown', operation: 'secret', json: '{}', code: 'unimplemented' },
    { id: 'inherited', operation: 'constructor', json: '{}', code: 'unimplemented' },
    { id: 'no JSON', operation: 'getNode', json: '{', code: 'invalid-argument' },
    { id: 'no object', operation: 'getNode', json: '3', code: 'invalid-argument' },
  ])('refuses what is $id', async ({ operation, json, code }) => {
    const connection = new ManagerConnection(manager.address, manager.identity.tls());
    const request = { operation, argumentsJson: Buffer.from(json) };
    const options = { clock: systemClock, timeoutMs: 2000 };
    const answer = callUnary(connection.control, connection.control.invoke, request, options);
    await expect(answer).rejects.toMatchObject({ code });
    connection.close();
  });
});
