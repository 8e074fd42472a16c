import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskNetworkAttachment, TaskObject } from '../../proto/objects/task.ts';
import type { ReadTx } from '../store/transaction.ts';
import type { AddressBook } from './address-book.ts';
import { type AllocationOutcome, overlayTargets, waiting } from './allocation-outcome.ts';
import { networkReady } from './endpoint-plan.ts';

/**
 * Gives a new task an address on each of its overlay networks, or none: when one network has none left, the
 * others are not touched. Asked again before the task is written, the answer is the same.
 */
export function planTask(
  task: TaskObject,
  service: ServiceObject | undefined,
  tx: ReadTx,
  addresses: AddressBook,
): AllocationOutcome<TaskNetworkAttachment[]> {
  const holder = `task/${task.ID}`;
  const ofTask = task.Spec.Networks ?? [];
  const targets = overlayTargets(ofTask.length > 0 ? ofTask : (service?.Spec.Networks ?? []));
  for (const { Target: networkId } of targets) {
    const ready = networkReady(tx, addresses, networkId);
    if (!ready.ok) return ready;
    if (addresses.addressOf(networkId, holder) === undefined && addresses.freeCount(networkId) === 0) {
      return noneLeft(task, networkId);
    }
  }
  const attachments: TaskNetworkAttachment[] = [];
  for (const { Target: networkId, Aliases: aliases, DriverOpts: options } of targets) {
    const grant = addresses.give(networkId, holder);
    if (!grant.ok) return noneLeft(task, networkId);
    attachments.push({
      NetworkID: networkId,
      Addresses: [grant.address],
      ...(aliases == null ? {} : { Aliases: aliases }),
      ...(options == null ? {} : { DriverOpts: options }),
    });
  }
  return { ok: true, result: attachments };
}

function noneLeft(task: TaskObject, networkId: string): AllocationOutcome<never> {
  const why = `failed to allocate network IP for task ${task.ID} network ${networkId}: could not find an available IP`;
  return waiting(`network/${networkId}`, why);
}
