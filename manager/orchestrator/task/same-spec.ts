/**
 * Equality of specs by meaning. Clients differ in how they write "nothing" (absent, null, [], {}, 0, ""), and a
 * read-modify-write by another client must not restart a service. Pure.
 */

/** Objects whose keys are the user's: there an empty value is still a value. */
const USER_MAPS: ReadonlySet<string> = new Set(['Labels', 'Sysctls', 'Options', 'DriverOpts']);

/** Fields where zero means something other than absent. */
const ZERO_COUNTS: ReadonlySet<string> = new Set(['Delay', 'Init', 'MemorySwappiness', 'StopGracePeriod']);

/** True when both specs ask for the same. Order within lists counts, as it does in Docker. */
export function sameSpec(a: unknown, b: unknown): boolean {
  return sameValue(a, b, '');
}

function sameValue(a: unknown, b: unknown, key: string): boolean {
  if (a === b) return true;
  if (isNothing(a, key) || isNothing(b, key)) return isNothing(a, key) && isNothing(b, key);
  if (Array.isArray(a) || Array.isArray(b)) return Array.isArray(a) && Array.isArray(b) && sameList(a, b);
  if (!isRecord(a) || !isRecord(b)) return false;
  return USER_MAPS.has(key) ? sameMap(a, b) : sameStruct(a, b);
}

function sameList(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => sameItem(item, b[index]));
}

/** Items have a place of their own, so that an empty one differs from none. */
function sameItem(a: unknown, b: unknown): boolean {
  return a === b || (isRecord(a) && isRecord(b) && sameStruct(a, b)) || (Array.isArray(a) && sameValue(a, b, ''));
}

function sameStruct(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  return Object.keys({ ...a, ...b }).every((key) => sameValue(a[key], b[key], key));
}

function sameMap(a: Record<string, unknown>, b: Record<string, unknown>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && a[key] === b[key]);
}

function isNothing(value: unknown, key: string): boolean {
  if (value === undefined || value === null) return true;
  if (value === 0 || value === '' || value === false) return !ZERO_COUNTS.has(key);
  if (Array.isArray(value)) return value.length === 0;
  if (!isRecord(value)) return false;
  const entries = Object.entries(value);
  return USER_MAPS.has(key) ? entries.length === 0 : entries.every(([name, inner]) => isNothing(inner, name));
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
