import type { ServiceObject } from '../../proto/objects/service.ts';
import type { TaskNetworkAttachment, TaskObject } from '../../proto/objects/task.ts';
import type { ReadTx } from '../store/transaction.ts';
import type { AddressBook } from './address-book.ts';
import { type AllocationOutcome, overlayTargets, waiting } from './allocation-outcome.ts';
import { networkReady } from './endpoint-plan.ts';

/**
 * Gives a new task an address on each of its overlay networks, IPv4 and, where the network has it, IPv6; or none: when one network has none left, the
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
    for (const family of addresses.families(networkId)) {
      const held = addresses.addressOf(networkId, holder, family) !== undefined;
      if (!held && addresses.freeCount(networkId, family) === 0) return noneLeft(task, networkId);
    }
  }
  const attachments: TaskNetworkAttachment[] = [];
  for (const { Target: networkId, Aliases: aliases, DriverOpts: options } of targets) {
    const grants = addresses.families(networkId).map((family) => addresses.give(networkId, holder, undefined, family));
    const given = grants.flatMap((grant) => (grant.ok ? grant.address : []));
    if (given.length === 0 || given.length < grants.length) return noneLeft(task, networkId);
    attachments.push({
      NetworkID: networkId,
      Addresses: given,
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
