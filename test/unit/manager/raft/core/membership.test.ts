import { describe, expect, it } from 'vitest';
import type { MemberChange } from '../../../../../manager/raft/core/configuration.ts';
import { changeEntry, configurationOf, ELECTION_TICKS, TestMember, TestNetwork } from './core-fixture.ts';

const add = (id: number): MemberChange => ({ kind: 'add-voter', id });
const remove = (id: number): MemberChange => ({ kind: 'remove', id });
const learn = (id: number): MemberChange => ({ kind: 'add-learner', id });

/** Members of a cluster, and newcomers that know nothing. */
function cluster(voters: number[], newcomers: number[] = []): TestNetwork {
  const members = voters.map((id) => new TestMember({ id, voters }));
  const others = newcomers.map((id) => new TestMember({ id, isNew: true }));
  return new TestNetwork(...members, ...others);
}

function change(network: TestNetwork, ...changes: MemberChange[]): unknown {
  const leader = [...network.members.values()].find((member) => member.status.role === 'leader') as TestMember;
  const result = leader.raft.proposeChange({ changes });
  leader.drive();
  network.settle();
  return result;
}

describe('single changes (thesis 4.1)', () => {
  it('a new member gets the log and counts', () => {
    const network = cluster([1, 2], [3]).elect(1);
    expect(change(network, add(3))).toMatchObject({ ok: true });
    network.down(2).member(1).propose('a');
    network.settle();
    network.member(1).tick();
    network.settle();
    expect(network.member(3).status).toMatchObject({ committed: 4, configuration: configurationOf([1, 2, 3]) });
  });

  it('counts from when it is in the log: the added one is needed to commit it', () => {
    const network = cluster([1], [2]).elect(1).down(2);
    expect(change(network, add(2))).toMatchObject({ ok: true });
    expect(network.member(1).status).toMatchObject({
      committed: 2,
      lastIndex: 3,
      configuration: configurationOf([1, 2]),
    });
    network.up(2).member(1).tick();
    network.settle();
    expect(network.member(1).status.committed).toBe(3);
  });

  it('a removed one is not needed to commit its own removal', () => {
    const network = cluster([1, 2]).elect(1).down(2);
    expect(change(network, remove(2))).toMatchObject({ ok: true });
    expect(network.member(1).status.committed).toBe(3);
  });

  it('comes back after a restart with the log, be the commit index remembered or not', () => {
    const member = new TestMember({ voters: [1, 2] });
    const { raft } = member;
    const removal = changeEntry(2, 2, { changes: [remove(2)] });
    member.step({ type: 'append', from: 2, to: 1, term: 2, prevIndex: 1, prevTerm: 1, commit: 1, entries: [removal] });
    expect(raft.status().configuration).toEqual(configurationOf([1]));
    expect(member.tick(2 * ELECTION_TICKS).status.role).toBe('leader');
  });

  it('falls back when another leader replaces it', () => {
    const member = new TestMember({ voters: [1, 2, 3] });
    const added = changeEntry(2, 2, { changes: [add(4)] });
    const base = { type: 'append' as const, to: 1, prevIndex: 1, prevTerm: 1, commit: 1 };
    member.step({ ...base, from: 2, term: 2, entries: [added] });
    expect(member.status.configuration.voters).toEqual([1, 2, 3, 4]);
    member.step({ ...base, from: 3, term: 3, entries: [{ ...added, type: 'normal', term: 3, data: Buffer.of() }] });
    expect(member.status.configuration.voters).toEqual([1, 2, 3]);
  });

  it('one waits for the one before', () => {
    const network = cluster([1, 2, 3]).elect(1).down(2, 3);
    expect(change(network, remove(3))).toMatchObject({ ok: true });
    expect(change(network, remove(2))).toEqual({ ok: false, reason: 'change-pending' });
  });

  it('none before an entry of the own term is committed (raft-dev 2015, "bug in single-server membership changes")', () => {
    const network = cluster([1, 2, 3, 4]);
    network.drop = (message) => message.type === 'append';
    network.elect(1);
    expect(change(network, add(5))).toEqual({ ok: false, reason: 'change-pending' });
    network.drop = () => false;
    network.member(1).tick();
    network.settle();
    expect(change(network, add(5))).toMatchObject({ ok: true });
  });

  it('what makes no sense is refused with the reason', () => {
    const network = cluster([1]).elect(1);
    expect(change(network, remove(1))).toMatchObject({ ok: false, reason: 'invalid' });
  });
});

describe('learners (thesis 4.2.1)', () => {
  it('get the log and do not count', () => {
    const network = cluster([1, 2], [3]).elect(1);
    change(network, learn(3));
    network.down(2).member(1).propose('a');
    network.settle();
    expect(network.member(1).status.committed).toBe(3);
    expect(network.member(3).status.lastIndex).toBe(4);
  });

  it('do not stand for election', () => {
    const network = cluster([1, 2], [3]).elect(1);
    change(network, learn(3));
    expect(network.member(3).tick(3 * ELECTION_TICKS).status.role).toBe('follower');
  });

  it('that cannot be reached cost nothing', () => {
    const network = cluster([1], [2]).elect(1).down(2);
    expect(change(network, learn(2))).toMatchObject({ ok: true });
    expect(network.member(1).status.committed).toBe(3);
  });
});

describe('joint consensus (thesis 4.3)', () => {
  it('replaces two of three at once, and is left by itself', () => {
    const network = cluster([1, 2, 3], [4, 5]).elect(1);
    expect(change(network, remove(2), remove(3), add(4), add(5))).toMatchObject({ ok: true });
    for (const id of [1, 4, 5]) expect(network.member(id).status.configuration).toEqual(configurationOf([1, 4, 5]));
  });

  it.each([
    { id: 'the old half alone', down: [4, 5], up: [4] },
    { id: 'the new half alone', down: [2, 3], up: [3] },
  ])('is not decided by $id', ({ down, up }) => {
    const network = cluster([1, 2, 3], [4, 5])
      .elect(1)
      .down(...down);
    const leader = network.member(1);
    change(network, remove(2), remove(3), add(4), add(5));
    leader.propose('a');
    network.settle();
    expect(leader.status.committed).toBe(2);
    network.up(...up);
    for (let time = 0; time < 3; time++) {
      leader.tick();
      network.settle();
    }
    expect(leader.status).toMatchObject({ committed: 5, configuration: configurationOf([1, 4, 5]) });
  });

  it('is left by a leader that came into it', () => {
    const network = cluster([1, 2, 3], [4, 5]).elect(1);
    const leaving = JSON.stringify({ changes: [] });
    network.drop = ({ type, ...message }) =>
      type === 'append' &&
      'entries' in message &&
      message.entries.some(({ data }) => Buffer.from(data).toString() === leaving);
    change(network, remove(2), add(4));
    expect(network.member(3).status.configuration.outgoing).toEqual([1, 2, 3]);
    network.drop = () => false;
    network.down(1).elect(3);
    network.member(3).tick();
    network.settle();
    expect(network.member(3).status).toMatchObject({ role: 'leader', configuration: configurationOf([1, 3, 4]) });
  });

  it('a voter that becomes a learner votes until it is left', () => {
    const network = cluster([1, 2, 3], [4]).elect(1).down(2, 4);
    change(network, learn(3), add(4));
    expect(network.member(1).status.configuration).toMatchObject({ learnersNext: [3], outgoing: [1, 2, 3] });
    network.up(2, 4).member(1).tick();
    network.settle();
    expect(network.member(1).status.configuration).toEqual(configurationOf([1, 2, 4], [3]));
  });
});

describe('a leader that is removed (thesis 4.2.2)', () => {
  it('leads until that is committed, then another one does', () => {
    const network = cluster([1, 2, 3]).elect(1);
    change(network, remove(1));
    expect(network.member(1).status.role).toBe('follower');
    const leaders = [2, 3].filter((id) => network.member(id).status.role === 'leader');
    expect(leaders.length).toBe(1);
  });

  it('does not count itself meanwhile', () => {
    const network = cluster([1, 2, 3]).elect(1).down(3);
    change(network, remove(1));
    expect(network.member(1).status).toMatchObject({ role: 'leader', committed: 2 });
    network.up(3).member(1).tick();
    network.settle();
    expect(network.member(1).status).toMatchObject({ role: 'follower', committed: 3 });
  });

  it('is not needed afterwards, though its log may be longer', () => {
    const network = cluster([1, 2]).elect(1);
    const leader = network.member(1);
    leader.raft.proposeChange({ changes: [remove(1)] });
    leader.drive();
    network.settle(1000).down(1);
    expect(network.member(2).tick(2 * ELECTION_TICKS).status.role).toBe('leader');
  });

  it('stands again while its removal may not be committed', () => {
    const network = cluster([1, 2]).elect(1).down(2);
    change(network, remove(1));
    // Nobody else has the entry: without it, 2 needs the vote of 1, whose log is longer.
    const leader = network.member(1);
    leader.tick(3 * ELECTION_TICKS);
    expect(leader.status.role).toBe('pre-candidate');
    network.settle().up(2).elect(1);
    expect(network.member(2).status.configuration).toEqual(configurationOf([2]));
    network.member(2).tick(3 * ELECTION_TICKS);
    expect(network.member(2).status.role).toBe('leader');
  });
});

describe('a member that was removed', () => {
  it('is told, and then no longer spoken to', () => {
    const network = cluster([1, 2, 3]).elect(1);
    change(network, remove(3));
    expect(network.member(3).status).toMatchObject({ committed: 3, configuration: configurationOf([1, 2]) });
    network.member(1).outbox.splice(0);
    expect(
      network
        .member(1)
        .tick()
        .outbox.map(({ to }) => to),
    ).toEqual([2]);
  });

  it('cannot disturb the others, not even one that does not know (thesis 4.2.3)', () => {
    const network = cluster([1, 2, 3]).elect(1).down(3);
    change(network, remove(3));
    const { term } = network.member(1).status;
    network.up(3);
    for (let time = 0; time < 5 * ELECTION_TICKS; time++) {
      network.member(1).tick();
      network.member(3).tick();
      network.settle();
    }
    expect(network.member(1).status).toMatchObject({ role: 'leader', term });
    expect(network.member(2).status).toMatchObject({ leader: 1, term });
  });
});
