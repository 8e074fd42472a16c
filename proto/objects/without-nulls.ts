/**
 * The value without the fields that are null, all the way down: to Docker's API null and absent are the same, so a
 * spec is stored in the one form that our types know. Elements of arrays stay.
 */
export function withoutNulls<V>(value: V): V {
  if (Array.isArray(value)) return value.map((element: unknown) => withoutNulls(element)) as V;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, field]) => field !== null && field !== undefined);
  return Object.fromEntries(entries.map(([key, field]) => [key, withoutNulls(field as unknown)])) as V;
}
