import type { GenericResource } from '../../proto/objects/node.ts';

/** Free user-defined resources of one node: numbers of the counted kinds, values of the named ones. */
export interface FreeResources {
  counts: Map<string, number>;
  names: Map<string, Set<string>>;
}

/** Everything a node has, before any task took of it. */
export function freeResources(resources: readonly GenericResource[]): FreeResources {
  const free: FreeResources = { counts: new Map(), names: new Map() };
  giveBack(free, resources);
  return free;
}

/** Units of each kind that a reservation asks for. */
export function reservedUnits(resources: readonly GenericResource[]): Map<string, number> {
  const units = new Map<string, number>();
  for (const { DiscreteResourceSpec: discrete, NamedResourceSpec: named } of resources) {
    if (discrete !== undefined) units.set(discrete.Kind, (units.get(discrete.Kind) ?? 0) + discrete.Value);
    if (named !== undefined) units.set(named.Kind, (units.get(named.Kind) ?? 0) + 1);
  }
  return units;
}

/** True when every kind has that many units free. */
export function hasFree(free: FreeResources, wanted: ReadonlyMap<string, number>): boolean {
  return wanted.entries().every(([kind, units]) => units <= unitsOf(free, kind));
}

/** What a task that asks for `wanted` would get: lowest names first. Assumes `hasFree`. */
export function choose(free: FreeResources, wanted: ReadonlyMap<string, number>): GenericResource[] {
  const chosen: GenericResource[] = [];
  for (const [kind, units] of wanted) {
    if (units <= 0) continue;
    const names = free.names.get(kind);
    if (names === undefined) chosen.push({ DiscreteResourceSpec: { Kind: kind, Value: units } });
    else
      for (const value of [...names].sort().slice(0, units))
        chosen.push({ NamedResourceSpec: { Kind: kind, Value: value } });
  }
  return chosen;
}

/** Marks what a task holds as no longer free; a count may go below zero when the node has shrunk. */
export function takeAway(free: FreeResources, held: readonly GenericResource[]): void {
  for (const { DiscreteResourceSpec: discrete, NamedResourceSpec: named } of held) {
    if (discrete !== undefined) {
      free.counts.set(discrete.Kind, (free.counts.get(discrete.Kind) ?? 0) - discrete.Value);
    }
    if (named !== undefined) free.names.get(named.Kind)?.delete(named.Value);
  }
}

function giveBack(free: FreeResources, held: readonly GenericResource[]): void {
  for (const { DiscreteResourceSpec: discrete, NamedResourceSpec: named } of held) {
    if (discrete !== undefined) {
      free.counts.set(discrete.Kind, (free.counts.get(discrete.Kind) ?? 0) + discrete.Value);
    }
    if (named !== undefined) {
      const names = free.names.get(named.Kind) ?? new Set<string>();
      free.names.set(named.Kind, names.add(named.Value));
    }
  }
}

function unitsOf(free: FreeResources, kind: string): number {
  return free.names.get(kind)?.size ?? free.counts.get(kind) ?? 0;
}
