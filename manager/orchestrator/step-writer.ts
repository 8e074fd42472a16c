import { assertNever } from '../../proto/runtime/assert.ts';
import { compareTaskStates } from '../../proto/objects/task-state.ts';
import type { WriteTx } from '../store/transaction.ts';
import type { Change, Step } from './decision.ts';

/**
 * Writes steps in order as long as they fit into `room` changes. A step is never divided, so one that is larger than
 * a whole transaction (`limit`) is written when it has the transaction for itself.
 */
export function applySteps(
  tx: WriteTx,
  steps: readonly Step[],
  room: number,
  limit: number,
): { changes: number; whole: boolean } {
  let changes = 0;
  for (const step of steps) {
    const first = changes === 0 && room === limit;
    if (!first && changes + step.length > room) return { changes, whole: false };
    for (const change of step) applyChange(tx, change);
    changes += step.length;
  }
  return { changes, whole: true };
}

function applyChange(tx: WriteTx, change: Change): void {
  switch (change.kind) {
    case 'create':
      return tx.create('tasks', change.task);
    case 'desire':
      if (compareTaskStates(change.task.DesiredState, change.state) >= 0) return;
      return tx.update('tasks', { ...change.task, DesiredState: change.state });
    case 'service':
      return tx.update('services', change.service);
    default:
      return assertNever(change);
  }
}
