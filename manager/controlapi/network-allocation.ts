import type { NetworkObject } from '../../proto/objects/network.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Store, Watch } from '../store/transaction.ts';

const DEADLINE_MS = 10_000;

/**
 * Resolves once the allocator has settled the network, within 10 s.
 * @throws WaggleError failed-precondition with the allocator's reason, not-found when somebody removed the network,
 * deadline-exceeded.
 */
export async function untilAllocated(id: string, modules: { store: Store; clock: Clock }): Promise<void> {
  const { view: present, watch } = modules.store.viewAndWatch((tx) => tx.get('networks', id), ['networks']);
  let expired = false;
  const cancel = modules.clock.after(DEADLINE_MS, () => {
    expired = true;
    watch.close();
  });
  try {
    if (isSettled(present, id) || (await sawSettled(watch, id))) return;
  } finally {
    cancel();
    watch.close();
  }
  const why = expired ? `was not given addresses within ${DEADLINE_MS / 1000} s` : 'was not given addresses';
  throw new WaggleError('deadline-exceeded', `network ${present?.Spec.Name ?? id} ${why}`);
}

async function sawSettled(watch: Watch, id: string): Promise<boolean> {
  for await (const events of watch) {
    for (const event of events) {
      if (event.table !== 'networks' || (event.after ?? event.before)?.ID !== id) continue;
      if (isSettled(event.after, id)) return true;
    }
  }
  return false;
}

function isSettled(network: NetworkObject | undefined, id: string): boolean {
  if (network === undefined) throw new WaggleError('not-found', `network ${id} not found`);
  if (network.Allocated !== undefined) return true;
  if (network.AllocationError === undefined) return false;
  throw new WaggleError('failed-precondition', network.AllocationError);
}
