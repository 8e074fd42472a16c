import type { ReadTx } from '../store/transaction.ts';
import { isTerminal } from '../../proto/objects/task-state.ts';
import type { Found } from './network-comparison.ts';

/**
 * Pure: addresses that the allocator keeps for a holder that the state does not have any more. A lease that is just being
 * written is one for a moment.
 */
export function leakedHoldings(
  tx: ReadTx,
  holdings: readonly { holder: string; networkId: string; address: string }[],
): Found[] {
  return holdings
    .filter(({ holder }) => !exists(tx, holder))
    .map(({ holder, networkId, address }) => ({
      nodeId: '',
      networkId,
      kind: 'allocation leaked',
      object: address,
      expected: 'free',
      found: `kept for ${holder.replace('/', ' ')}, which is gone`,
      transient: true,
    }));
}

function exists(tx: ReadTx, holder: string): boolean {
  const [kind, id = ''] = holder.split('/');
  if (kind === 'service') return tx.get('services', id) !== undefined;
  if (kind === 'attachment') return tx.get('attachments', id) !== undefined;
  if (kind !== 'task') return true;
  const task = tx.get('tasks', id);
  return task !== undefined && !isTerminal(task.Status.State);
}
