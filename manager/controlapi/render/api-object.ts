import type { Json, Labels, ObjectMeta } from '../../../proto/objects/meta.ts';
import type { ApiObject } from '../control-api.ts';

/** An object's head as the Engine API shows it, with the fields of its kind; undefined ones are left out. */
export function apiObject(row: ObjectMeta, fields: Record<string, unknown>): ApiObject {
  const { ID, Version, CreatedAt, UpdatedAt } = row;
  return { ID, Version, CreatedAt, UpdatedAt, ...defined(fields) } as ApiObject;
}

/** The fields that are there, as JSON. */
export function defined(fields: Record<string, unknown>): { [key: string]: Json } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [key: string]: Json;
  };
}

/** A spec with its labels, which Docker always shows. */
export function withLabels<S extends { Labels?: Labels | null }>(spec: S): S & { Labels: Labels } {
  return { ...spec, Labels: spec.Labels ?? {} };
}
