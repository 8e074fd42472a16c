import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { DesiredGuard, ObservedGuard } from '../../../../../worker/network/guard/guard-state.ts';
import { guardFamily, guardScript } from '../../../../../worker/network/guard/member-ruleset.ts';
import { planGuard } from '../../../../../worker/network/guard/plan-guard.ts';
import { ModelGuard } from '../../../../fixtures/model-guard.ts';

const VTEPS = ['192.168.0.1', '192.168.0.2', '10.0.0.3', 'fd00::1', 'fd00::2'];
const vnis = fc.subarray([4097, 4098, 4099], { minLength: 1 });
const members = fc.subarray(VTEPS).map((each) => new Set(each));
const desired: fc.Arbitrary<DesiredGuard> = fc.record({ port: fc.constantFrom(4789, 4800), vnis, members });
const table: fc.Arbitrary<ObservedGuard['table']> = fc.oneof(
  fc.constant('none' as const),
  fc.constant('other' as const),
  fc.record({ port: fc.constantFrom(4789, 4800), vnis }),
);
const observed: fc.Arbitrary<ObservedGuard> = fc
  .record({ table, members, refused: fc.nat(9), strangers: fc.constant([]) })
  .map((each) => (each.table === 'none' ? { ...each, members: new Set<string>(), refused: 0 } : each));

it('leads from anything to what is desired, and then to nothing more; no member is out on the way', () =>
  fc.assert(
    fc.asyncProperty(fc.option(desired, { nil: undefined }), observed, async (wanted, found) => {
      const kernel = new ModelGuard();
      kernel.state = found;
      const stay = VTEPS.filter((vtep) => found.members.has(vtep) && wanted?.members.has(vtep) === true);
      for (const operation of planGuard(wanted, found)) {
        await kernel.apply(operation);
        expect(stay.every((vtep) => kernel.admits(vtep, 4097))).toBe(true);
      }
      expect(planGuard(wanted, kernel.state)).toEqual([]);
      if (wanted === undefined) expect(kernel.state.table).toBe('none');
      else {
        expect(kernel.state.table).toEqual({ port: wanted.port, vnis: wanted.vnis });
        expect([...kernel.state.members].toSorted()).toEqual([...wanted.members].toSorted());
      }
      // Counts live on where the table does.
      if (wanted !== undefined && found.table !== 'other') expect(kernel.state.refused).toBe(found.refused);
    }),
  ));

it.each([
  { vtep: '192.168.0.1', family: 'ip', other: 'ip6' },
  { vtep: 'fd00::1', family: 'ip6', other: 'ip' },
])('is written for the family of $vtep alone', ({ vtep, family, other }) => {
  const script = guardScript(
    { kind: 'install', port: 4789, vnis: [4097], members: [], anew: false },
    guardFamily(vtep),
  );
  expect(script).toContain(
    `add rule ${family} waggle-members arriving th dport 4789 ${family} saddr != @members goto strange`,
  );
  expect(script).not.toContain('add element');
  expect(script).not.toContain(`delete table ${family} `);
  expect(script).toContain(`delete table ${other} waggle-members`);
});
