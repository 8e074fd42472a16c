/** Checks of single fields that came over the wire. All @throws Error. */

export function id(value: string | null | undefined): string {
  return matching(value, /^[\w.:-]{1,128}$/);
}

export function matching(value: string | null | undefined, pattern: RegExp): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw new Error('malformed gossip field');
  return value;
}

export function count(value: number | null | undefined): number {
  return within(value ?? 0, Number.MAX_SAFE_INTEGER);
}

export function within(value: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < 0 || value > most) throw new Error('gossip number out of range');
  return value;
}
