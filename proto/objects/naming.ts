import { randomFillSync } from 'node:crypto';
import type { TaskObject } from './task.ts';

const ID_LENGTH = 25;
const ID_BYTES = 17;

/** Source of random bytes; tests pass a seeded one. */
export type RandomBytes = (size: number) => Uint8Array;

const pool = Buffer.alloc(ID_BYTES * 64);
let used = pool.length;

/** Random bytes for an ID, drawn for many at a time: each draw is a system call. */
function pooledBytes(size: number): Uint8Array {
  if (used + size > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += size;
  return pool.subarray(used - size, used);
}

/** An object ID: 25 characters of base 36 from 17 random bytes (as swarmkit's identity package makes them). */
export function newId(random: RandomBytes = pooledBytes): string {
  const hex = Buffer.from(random(ID_BYTES)).toString('hex');
  return BigInt(`0x${hex}`).toString(36).padStart(ID_LENGTH, '0').slice(0, ID_LENGTH);
}

/** The name of a task and of its container: `service.slot.task`, or `service.node.task` for global services. */
export function taskName(task: Pick<TaskObject, 'ID' | 'Slot' | 'NodeID' | 'ServiceAnnotations'>): string {
  const place = task.Slot === 0 ? task.NodeID : String(task.Slot);
  return `${task.ServiceAnnotations.Name}.${place}.${task.ID}`;
}
