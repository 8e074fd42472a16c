import { describe, expect, it } from 'vitest';
import type { MemberChange } from '../../../../../manager/raft/core/configuration.ts';
import type { Message } from '../../../../../manager/raft/core/message.ts';
import { configurationOf, ELECTION_TICKS, type MemberSetup, TestMember, TestNetwork } from './core-fixture.ts';

/**
 * Encounters of several rules at once, in which other implementations of Raft went wrong. The situations are those of the
 * scripts in etcd-io/raft's testdata, whose names are given; the decisions expected are ours.
 */

const add = (id: number): MemberChange => ({ kind: 'add-voter', id });
const remove = (id: number): MemberChange => ({ kind: 'remove', id });
const three = (setup: MemberSetup = {}): TestNetwork =>
  new TestNetwork(...[1, 2, 3].map((id) => new TestMember({ ...setup, id })));
/** The third is new, and down. */
const twoOfThree = (): TestNetwork =>
  new TestNetwork(...[1, 2].map((id) => new TestMember({ id })), new TestMember({ id: 3, isNew: true }))
    .down(3)
    .elect(1);
const texts = (member: TestMember): string[] =>
  member.applied.filter(({ type, data }) => type === 'normal' && data.length > 0).map(({ data }) => String(data));
const dropTo =
  (id: number) =>
  (message: Message): boolean =>
    message.to === id;

/** One heartbeat round of the leader, and what comes of it. */
function beat(network: TestNetwork, leader = 1): void {
  network.member(leader).tick();
  network.settle();
}

describe('a leader and a follower that missed something', () => {
  it('a full window of lost appends is found out by a heartbeat (replicate_pause)', () => {
    const network = three({ options: { maxInflightAppends: 3 } }).elect(1);
    const leader = network.member(1);
    network.drop = dropTo(3);
    for (const text of ['a', 'b', 'c', 'd']) leader.propose(text);
    network.settle();
    expect(leader.status).toMatchObject({ committed: 6 });
    expect(leader.status.progress.get(3)).toMatchObject({ state: 'replicate', match: 2, next: 6 });
    network.drop = () => false;
    beat(network);
    expect(leader.status.progress.get(3)).toMatchObject({ state: 'replicate', match: 6 });
    expect(texts(network.member(3))).toEqual(['a', 'b', 'c', 'd']);
  });

  it('lost appends that are compacted away meanwhile are found out, too (slow_follower_after_compaction)', () => {
    const network = three({ options: { maxInflightAppends: 2 } }).elect(1);
    const leader = network.member(1);
    network.drop = dropTo(3);
    for (const text of ['a', 'b', 'c', 'd']) leader.propose(text);
    network.settle();
    leader.raft.compact({ index: 6, term: 2, configuration: configurationOf([1, 2, 3]) }, 6);
    network.drop = () => false;
    beat(network);
    expect(network.member(3).installed.map(({ index }) => index)).toEqual([6]);
    beat(network);
    expect(leader.status.progress.get(3)).toMatchObject({ state: 'replicate', match: 6 });
  });

  it('one that has everything does not stay probed (heartbeat_resp_recovers_from_probing)', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.raft.reportUnreachable(2);
    expect(leader.status.progress.get(2)?.state).toBe('probe');
    beat(network);
    expect(leader.status.progress.get(2)).toMatchObject({ state: 'replicate', match: 2 });
  });

  it('one whose answers were lost learns of the commit within a heartbeat (lagging_commit)', () => {
    const network = three().elect(1);
    network.drop = ({ from, type }) => from === 3 && type === 'append-response';
    network.member(1).propose('a', 'b');
    network.settle();
    network.drop = () => false;
    beat(network);
    expect(network.member(3).status.committed).toBe(4);
    expect(texts(network.member(3))).toEqual(['a', 'b']);
  });

  it('a snapshot of all there is ends in replicating, nothing new needed (snapshot_succeed_via_app_resp)', () => {
    const network = twoOfThree();
    const leader = network.member(1);
    leader.raft.compact({ index: 2, term: 2, configuration: configurationOf([1, 2, 3]) }, 2);
    network.up(3);
    beat(network);
    expect(network.member(3).installed.map(({ index }) => index)).toEqual([2]);
    // The follower's own answer is enough: nobody has reported that the snapshot arrived.
    expect(leader.status.progress.get(3)).toMatchObject({ state: 'replicate', match: 2, next: 3 });
  });

  it('the log behind a snapshot that is older than what the leader has by then (snapshot_succeed_via_app_resp_behind)', () => {
    const network = twoOfThree();
    const leader = network.member(1);
    const late: Message[] = [];
    network.up(3).drop = (message) => message.type === 'snapshot' && late.push(message) > 0;
    leader.raft.compact({ index: 2, term: 2, configuration: configurationOf([1, 2, 3]) }, 2);
    beat(network);
    leader.propose('a', 'b');
    network.settle();
    leader.raft.compact({ index: 4, term: 2, configuration: configurationOf([1, 2, 3]) }, 2);
    network.drop = () => false;
    expect(late.length).toBe(1);
    network.member(3).step(late[0] as Message);
    network.settle();
    expect(leader.status.progress.get(3)).toMatchObject({ state: 'replicate', match: 4 });
    expect(texts(network.member(3))).toEqual(['a', 'b']);
  });
});

describe('elections', () => {
  it('one that does not know yet that it is a voter votes, and is needed (campaign_learner_must_vote)', () => {
    const members = [1, 2, 3].map((id) => new TestMember({ id, voters: [1, 2], learners: [3] }));
    const network = new TestNetwork(...members).elect(1);
    network.drop = dropTo(3);
    network.member(1).raft.proposeChange({ changes: [add(3)] });
    network.member(1).drive();
    network.settle();
    expect(network.member(2).status.configuration).toEqual(configurationOf([1, 2, 3]));
    expect(network.member(3).status.configuration).toEqual(configurationOf([1, 2], [3]));
    network.drop = () => false;
    network.down(1).elect(2);
    expect(network.member(2).status.role).toBe('leader');
    beat(network, 2);
    expect(network.member(3).status.configuration).toEqual(configurationOf([1, 2, 3]));
  });

  it('one that is behind cannot win, one that is not can (prevote)', () => {
    const network = three().elect(1).down(3);
    network.member(1).propose('a');
    network.settle();
    network.up(3).elect(3);
    expect(network.member(3).status).toMatchObject({ role: 'pre-candidate', term: 2 });
    network.elect(2);
    expect(network.member(2).status).toMatchObject({ role: 'leader', term: 3 });
  });

  it('one pre-vote is enough from a member that hears of no leader either, though the leader lives (prevote_checkquorum)', () => {
    const network = three().elect(1);
    // Both have lost sight of the leader: it is replaced against its will.
    network.member(2).tick(ELECTION_TICKS).outbox.splice(0);
    network.member(3).tick(ELECTION_TICKS);
    network.settle();
    const { term, role } = network.member(3).status;
    expect({ term, role }).toEqual({ term: 3, role: 'leader' });
    expect(network.member(1).status).toMatchObject({ role: 'follower', leader: 3, term: 3 });
  });

  it('a member alone stays with the leader that the others hear (prevote_checkquorum)', () => {
    const network = three().elect(1);
    network.member(3).tick(ELECTION_TICKS);
    network.settle();
    expect(network.member(1).status).toMatchObject({ role: 'leader', term: 2 });
    beat(network);
    expect(network.member(3).status).toMatchObject({ role: 'follower', leader: 1, term: 2 });
  });

  it('heartbeats that arrive late do not save a leader that lost its quorum (checkquorum)', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.tick(2 * ELECTION_TICKS);
    expect(leader.status.role).not.toBe('leader');
    const late = leader.take('heartbeat');
    for (const message of late) network.member(message.to).step(message);
    network.elect(2);
    expect(network.member(2).status.role).toBe('leader');
    expect(leader.status).toMatchObject({ role: 'follower', leader: 2 });
  });
});

describe('changes of the membership', () => {
  it('from one to three and back, with proposals that come in between (confchange_v2_add_double_auto)', () => {
    const network = new TestNetwork(
      new TestMember({ id: 1, voters: [1] }),
      ...[2, 3].map((id) => new TestMember({ id, isNew: true })),
    ).elect(1);
    const leader = network.member(1);
    leader.raft.proposeChange({ changes: [add(2), add(3)] });
    leader.drive();
    network.settle();
    for (const id of [1, 2, 3]) expect(network.member(id).status.configuration).toEqual(configurationOf([1, 2, 3]));
    expect(leader.raft.proposeChange({ changes: [remove(2), remove(3)] })).toMatchObject({ ok: true });
    // The way out of the joint configuration is proposed once, whatever else is.
    leader.propose('a').propose('b');
    network.settle();
    leader.propose('c');
    expect(leader.status).toMatchObject({ role: 'leader', configuration: configurationOf([1]) });
    expect(leader.applied.filter(({ type }) => type === 'conf-change').length).toBe(4);
    expect(texts(leader)).toEqual(['a', 'b', 'c']);
  });

  it('a leader is replaced by a newcomer in one change, which cannot be undone by it (confchange_v2_replace_leader)', () => {
    const network = new TestNetwork(
      ...[1, 2, 3].map((id) => new TestMember({ id })),
      new TestMember({ id: 4, isNew: true }),
    ).elect(1);
    network.member(1).raft.proposeChange({ changes: [remove(1), add(4)] });
    network.member(1).drive();
    network.settle();
    for (const id of [2, 3, 4]) expect(network.member(id).status.configuration).toEqual(configurationOf([2, 3, 4]));
    const leaders = [...network.members.values()].filter(({ status }) => status.role === 'leader');
    expect(leaders.map(({ id }) => id)).toEqual([expect.toBeOneOf([2, 3, 4])]);
    const { term } = (leaders[0] as TestMember).status;
    network.member(1).tick(4 * ELECTION_TICKS);
    network.settle();
    expect(network.member(1).status.role).not.toBe('leader');
    expect((leaders[0] as TestMember).status).toMatchObject({ role: 'leader', term });
  });

  it('leadership moves to a newcomer while the configuration is joint, and it leaves that (confchange_v2_replace_leader)', () => {
    const members = [1, 2, 3, 4].map((id) => new TestMember({ id, voters: [1, 2, 3], learners: [4] }));
    const network = new TestNetwork(...members).elect(1);
    const leader = network.member(1);
    const isLeaving = ({ data }: { data: Uint8Array }): boolean => String(data) === JSON.stringify({ changes: [] });
    network.drop = (message) => message.type === 'append' && message.entries.some(isLeaving);
    leader.raft.proposeChange({ changes: [remove(1), add(4)] });
    leader.drive();
    network.settle();
    expect(network.member(4).status.configuration).toMatchObject({ voters: [2, 3, 4], outgoing: [1, 2, 3] });
    expect(leader.raft.transfer(4)).toBe(true);
    network.drop = () => false;
    leader.drive();
    for (let time = 0; time < 3; time++) beat(network);
    expect(network.member(4).status).toMatchObject({ role: 'leader', configuration: configurationOf([2, 3, 4]) });
    expect(leader.status.role).toBe('follower');
  });

  it('what a removed leader had in its log besides needs the others alone (confchange_v1_remove_leader)', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.raft.proposeChange({ changes: [remove(1)] });
    leader.propose('a');
    network.down(3).settle();
    leader.propose('b');
    network.settle();
    expect(leader.status.committed).toBe(2);
    network.up(3);
    for (let time = 0; time < 2; time++) beat(network);
    expect(leader.status.role).toBe('follower');
    const [heir] = [2, 3].map((id) => network.member(id)).filter(({ status }) => status.role === 'leader');
    expect(heir && texts(heir)).toEqual(['a', 'b']);
  });
});

describe('a disk that takes its time', () => {
  it('says nothing of entries that were replaced, not when the same term comes back either (async_storage_writes_append_aba_race)', () => {
    const member = new TestMember({ id: 1 });
    member.slowDisk = true;
    const append = (from: number, term: number, entryTerm: number): Message => ({
      type: 'append',
      from,
      to: 1,
      term,
      prevIndex: 1,
      prevTerm: 1,
      entries: [{ index: 2, term: entryTerm, type: 'normal', data: Buffer.from(`${entryTerm} of ${from}`) }],
      commit: 1,
    });
    // Three leaders, each with its own entry 2, while the first one's is on its way to the disk.
    member
      .step(append(2, 2, 2))
      .step(append(3, 3, 3))
      .step(append(2, 4, 2));
    const heartbeat: Message = { type: 'heartbeat', from: 2, to: 1, term: 4, commit: 2, context: 0 };
    member.step(heartbeat);
    expect(member.status.committed).toBe(2);
    member.flushOne();
    member.flushOne();
    expect(texts(member)).toEqual([]);
    member.flush();
    expect(texts(member)).toEqual(['2 of 2']);
    const answers = member.take('append-response').map(({ to, term, index }) => ({ to, term, index }));
    expect(answers.at(-1)).toEqual({ to: 2, term: 4, index: 2 });
  });
});
