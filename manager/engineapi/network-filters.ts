import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ApiNetwork, Filters } from '../controlapi/control-api.ts';
import { exactMatch, labelsMatch, patternMatch, requireKnownFilters } from './filters.ts';
import { isPredefined } from './swarm-networks.ts';

const ACCEPTED = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];

/**
 * The networks that pass the filters of `GET /networks`: names and IDs by pattern, labels all of them, the rest
 * exactly. @throws WaggleError invalid-argument.
 */
export function filterNetworks(networks: readonly ApiNetwork[], filters: Filters): ApiNetwork[] {
  requireKnownFilters(filters, ACCEPTED);
  const dangling = danglingOf(filters);
  const types = filters['type'] ?? [];
  for (const type of types) {
    if (type !== 'custom' && type !== 'builtin') {
      throw new WaggleError('invalid-argument', `invalid filter: 'type'='${type}'`);
    }
  }
  return networks.filter(
    (network) =>
      exactMatch(filters, 'driver', textOf(network['Driver'])) &&
      exactMatch(filters, 'scope', textOf(network['Scope'])) &&
      patternMatch(filters, 'name', network.Name) &&
      patternMatch(filters, 'id', network.Id) &&
      labelsMatch(filters, 'label', labelsOf(network)) &&
      (types.length === 0 || types.includes(isPredefined(network.Name) ? 'builtin' : 'custom')) &&
      (dangling === undefined || dangling === isDangling(network)),
  );
}

/** A network's labels; none is an empty record. */
export function labelsOf(network: ApiNetwork): Record<string, string> {
  const labels = network['Labels'];
  return typeof labels === 'object' && labels !== null ? (labels as Record<string, string>) : {};
}

function danglingOf(filters: Filters): boolean | undefined {
  const values = filters['dangling'];
  if (values === undefined || values.length === 0) return undefined;
  const isTrue = values.includes('true') || values.includes('1');
  const isFalse = values.includes('false') || values.includes('0');
  if (isTrue === isFalse) {
    throw new WaggleError(
      'invalid-argument',
      'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
    );
  }
  return isTrue;
}

function isDangling(network: ApiNetwork): boolean {
  const used = [network['Containers'], network['Services']].some(
    (users) => typeof users === 'object' && users !== null && Object.keys(users).length > 0,
  );
  return !isPredefined(network.Name) && !used;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
