import type { NetworkObject } from '../../proto/objects/network.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Store } from '../store/transaction.ts';
import { comesTrue } from './object-wait.ts';

const TIMEOUT_MS = 10_000;

/**
 * Resolves once the allocator has settled the network, within 10 s.
 * @throws WaggleError failed-precondition with the allocator's reason, not-found when somebody removed the network,
 * deadline-exceeded.
 */
export async function untilAllocated(id: string, modules: { store: Store; clock: Clock }): Promise<void> {
  const holds = (network: NetworkObject | undefined): boolean => isSettled(network, id);
  if (await comesTrue({ table: 'networks', id, holds, timeoutMs: TIMEOUT_MS }, modules)) return;
  const name = modules.store.view((tx) => tx.get('networks', id)?.Spec.Name) ?? id;
  throw new WaggleError('deadline-exceeded', `network ${name} was not given addresses within ${TIMEOUT_MS / 1000} s`);
}

function isSettled(network: NetworkObject | undefined, id: string): boolean {
  if (network === undefined) throw new WaggleError('not-found', `network ${id} not found`);
  if (network.Allocated !== undefined) return true;
  if (network.AllocationError === undefined) return false;
  throw new WaggleError('failed-precondition', network.AllocationError);
}
