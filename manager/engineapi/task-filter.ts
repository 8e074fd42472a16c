import type { Filters } from '../controlapi/control-api.ts';

/** Every container of a task has it, and no other. */
export const TASK_LABEL = 'com.docker.swarm.task.id';

/** An entry of the engine's list of containers, so far as this is about it. */
interface ListedContainer {
  Labels?: Readonly<Record<string, string>> | null;
}

/**
 * What the filter `is-task` asks for. The engine knows nothing of our tasks: to it no container is one.
 * @returns undefined when it is not given, or given so that the engine refuses it in its own words.
 */
export function wantedTasks(filters: Filters): boolean | undefined {
  const [value, ...others] = filters['is-task'] ?? [];
  if (others.length > 0) return undefined;
  if (value === 'true' || value === '1') return true;
  return value === 'false' || value === '0' ? false : undefined;
}

/** The filters without `is-task`; those for tasks only name the label. */
export function withoutTaskFilter(filters: Filters, onlyTasks: boolean): Filters {
  const { 'is-task': _, ...others } = filters;
  return onlyTasks ? { ...others, label: [...(others['label'] ?? []), TASK_LABEL] } : others;
}

/** The first `limit` of those that belong to no task; all for 0. */
export function withoutTasks<C extends ListedContainer>(containers: readonly C[], limit: number): C[] {
  const plain = containers.filter(({ Labels }) => !Object.hasOwn(Labels ?? {}, TASK_LABEL));
  return limit > 0 ? plain.slice(0, limit) : plain;
}
