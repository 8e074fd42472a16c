import { fc, test } from '@fast-check/vitest';
import { describe, expect, it } from 'vitest';
import type { TaskStatus } from '../../../../proto/objects/task.ts';
import { compareTaskStates, isTerminal, TASK_STATES, type TaskState } from '../../../../proto/objects/task-state.ts';
import { advance, nextStep, type Outcome } from '../../../../worker/exec/advance.ts';
import { type Controller, ExitError, TaskError } from '../../../../worker/exec/controller.ts';

const AT = '2026-01-01T00:00:00.000000000Z';
const NOW = Date.parse('2026-01-02T00:00:00Z');

function controller(overrides: Partial<Controller> = {}): Controller {
  const done = (): Promise<void> => Promise.resolve();
  return {
    update: done,
    prepare: done,
    start: done,
    wait: done,
    shutdown: done,
    remove: done,
    status: () => Promise.resolve({ ContainerStatus: { ContainerID: 'c1', PID: 5 } }),
    ...overrides,
  };
}

function run(desired: TaskState, status: TaskStatus, with_: Controller, signal?: AbortSignal): Promise<Outcome> {
  const modules = { now: () => NOW, signal: signal ?? new AbortController().signal };
  return advance({ DesiredState: desired }, status, with_, modules);
}

describe('nextStep', () => {
  it.each([
    ['running', 'assigned', 'accept'],
    ['running', 'accepted', 'begin-prepare'],
    ['running', 'preparing', 'prepare'],
    ['running', 'ready', 'begin-start'],
    ['running', 'starting', 'start'],
    ['running', 'running', 'wait'],
    ['running', 'complete', 'rest'],
    ['running', 'failed', 'rest'],
    ['ready', 'assigned', 'accept'],
    ['ready', 'preparing', 'prepare'],
    ['ready', 'ready', 'rest'],
    ['ready', 'running', 'wait'],
    ['complete', 'running', 'wait'],
    ['shutdown', 'assigned', 'shutdown'],
    ['shutdown', 'running', 'shutdown'],
    ['shutdown', 'shutdown', 'rest'],
    ['remove', 'starting', 'shutdown'],
    ['remove', 'complete', 'rest'],
  ] as const)('wanted %s, is %s: %s', (desired, observed, step) => {
    expect(nextStep(desired, observed)).toBe(step);
  });

  test.prop([fc.constantFrom(...TASK_STATES), fc.constantFrom(...TASK_STATES.slice(2))])(
    'ends for every desired state, and never goes back',
    async (desired, from) => {
      let status: TaskStatus = { State: from, Timestamp: AT };
      let steps = 0;
      for (;;) {
        const outcome = await run(desired, status, controller());
        if (outcome.kind !== 'moved') break;
        expect(compareTaskStates(outcome.status.State, status.State)).toBeGreaterThan(0);
        status = outcome.status;
        expect(++steps).toBeLessThan(10);
      }
      if (compareTaskStates(desired, 'running') >= 0) expect(isTerminal(status.State)).toBe(true);
    },
  );
});

describe('advance', () => {
  it.each([
    { id: 'accepted', from: 'assigned', to: 'accepted', message: 'accepted', container: false },
    { id: 'preparing', from: 'accepted', to: 'preparing', message: 'preparing', container: false },
    { id: 'prepared', from: 'preparing', to: 'ready', message: 'prepared', container: false },
    { id: 'starting', from: 'ready', to: 'starting', message: 'starting', container: true },
    { id: 'started', from: 'starting', to: 'running', message: 'started', container: true },
    { id: 'finished', from: 'running', to: 'complete', message: 'finished', container: true },
  ] as const)('$id', async ({ from, to, message, container }) => {
    const outcome = await run('running', { State: from, Timestamp: AT, Message: 'x', Err: 'old' }, controller());
    expect(outcome).toEqual({
      kind: 'moved',
      status: {
        State: to,
        Message: message,
        Timestamp: '2026-01-02T00:00:00.000000000Z',
        ...(container ? { ContainerStatus: { ContainerID: 'c1', PID: 5 } } : {}),
      },
    });
  });

  const reject = (error: unknown) => () => Promise.reject(error as Error);
  const permanent = new TaskError('No such image: x', { temporary: false });
  it.each([
    { id: 'prepare', from: 'preparing', make: { prepare: reject(permanent) }, to: 'rejected', err: 'No such image: x' },
    { id: 'start', from: 'starting', make: { start: reject(permanent) }, to: 'failed', err: 'No such image: x' },
    { id: 'any error', from: 'preparing', make: { prepare: reject(new Error('boom')) }, to: 'rejected', err: 'boom' },
    {
      id: 'exit',
      from: 'running',
      make: { wait: reject(new ExitError(137)) },
      to: 'failed',
      err: 'task: non-zero exit (137)',
      exit: 137,
    },
    {
      id: 'exit while the engine does not answer',
      from: 'running',
      make: { wait: reject(new ExitError(1)), status: reject(new Error('away')) },
      to: 'failed',
      err: 'task: non-zero exit (1)',
      exit: 1,
    },
  ] as const)('failure of $id: $to', async ({ from, make, to, err, ...rest }) => {
    const outcome = await run('running', { State: from, Timestamp: AT, Message: 'before' }, controller(make));
    expect(outcome).toMatchObject({ kind: 'moved', status: { State: to, Err: err, Message: 'before' } });
    if (outcome.kind === 'moved' && 'exit' in rest) expect(outcome.status.ContainerStatus?.ExitCode).toBe(rest.exit);
  });

  it.each(['preparing', 'starting', 'running'] as const)('keeps %s on a temporary failure', async (state) => {
    const away = reject(new TaskError('engine away', { temporary: true }));
    const failing = controller({ prepare: away, start: away, wait: away });
    expect(await run('running', { State: state, Timestamp: AT }, failing)).toEqual({
      kind: 'retry',
      reason: 'engine away',
    });
  });

  it('does not take an interruption for an end of the task', async () => {
    const abort = new AbortController();
    const failing = controller({
      wait: () => {
        abort.abort(new Error('updated'));
        return Promise.reject(new ExitError(1));
      },
    });
    expect(await run('running', { State: 'running', Timestamp: AT }, failing, abort.signal)).toMatchObject({
      kind: 'retry',
    });
  });
});
