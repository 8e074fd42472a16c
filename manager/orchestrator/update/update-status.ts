/** The changes of a service's UpdateStatus, with Docker's states and messages. Pure; clients match these texts. */

import type { ServiceObject, UpdateStatus } from '../../../proto/objects/service.ts';
import { rfc3339 } from '../../../proto/runtime/clock.ts';
import { timeOf } from '../task/task-life.ts';

/** True after a failure, until the service is changed. */
export function isPaused(service: ServiceObject): boolean {
  const state = service.UpdateStatus?.State;
  return state === 'paused' || state === 'rollback_paused';
}

/** True from the failure, or the request, until all tasks are of the former spec. */
export function isRollingBack(service: ServiceObject): boolean {
  return service.UpdateStatus?.State === 'rollback_started';
}

/** True between the start of an update or rollback and its completion or pause. */
export function isUnderWay(service: ServiceObject): boolean {
  return service.UpdateStatus?.State === 'updating' || isRollingBack(service);
}

/**
 * When the update under way began; tasks made before are none of its doing, even where a rollback brings their spec
 * version back. A rollback after a failure counts as part of the update that failed.
 */
export function beganAtMs(service: ServiceObject): number {
  return timeOf(service.UpdateStatus?.StartedAt ?? '');
}

/** Begins an update. */
export function started(service: ServiceObject, nowMs: number): ServiceObject {
  const status: UpdateStatus = { State: 'updating', StartedAt: rfc3339(nowMs), Message: 'update in progress' };
  return { ...service, UpdateStatus: status };
}

/** Ends the update or rollback that is under way. */
export function completed(service: ServiceObject, nowMs: number): ServiceObject {
  const end: UpdateStatus = isRollingBack(service)
    ? { State: 'rollback_completed', Message: 'rollback completed' }
    : { State: 'completed', Message: 'update completed' };
  return withStatus(service, { ...end, CompletedAt: rfc3339(nowMs) });
}

/** @param verb the word that Docker uses where a rollback is to be rolled back; else it says "update" for both. */
export function paused(service: ServiceObject, taskId: string, verb: 'update' | 'rollback'): ServiceObject {
  return withStatus(service, {
    State: isRollingBack(service) ? 'rollback_paused' : 'paused',
    Message: `${verb} paused due to failure or early termination of task ${taskId}`,
  });
}

/**
 * The service with its previous spec in force again, under the version it had; it is used up by that, so there is no
 * rolling back from here. @returns undefined when there is none.
 */
export function rolledBack(service: ServiceObject, taskId: string): ServiceObject | undefined {
  const { PreviousSpec, PreviousSpecVersion, PreviousRegistryAuth, RegistryAuth: _auth, ...rest } = service;
  if (PreviousSpec === undefined) return undefined;
  return withStatus(
    {
      ...rest,
      Spec: PreviousSpec,
      SpecVersion: PreviousSpecVersion ?? service.Version.Index + 1,
      ...(PreviousRegistryAuth === undefined ? {} : { RegistryAuth: PreviousRegistryAuth }),
    },
    {
      State: 'rollback_started',
      Message: `update rolled back due to failure or early termination of task ${taskId}`,
    },
  );
}

function withStatus(service: ServiceObject, change: UpdateStatus): ServiceObject {
  return { ...service, UpdateStatus: { ...service.UpdateStatus, ...change } };
}
