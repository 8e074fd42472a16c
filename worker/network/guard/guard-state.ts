/** Who may send VXLAN packets into the overlays of this host: what should be, what the kernel has of it, and the steps between. */

export interface DesiredGuard {
  /** UDP port of the data path. */
  port: number;
  /** VNIs of the overlays here that are not encrypted, ascending. Packets for others are not ours to judge. */
  vnis: readonly number[];
  /** VTEPs, of the family of this host's own. */
  members: ReadonlySet<string>;
}

export interface ObservedGuard {
  /** For what the table is in force; `other` when it is not as we made it, as far as is known. */
  table: 'none' | 'other' | Pick<DesiredGuard, 'port' | 'vnis'>;
  members: ReadonlySet<string>;
  /** Packets refused since the table was made. */
  refused: number;
  /** Where they came from, in the last minutes; not all, when there are many. */
  strangers: readonly string[];
}

export type GuardOperation =
  /** The table with all that is in it, at once. `anew`: whatever has its name goes first, and what it has counted. */
  | { kind: 'install'; port: number; vnis: readonly number[]; members: readonly string[]; anew: boolean }
  | { kind: 'let-in'; members: readonly string[] }
  | { kind: 'shut-out'; members: readonly string[] }
  | { kind: 'delete' };

export function emptyGuard(): ObservedGuard {
  return { table: 'none', members: new Set(), refused: 0, strangers: [] };
}
