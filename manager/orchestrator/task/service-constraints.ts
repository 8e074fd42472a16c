import type { ServiceObject } from '../../../proto/objects/service.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { type Constraint, parseConstraints } from '../../constraint/constraint.ts';

/** The service's placement constraints; undefined when they are malformed, and then no node satisfies them. */
export function serviceConstraints(service: ServiceObject): Constraint[] | undefined {
  return readConstraints(service.Spec.TaskTemplate.Placement?.Constraints);
}

/**
 * @returns undefined for malformed expressions: the control API refuses them, so they can only be of another version.
 */
export function readConstraints(expressions: readonly string[] | null | undefined): Constraint[] | undefined {
  try {
    return parseConstraints(expressions ?? []);
  } catch (error) {
    if (error instanceof WaggleError) return undefined;
    throw error;
  }
}
