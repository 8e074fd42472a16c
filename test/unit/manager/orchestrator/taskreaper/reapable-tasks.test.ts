import { describe, expect, it } from 'vitest';
import { reapableTasks, retentionOf } from '../../../../../manager/orchestrator/taskreaper/reapable-tasks.ts';
import type { ClusterObject } from '../../../../../proto/objects/cluster.ts';
import type { TaskState } from '../../../../../proto/objects/task-state.ts';
import { sampleNode, sampleService, sampleTask } from '../sample-objects.ts';

const node = sampleNode();
const nodeOf = (id: string): typeof node | undefined => (id === 'n1' ? node : undefined);

/** Oldest first: [observed, desired, node]. */
type Row = [TaskState, TaskState, string?];

const ended: Row = ['failed', 'shutdown'];
const live: Row = ['running', 'running'];

describe('reapableTasks', () => {
  it.each<{ id: string; rows: Row[]; retention: number | undefined; reaped: string[] }>([
    { id: 'within the limit', rows: [ended, ended, live], retention: 3, reaped: [] },
    { id: 'beyond it, the oldest', rows: [ended, ended, ended, live], retention: 2, reaped: ['t0', 't1'] },
    { id: 'limit 0 keeps what runs', rows: [ended, live], retention: 0, reaped: ['t0'] },
    { id: 'limit 0 keeps the newest though it ended', rows: [ended, ended], retention: 0, reaped: ['t0'] },
    { id: 'negative keeps all', rows: [ended, ended, ended, live], retention: -1, reaped: [] },
    { id: 'what still stops is kept', rows: [['running', 'shutdown'], live], retention: 0, reaped: [] },
    { id: 'never assigned', rows: [['pending', 'shutdown', ''], live], retention: 1, reaped: ['t0'] },
    { id: 'ended, but not yet replaced', rows: [['failed', 'running'], live], retention: 0, reaped: ['t0'] },
    { id: 'remove, stopped', rows: [['shutdown', 'remove']], retention: 5, reaped: ['t0'] },
    { id: 'remove, complete', rows: [['complete', 'remove']], retention: -1, reaped: ['t0'] },
    { id: 'remove, still running', rows: [['running', 'remove']], retention: 5, reaped: [] },
    { id: 'remove, never assigned', rows: [['new', 'remove', '']], retention: 5, reaped: ['t0'] },
    { id: 'remove, node gone', rows: [['running', 'remove', 'n9']], retention: 5, reaped: ['t0'] },
    { id: 'service gone, ended', rows: [ended], retention: undefined, reaped: ['t0'] },
    { id: 'service gone, still running', rows: [live], retention: undefined, reaped: [] },
    { id: 'service gone, orphaned', rows: [['orphaned', 'running']], retention: undefined, reaped: ['t0'] },
  ])('$id', ({ rows, retention, reaped }) => {
    const tasks = rows.map(([State, DesiredState, NodeID = 'n1'], age) =>
      sampleTask(`t${age}`, age, { Status: { Timestamp: '', State }, DesiredState, NodeID }),
    );
    expect(
      reapableTasks(tasks.toReversed(), retention, nodeOf)
        .map((task) => task.ID)
        .sort(),
    ).toEqual(reaped);
  });
});

describe('retentionOf', () => {
  it.each([
    { id: 'default', limit: undefined, attempts: undefined, retention: 5 },
    { id: 'cluster', limit: 2, attempts: 0, retention: 2 },
    { id: 'none', limit: 0, attempts: undefined, retention: 0 },
    { id: 'max attempts', limit: 2, attempts: 7, retention: 8 },
    { id: 'unlimited stays so', limit: -1, attempts: 7, retention: -1 },
  ])('$id', ({ limit, attempts, retention }) => {
    const Orchestration = limit === undefined ? {} : { TaskHistoryRetentionLimit: limit };
    const cluster = { Spec: { Name: 'default', Orchestration } } as ClusterObject;
    const RestartPolicy = attempts === undefined ? {} : { MaxAttempts: attempts };
    const service = sampleService({ Spec: { Name: 'web', TaskTemplate: { RestartPolicy } } });
    expect(retentionOf(cluster, service)).toBe(retention);
  });
});
