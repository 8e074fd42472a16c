import { randomBytes } from 'node:crypto';
import type { TaskObject } from './task.ts';

const ID_LENGTH = 25;
const ID_BYTES = 17;

/** Source of random bytes; tests pass a seeded one. */
export type RandomBytes = (size: number) => Uint8Array;

/** An object ID: 25 characters of base 36 from 17 random bytes (as swarmkit's identity package makes them). */
export function newId(random: RandomBytes = randomBytes): string {
  const hex = Buffer.from(random(ID_BYTES)).toString('hex');
  return BigInt(`0x${hex}`).toString(36).padStart(ID_LENGTH, '0').slice(0, ID_LENGTH);
}

/** The name of a task and of its container: `service.slot.task`, or `service.node.task` for global services. */
export function taskName(task: Pick<TaskObject, 'ID' | 'Slot' | 'NodeID' | 'ServiceAnnotations'>): string {
  const place = task.Slot === 0 ? task.NodeID : String(task.Slot);
  return `${task.ServiceAnnotations.Name}.${place}.${task.ID}`;
}
