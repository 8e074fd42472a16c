import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WaggleError } from '../../../../proto/runtime/errors.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { type StatusReport, StatusReporter } from '../../../../worker/agent/status-reporter.ts';
import { statusOf } from '../../../fixtures/task-object.ts';
import { settle, VirtualClock } from '../../../fixtures/virtual-clock.ts';

describe('StatusReporter', () => {
  let clock: VirtualClock;
  let reporter: StatusReporter;
  let session: AbortController;
  let sent: string[][];
  beforeEach(() => {
    clock = new VirtualClock();
    reporter = new StatusReporter({ clock, random: () => 0, log: silentLog });
    session = new AbortController();
    sent = [];
  });
  afterEach(() => session.abort(new Error('over')));

  const record = (reports: readonly StatusReport[]): void =>
    void sent.push(reports.map(({ taskId, status }) => `${taskId} ${status.State}`));

  it('sends at once, and what comes meanwhile together, the newest per task', async () => {
    const gates: (() => void)[] = [];
    const done = reporter.serve((reports) => {
      record(reports);
      return new Promise((resolve) => gates.push(resolve));
    }, session.signal);
    reporter.report('a', statusOf('accepted'));
    await settle();
    reporter.report('a', statusOf('preparing'));
    reporter.report('b', statusOf('running'));
    reporter.report('a', statusOf('ready'));
    await settle();
    expect(sent).toEqual([['a accepted']]);
    gates.shift()?.();
    await settle();
    expect(sent).toEqual([['a accepted'], ['a ready', 'b running']]);
    expect(reporter.pending).toBe(2);
    gates.shift()?.();
    await settle();
    expect(reporter.pending).toBe(0);
    session.abort(new Error('over'));
    await done;
  });

  it('keeps a status whose acknowledgement is lost, over failures and sessions', async () => {
    const failing = (reports: readonly StatusReport[]): Promise<void> => {
      record(reports);
      return Promise.reject(new WaggleError('unavailable', 'ack lost'));
    };
    const done = reporter.serve(failing, session.signal);
    reporter.report('a', statusOf('running'));
    await clock.advance(350);
    expect(sent.length).toBeGreaterThanOrEqual(2);
    session.abort(new Error('over'));
    await done;
    expect(reporter.pending).toBe(1);
    sent = [];
    session = new AbortController();
    void reporter.serve((reports) => Promise.resolve(record(reports)), session.signal);
    await settle();
    expect(sent).toEqual([['a running']]);
    expect(reporter.pending).toBe(0);
  });

  it('does not take the acknowledgement of an old status for that of a newer one', async () => {
    let release = (): void => undefined;
    void reporter.serve((reports) => {
      record(reports);
      return sent.length > 1 ? Promise.resolve() : new Promise((resolve) => (release = resolve));
    }, session.signal);
    reporter.report('a', statusOf('starting'));
    await settle();
    reporter.report('a', statusOf('running'));
    release();
    await settle();
    expect(sent).toEqual([['a starting'], ['a running']]);
  });

  it('sends no more than 200 at a time', async () => {
    for (let n = 0; n < 450; n++) reporter.report(`t${n}`, statusOf('running'));
    void reporter.serve((reports) => Promise.resolve(record(reports)), session.signal);
    await settle();
    expect(sent.map((batch) => batch.length)).toEqual([200, 200, 50]);
  });

  it('ends with its session also when there is nothing to send', async () => {
    const done = reporter.serve(() => Promise.resolve(), session.signal);
    await settle();
    session.abort(new Error('over'));
    await done;
    reporter.report('a', statusOf('running'));
    await settle();
    expect(reporter.pending).toBe(1);
  });
});
