import type { Difference } from '../../../proto/objects/diagnosis/difference.ts';
import { MEMBER_TABLE } from './member-ruleset.ts';
import type { DesiredGuard, GuardOperation, ObservedGuard } from './guard-state.ts';

/** The way from what the kernel has to what it should have; empty when they agree. `desired` undefined: no overlay here needs it. */
export function planGuard(desired: DesiredGuard | undefined, observed: ObservedGuard): GuardOperation[] {
  const { table } = observed;
  if (desired === undefined) return table === 'none' ? [] : [{ kind: 'delete' }];
  const { port, vnis } = desired;
  if (typeof table === 'string' || table.port !== port || !sameNumbers(table.vnis, vnis)) {
    return [{ kind: 'install', port, vnis, members: [...desired.members], anew: table === 'other' }];
  }
  const added = [...desired.members].filter((member) => !observed.members.has(member));
  const gone = [...observed.members].filter((member) => !desired.members.has(member));
  return [
    ...(added.length === 0 ? [] : [{ kind: 'let-in', members: added } as const]),
    ...(gone.length === 0 ? [] : [{ kind: 'shut-out', members: gone } as const]),
  ];
}

/** Pure: a plan, told as what is to be found. */
export function guardDifferences(operations: readonly GuardOperation[], observed: ObservedGuard): Difference[] {
  const table = `table ${MEMBER_TABLE}`;
  return operations.flatMap((operation): Difference[] => {
    switch (operation.kind) {
      case 'install':
        return observed.table === 'none'
          ? [{ kind: 'member guard missing', object: table, expected: 'present', found: 'nothing' }]
          : [{ kind: 'member guard altered', object: table, expected: 'as made', found: 'not so' }];
      case 'delete':
        return [{ kind: 'member guard leaked', object: table, expected: 'nothing', found: 'present' }];
      case 'let-in':
        return operation.members.map((object) => ({
          kind: 'member shut out',
          object,
          expected: `in ${table}`,
          found: 'its VXLAN packets are dropped',
        }));
      case 'shut-out':
        return operation.members.map((object) => ({
          kind: 'stranger let in',
          object,
          expected: 'nothing',
          found: `in ${table}`,
        }));
    }
  });
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((each, index) => each === b[index]);
}
