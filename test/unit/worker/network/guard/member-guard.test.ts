import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { MemberGuard } from '../../../../../worker/network/guard/member-guard.ts';
import { ModelGuard } from '../../../../fixtures/model-guard.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

const [OWN, SECOND, THIRD, STRANGER] = ['192.168.0.1', '192.168.0.2', '192.168.0.3', '192.168.0.9'];
const VNI = 4097;

describe('MemberGuard', () => {
  let clock: VirtualClock;
  let kernel: ModelGuard;
  let guard: MemberGuard;
  const make = (): MemberGuard =>
    new MemberGuard({ vtep: OWN, port: 4789 }, { kernel, clock, random: () => 0.5, log: silentLog });
  const admitted = (): string[] => [OWN, SECOND, THIRD, STRANGER].filter((vtep) => kernel.admits(vtep, VNI));

  beforeEach(() => {
    clock = new VirtualClock();
    kernel = new ModelGuard();
    guard = make();
  });

  it('takes packets of its overlays from members, and those of other VNIs from everybody', async () => {
    guard.learn([OWN, SECOND]);
    await guard.cover([VNI]);
    expect(kernel.state.table).toEqual({ port: 4789, vnis: [VNI] });
    expect(admitted()).toEqual([OWN, SECOND]);
    expect(kernel.admits(STRANGER, 99)).toBe(true);
    expect(guard.repairs).toEqual({});
  });

  it('stays away while no manager has said who is a member, and comes when one does', async () => {
    await guard.cover([VNI]);
    await guard.admit([SECOND]);
    guard.learn([]);
    await guard.audit([VNI], [SECOND]);
    expect(kernel.done).toEqual([]);
    guard.learn([OWN]);
    await settle();
    expect(admitted()).toEqual([OWN, SECOND]);
  });

  it('leaves what an earlier life has left as it is, until it knows better; that is no drift', async () => {
    kernel.state = { table: 'other', members: new Set([OWN, SECOND]), refused: 7, strangers: [] };
    await guard.cover([VNI]);
    await guard.audit('kept', []);
    expect(kernel.done).toEqual([]);
    guard.learn([OWN, THIRD]);
    await guard.cover([VNI]);
    expect(kernel.done).toEqual(['install']);
    expect(admitted()).toEqual([OWN, THIRD]);
    expect(guard.repairs).toEqual({ 'packet refused': 7 });
  });

  it('lets in whoever joins or moves, and shuts out whoever leaves, one element each', async () => {
    guard.learn([OWN, SECOND]);
    await guard.cover([VNI]);
    guard.learn([OWN, SECOND, THIRD]);
    await settle();
    expect(admitted()).toEqual([OWN, SECOND, THIRD]);
    guard.learn([OWN, STRANGER, THIRD]);
    await settle();
    expect(admitted()).toEqual([OWN, THIRD, STRANGER]);
    expect(kernel.done).toEqual(['install', 'let-in', 'let-in', 'shut-out']);
    expect(guard.repairs).toEqual({});
  });

  it('lets in the host of a record before the caller goes on, until no record names it', async () => {
    guard.learn([OWN]);
    await guard.cover([VNI]);
    await guard.admit([SECOND, 'not an address; drop', '', 'fd00::1']);
    expect(admitted()).toEqual([OWN, SECOND]);
    expect([...kernel.state.members]).toEqual([OWN, SECOND]);
    await guard.audit([VNI], [SECOND]);
    expect(admitted()).toEqual([OWN, SECOND]);
    await guard.audit([VNI], []);
    expect(admitted()).toEqual([OWN]);
  });

  it('guards another overlay before its caller goes on, without a look when it is guarded already', async () => {
    guard.learn([OWN]);
    await guard.cover([VNI]);
    expect(kernel.admits(STRANGER, 4098)).toBe(true);
    await guard.cover([4098, VNI]);
    expect(kernel.admits(STRANGER, 4098)).toBe(false);
    const looks = kernel.looks;
    await guard.cover([VNI, 4098]);
    expect(kernel.looks).toBe(looks);
  });

  it.each([
    {
      id: 'the table removed',
      change: (state: ModelGuard['state']) => Object.assign(state, { table: 'none' }),
      kind: 'member guard missing',
    },
    {
      id: 'the table altered',
      change: (state: ModelGuard['state']) => Object.assign(state, { table: 'other' }),
      kind: 'member guard altered',
    },
    {
      id: 'a member taken out',
      change: (state: ModelGuard['state']) => Object.assign(state, { members: new Set([OWN]) }),
      kind: 'member shut out',
    },
    {
      id: 'a stranger put in',
      change: (state: ModelGuard['state']) => Object.assign(state, { members: new Set([OWN, SECOND, STRANGER]) }),
      kind: 'stranger let in',
    },
  ])('names, repairs and counts drift: $id', async ({ change, kind }) => {
    guard.learn([OWN, SECOND]);
    await guard.cover([VNI]);
    expect(await guard.differences()).toEqual([]);
    change(kernel.state);
    expect((await guard.differences()).map((each) => each.kind)).toEqual([kind]);
    kernel.failures = 1;
    await guard.audit([VNI], []);
    expect(guard.repairs).toEqual({ [kind]: 1 });
    await clock.advance(10_000);
    expect(admitted()).toEqual([OWN, SECOND]);
    expect(await guard.differences()).toEqual([]);
    expect(guard.repairs).toEqual({ [kind]: 1 });
  });

  it('counts drift also when something else is wanted by then', async () => {
    guard.learn([OWN, SECOND]);
    await guard.cover([VNI]);
    kernel.state.members = new Set([OWN]);
    guard.learn([OWN, SECOND, '10.0.0.9']);
    await guard.audit([VNI], []);
    expect(guard.repairs).toEqual({ 'member shut out': 1 });
  });

  it('does not hold up its callers when the kernel refuses, and tries again', async () => {
    kernel.failures = 3;
    guard.learn([OWN]);
    await guard.cover([VNI]);
    expect(kernel.state.table).toBe('none');
    await clock.advance(10_000);
    expect(admitted()).toEqual([OWN]);
  });

  it('goes when there are more members than it can name, and comes again', async () => {
    guard.learn([OWN]);
    await guard.cover([VNI]);
    guard.learn(Array.from({ length: 16_385 }, (_, index) => `10.0.${index >> 8}.${index & 255}`));
    await settle();
    expect(admitted()).toEqual([OWN, SECOND, THIRD, STRANGER]);
    guard.learn([OWN]);
    await settle();
    expect(admitted()).toEqual([OWN]);
  });

  it('goes with the last overlay, and with the swarm', async () => {
    guard.learn([OWN]);
    await guard.cover([VNI]);
    await guard.audit([], []);
    expect(kernel.state.table).toBe('none');
    await guard.cover([VNI]);
    await guard.purge();
    expect(kernel.state.table).toBe('none');
    const looks = kernel.looks;
    await guard.audit([], []);
    expect(kernel.looks).toBe(looks);
  });

  it('counts what is refused, and tells a trace whether a host is let in and who was not', async () => {
    guard.learn([OWN]);
    expect(await guard.view(STRANGER)).toEqual({ admits: true, strangers: [] });
    await guard.cover([VNI]);
    Object.assign(kernel.state, { refused: 3, strangers: [STRANGER] });
    await guard.audit([VNI], []);
    expect(guard.repairs).toEqual({ 'packet refused': 3 });
    expect(await guard.view(STRANGER)).toEqual({ admits: false, strangers: [STRANGER] });
    expect(await guard.view(OWN)).toMatchObject({ admits: true });
    Object.assign(kernel.state, { refused: 1 });
    await guard.audit([VNI], []);
    expect(guard.repairs).toEqual({ 'packet refused': 4 });
  });

  it('does nothing more once it is stopped', async () => {
    guard.learn([OWN]);
    await guard.stop();
    await guard.cover([VNI]);
    expect(kernel.done).toEqual([]);
  });
});
