import { clusterPortsOf } from '../../proto/objects/endpoint.ts';
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

/** Pure: published ports that are kept for a service that is gone, and those that more than one service shows as its own. */
export function wrongPorts(tx: ReadTx, held: readonly { serviceId: string; port: string }[]): Found[] {
  const at = { nodeId: '', networkId: '', transient: true };
  const leaked = held
    .filter(({ serviceId }) => tx.get('services', serviceId) === undefined)
    .map(({ serviceId, port }) => {
      const found = `kept for service ${serviceId}, which is gone`;
      return { ...at, kind: 'port leaked', object: port, expected: 'free', found };
    });
  const owners = new Map<string, string[]>();
  for (const service of tx.all('services')) {
    for (const { protocol, port } of clusterPortsOf(service.Endpoint)) {
      const key = `${protocol}/${port}`;
      owners.set(key, [...(owners.get(key) ?? []), service.Spec.Name]);
    }
  }
  const twice = [...owners].flatMap(([port, names]) =>
    names.length === 1
      ? []
      : [{ ...at, kind: 'port held twice', object: port, expected: 'one service', found: names.toSorted().join(', ') }],
  );
  return [...leaked, ...twice];
}

function exists(tx: ReadTx, holder: string): boolean {
  const [kind, id = ''] = holder.split('/');
  if (kind === 'service') return tx.get('services', id) !== undefined;
  if (kind === 'attachment') return tx.get('attachments', id) !== undefined;
  if (kind !== 'task') return true;
  const task = tx.get('tasks', id);
  return task !== undefined && !isTerminal(task.Status.State);
}
