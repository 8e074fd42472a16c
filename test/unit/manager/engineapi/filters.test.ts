import { expect, it } from 'vitest';
import { parseFilters, requireKnownFilters } from '../../../../manager/engineapi/filters.ts';

it.each(['__proto__', 'constructor', 'toString'])('a filter called %s is one like any other', (key) => {
  const filters = parseFilters(`{"${key}":["a"]}`);
  expect(Object.entries(filters)).toEqual([[key, ['a']]]);
  expect(() => requireKnownFilters(filters, ['id'])).toThrow(`Invalid filter '${key}'`);
});
