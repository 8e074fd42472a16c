import { describe, expect, it } from 'vitest';
import { keepsQuorum, planRoles } from '../../../../manager/rolemanager/role-plan.ts';
import type { RaftGroup } from '../../../../manager/rolemanager/raft-group.ts';
import type { NodeObject, NodeRole } from '../../../../proto/objects/node.ts';

const node = (raftId: number, role: NodeRole, status?: NodeObject['ManagerStatus']): NodeObject => ({
  ID: `node${raftId}`,
  Version: { Index: 1 },
  CreatedAt: '',
  UpdatedAt: '',
  Spec: { Role: role, Availability: 'active' },
  Status: { State: 'ready' },
  CertificateRole: 'manager',
  RaftID: raftId,
  ManagerStatus: status ?? {
    ...(raftId === 1 ? { Leader: true } : {}),
    Reachability: 'reachable',
    Addr: `h${raftId}:2377`,
  },
});

const raft = (voters: number[], learners: number[] = [], match = 100): ReturnType<RaftGroup['status']> => ({
  id: 1,
  leader: 1,
  committed: 100,
  configuration: { voters, learners, outgoing: [], learnersNext: [] },
  progress: new Map([...voters, ...learners].map((id) => [id, { match, recentlyActive: true }])),
});
const all = (...ids: number[]): Set<number> => new Set(ids);

describe('planRoles', () => {
  it('wants nothing when all is well', () => {
    const nodes = [node(1, 'manager'), node(2, 'manager')];
    expect(planRoles(nodes, raft([1, 2]), all(1, 2))).toEqual({ statuses: [], released: [], step: { kind: 'none' } });
  });

  it('makes a caught-up learner a voter, and no other', () => {
    const nodes = [node(1, 'manager'), node(2, 'manager')];
    const promote = { kind: 'change', change: { kind: 'add-voter', id: 2 } };
    expect(planRoles(nodes, raft([1], [2]), all(1, 2)).step).toEqual(promote);
    expect(planRoles(nodes, raft([1], [2]), all(1)).step).toEqual({ kind: 'none' });
    expect(planRoles(nodes, raft([1], [2], 0), all(1, 2)).step).toEqual({ kind: 'none' });
    const behind = { ...raft([1], [2]), committed: 10_000 };
    expect(planRoles(nodes, behind, all(1, 2)).step).toEqual({ kind: 'none' });
  });

  it('takes a demoted manager out of Raft first, then lets it go', () => {
    const nodes = [node(1, 'manager'), node(2, 'worker'), node(3, 'manager')];
    const first = planRoles(nodes, raft([1, 2, 3]), all(1, 2, 3));
    expect(first.step).toEqual({ kind: 'change', change: { kind: 'remove', id: 2 } });
    expect(first.released).toEqual([]);
    const then = planRoles(nodes, raft([1, 3]), all(1, 3));
    expect(then.step).toEqual({ kind: 'none' });
    expect(then.released).toEqual(['node2']);
  });

  it('hands leadership over before the leader itself goes', () => {
    const nodes = [node(1, 'worker'), node(2, 'manager'), node(3, 'manager')];
    const status = raft([1, 2, 3]);
    const progress = new Map([...status.progress, [3, { match: 90, recentlyActive: true }]]);
    expect(planRoles(nodes, { ...status, progress }, all(1, 2, 3)).step).toEqual({ kind: 'transfer', to: 2 });
    expect(planRoles(nodes, { ...status, progress }, all(1, 3)).step).toEqual({ kind: 'transfer', to: 3 });
  });

  it('removes a member whose node object is gone', () => {
    const step = planRoles([node(1, 'manager'), node(3, 'manager')], raft([1, 2, 3]), all(1, 3)).step;
    expect(step).toEqual({ kind: 'change', change: { kind: 'remove', id: 2 } });
  });

  it('lets nobody go whose going costs the quorum', () => {
    const nodes = [node(1, 'manager'), node(2, 'worker'), node(3, 'manager')];
    expect(planRoles(nodes, raft([1, 2, 3]), all(1, 2)).step).toEqual({ kind: 'none' });
  });

  it('shows one that does not vote yet as no one to count on', () => {
    const nodes = [node(1, 'manager'), node(2, 'manager')];
    expect(planRoles(nodes, raft([1], [2]), all(1, 2)).statuses).toEqual([
      { nodeId: 'node2', status: { Reachability: 'unknown', Addr: 'h2:2377' } },
    ]);
  });

  it('shows where members say that they are', () => {
    const nodes = [node(1, 'manager'), node(2, 'manager')];
    expect(planRoles(nodes, raft([1, 2]), all(1, 2), new Map([[2, 'new:1']])).statuses).toEqual([
      { nodeId: 'node2', status: { Reachability: 'reachable', Addr: 'new:1' } },
    ]);
  });

  it('shows who leads and who can be reached', () => {
    const nodes = [
      node(1, 'manager'),
      node(2, 'manager', { Leader: true, Reachability: 'reachable', Addr: 'h2:2377' }),
    ];
    expect(planRoles(nodes, raft([1, 2]), all(1)).statuses).toEqual([
      { nodeId: 'node2', status: { Reachability: 'unreachable', Addr: 'h2:2377' } },
    ]);
  });
});

describe('keepsQuorum', () => {
  const CASES = [
    { id: 'one of three, all up', voters: [1, 2, 3], without: 3, up: [1, 2, 3], expected: true },
    { id: 'the dead one of three', voters: [1, 2, 3], without: 3, up: [1, 2], expected: true },
    { id: 'a live one while another is dead', voters: [1, 2, 3], without: 2, up: [1, 2], expected: false },
    { id: 'one of two', voters: [1, 2], without: 2, up: [1, 2], expected: true },
    { id: 'the last', voters: [1], without: 1, up: [1], expected: false },
  ];
  for (const { id, voters, without, up, expected } of CASES) {
    it(id, () => expect(keepsQuorum(voters, [without], new Set(up))).toBe(expected));
  }
});
