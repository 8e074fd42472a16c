import { describe, expect, it } from 'vitest';
import type { Message } from '../../../../../manager/raft/core/message.ts';
import { type MemberSetup, TestMember, TestNetwork } from './core-fixture.ts';

const three = (setup: MemberSetup = {}): TestNetwork =>
  new TestNetwork(...[1, 2, 3].map((id) => new TestMember({ ...setup, id })));
const texts = (member: TestMember): string[] =>
  member.applied.filter(({ data }) => data.length > 0).map(({ data }) => Buffer.from(data).toString());
const ok = (from: number, term: number, index: number): Message => ({
  type: 'append-response',
  from,
  to: 1,
  term,
  index,
  rejected: false,
  hintIndex: 0,
  hintTerm: 0,
});
const append = (message: Partial<Message & { type: 'append' }>): Message => ({
  type: 'append',
  from: 2,
  to: 1,
  term: 2,
  prevIndex: 1,
  prevTerm: 1,
  entries: [],
  commit: 0,
  ...message,
});

describe('log replication (paper 5.3)', () => {
  it('a leader begins with an entry of its own (paper 8)', () => {
    const network = three().elect(1);
    expect(network.member(2).status).toMatchObject({ lastIndex: 2, lastTerm: 2, committed: 2 });
  });

  it('what is proposed is applied by all, in order', () => {
    const network = three().elect(1);
    network.member(1).propose('a', 'b').propose('c');
    network.settle();
    network.member(1).tick();
    network.settle();
    for (const id of [1, 2, 3]) expect(texts(network.member(id))).toEqual(['a', 'b', 'c']);
  });

  it('a commit is told with the next entries, or with the next tick when there are none', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.propose('a');
    network.settle();
    expect(leader.status.committed).toBe(3);
    expect(texts(network.member(2))).toEqual([]);
    leader.propose('b');
    network.settle();
    expect(texts(network.member(2))).toEqual(['a']);
    leader.raft.tick();
    const told = (leader.raft.ready()?.immediate ?? []).filter(({ type }) => type === 'append');
    expect(told).toMatchObject([
      { to: 2, entries: [], commit: 4 },
      { to: 3, entries: [], commit: 4 },
    ]);
    leader.raft.tick();
    expect((leader.raft.ready()?.immediate ?? []).filter(({ type }) => type === 'append')).toEqual([]);
  });

  it('only a leader takes proposals', () => {
    expect(
      three()
        .elect(1)
        .member(2)
        .raft.propose([Buffer.from('a')]),
    ).toEqual({ ok: false, reason: 'not-leader' });
  });

  it('is committed with a majority, the leader among it only when its own disk has it (thesis 10.2.1)', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.slowDisk = true;
    leader.propose('a').take('append');
    leader.step(ok(2, 2, 3));
    expect(leader.status.committed).toBe(2);
    expect(leader.flush().status.committed).toBe(3);
  });

  it('is committed by the two others before the own disk has it, and applied after', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.slowDisk = true;
    leader
      .propose('a')
      .step(ok(2, 2, 3))
      .step(ok(3, 2, 3));
    expect(leader.status.committed).toBe(3);
    expect(texts(leader)).toEqual([]);
    expect(texts(leader.flush())).toEqual(['a']);
  });

  it('a follower answers only when its disk has it', () => {
    const member = new TestMember();
    member.slowDisk = true;
    const entries = [{ index: 2, term: 2, type: 'normal' as const, data: Buffer.from('a') }];
    expect(member.step(append({ entries })).take('append-response')).toEqual([]);
    expect(member.flush().take('append-response')).toMatchObject([{ index: 2, rejected: false }]);
  });

  it('a follower answers for what matches, not for all that it has', () => {
    const member = new TestMember({ log: [1, 1, 1] });
    expect(member.step(append({ prevIndex: 2 })).take('append-response')).toMatchObject([{ index: 2 }]);
  });

  it('a follower commits what is matched at most (figure 2, receiver 5)', () => {
    const member = new TestMember({ log: [1, 1, 1] });
    expect(member.step(append({ prevIndex: 2, commit: 4 })).status.committed).toBe(2);
  });

  it('a late append removes nothing (figure 2, receiver 3)', () => {
    const member = new TestMember({ log: [2, 2, 2], term: 2 });
    const entries = [{ index: 2, term: 2, type: 'normal' as const, data: Buffer.from('2/2') }];
    expect(member.step(append({ entries })).status.lastIndex).toBe(4);
  });

  it('a heartbeat tells the commit index only as far as the follower is known to hold the log', () => {
    const network = three().elect(1).down(3);
    network.member(1).propose('a');
    network.settle();
    const beats = network.member(1).tick().take('heartbeat');
    expect(beats.map(({ to, commit }) => [to, commit])).toEqual([
      [2, 3],
      [3, 2],
    ]);
  });
});

/** Paper, figure 7: followers that lack entries, have others, or both. The leader is of term 8. */
describe('repairs the logs of figure 7', () => {
  const leaderLog = [1, 1, 4, 4, 5, 5, 6, 6, 6];
  const followers: { id: string; log: number[] }[] = [
    { id: '(a) lacks one', log: [1, 1, 4, 4, 5, 5, 6, 6] },
    { id: '(b) lacks many', log: [1, 1] },
    { id: '(c) one more of the same term', log: [1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
    { id: '(d) two of a later term', log: [1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
    { id: '(e) others of an earlier term', log: [1, 1, 4, 4, 4, 4] },
    { id: '(f) others of two earlier terms', log: [1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
  ];
  it.each(followers)('$id', ({ log }) => {
    const leader = new TestMember({ log: leaderLog, term: 7 });
    const follower = new TestMember({ id: 2, log, term: 7 });
    const network = new TestNetwork(leader, follower, new TestMember({ id: 3, log: leaderLog, term: 7 }));
    let appends = 0;
    network.drop = (message) => {
      if (message.type === 'append' && message.to === 2) appends++;
      return false;
    };
    network.elect(1);
    expect(leader.status).toMatchObject({ role: 'leader', term: 8 });
    expect(follower.status).toMatchObject({ lastIndex: 11, lastTerm: 8, committed: 11 });
    // Hints skip a term a round: never an entry at a time.
    expect(appends).toBeLessThan(8);
  });
});

/** Paper, figure 8: why an entry of an earlier term is not committed by counting. */
describe('figure 8', () => {
  it('an entry of an earlier term on a majority is not committed until one of the own term is', () => {
    const [s1, s2, s3] = [1, 2, 3].map(
      (id) => new TestMember({ id, voters: [1, 2, 3, 4, 5], log: id < 3 ? [2] : [], term: 3 }),
    );
    const network = new TestNetwork(s1 as TestMember, s2 as TestMember, s3 as TestMember);
    // The no-op of the own term gets to nobody: only the old entry does.
    network.drop = (message) => message.type === 'append' && message.entries.some((entry) => entry.term === 4);
    network.elect(1);
    expect(s1?.status).toMatchObject({ role: 'leader', term: 4 });
    s1?.step({ ...ok(3, 4, 1), rejected: true, index: 2, hintIndex: 1, hintTerm: 1 } as Message).take('append');
    s1?.step(ok(2, 4, 2)).step(ok(3, 4, 2));
    expect(s1?.status.committed).toBe(1);
    s1?.step(ok(2, 4, 3)).step(ok(3, 4, 3));
    expect(s1?.status.committed).toBe(3);
  });
});

describe('flow control (thesis 10.2.1)', () => {
  it('sends one append to a follower of which nothing is known, then many at once', () => {
    const member = new TestMember({ voters: [1, 2], options: { maxInflightAppends: 3 } }).tick(10);
    member.step({ type: 'vote-response', from: 2, to: 1, term: 2, preVote: true, granted: true });
    member.step({ type: 'vote-response', from: 2, to: 1, term: 2, preVote: false, granted: true });
    expect(member.take('append').length).toBe(1);
    expect(member.propose('a').take('append')).toEqual([]);
    expect(
      member
        .step(ok(2, 2, 2))
        .take('append')
        .flatMap(({ entries }) => entries).length,
    ).toBe(1);
    for (const text of ['b', 'c', 'd', 'e']) member.propose(text);
    // The first of the three was the one above.
    expect(member.take('append').map(({ prevIndex }) => prevIndex)).toEqual([3, 4]);
    expect(
      member
        .step(ok(2, 2, 3))
        .take('append')
        .map(({ prevIndex }) => prevIndex),
    ).toEqual([5]);
  });

  it('fills an append up to its limit, with one entry at least', () => {
    const network = three({ options: { maxAppendBytes: 100 } })
      .elect(1)
      .down(3);
    const leader = network.member(1);
    leader.propose('a'.repeat(500), 'b', 'c', 'd', 'e');
    const sizes = leader
      .take('append')
      .filter(({ to }) => to === 2)
      .map(({ entries }) => entries.length);
    expect(sizes).toEqual([1, 3, 1]);
  });

  it('probes again when the transport says that the follower is away', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.raft.reportUnreachable(2);
    expect(leader.status.progress.get(2)).toMatchObject({ state: 'probe', match: 2, next: 3 });
    leader.propose('a');
    network.settle();
    expect(leader.status.progress.get(2)?.state).toBe('replicate');
  });

  it('finds out about a lost append with the next heartbeat', () => {
    const network = three().elect(1);
    network.drop = (message) => message.type === 'append' && message.to === 3;
    network.member(1).propose('a');
    network.settle();
    network.drop = () => false;
    network.member(1).tick();
    network.settle();
    expect(texts(network.member(3))).toEqual(['a']);
  });

  it('refuses proposals beyond what may wait for being committed, and never the only one', () => {
    const network = three({ options: { maxUncommittedBytes: 100 } })
      .elect(1)
      .down(2, 3);
    const { raft } = network.member(1);
    expect(raft.propose([Buffer.alloc(500)])).toMatchObject({ ok: true });
    expect(raft.propose([Buffer.alloc(1)])).toEqual({ ok: false, reason: 'busy' });
    network.up(2, 3).member(1).drive();
    network.settle();
    expect(raft.propose([Buffer.alloc(50)])).toMatchObject({ ok: true });
  });
});

describe('snapshots (paper 7)', () => {
  /** A leader that has compacted its log to entry `index`, and a follower that was away. */
  function compacted(): { network: TestNetwork; leader: TestMember } {
    const network = three().elect(1).down(3);
    const leader = network.member(1);
    leader.propose('a', 'b', 'c');
    network.settle();
    const configuration = leader.status.configuration;
    leader.raft.compact({ index: 5, term: 2, configuration }, 5);
    return { network: network.up(3), leader };
  }

  it('are sent to whoever needs what is no longer in the log, and the log goes on behind them', () => {
    const { network, leader } = compacted();
    leader.tick();
    network.settle();
    const follower = network.member(3);
    expect(follower.installed.map(({ index }) => index)).toEqual([5]);
    leader.raft.reportSnapshot(3, true);
    leader.propose('d');
    network.settle();
    leader.tick();
    network.settle();
    expect(texts(follower)).toEqual(['d']);
  });

  it('are sent one at a time, and again when one was lost', () => {
    const { network, leader } = compacted();
    let sent = 0;
    network.drop = (message) => message.type === 'snapshot' && ++sent > 0;
    for (let time = 0; time < 5; time++) {
      leader.tick();
      network.settle();
    }
    expect(sent).toBe(1);
    leader.raft.reportSnapshot(3, false);
    leader.tick();
    network.settle();
    expect(sent).toBe(2);
  });

  it('that are older than the log are not installed', () => {
    const member = new TestMember({ log: [1, 1, 1], commit: 4 });
    const configuration = member.status.configuration;
    member.step({ type: 'snapshot', from: 2, to: 1, term: 2, meta: { index: 3, term: 1, configuration } });
    expect(member.installed).toEqual([]);
    expect(member.take('append-response')).toMatchObject([{ index: 4 }]);
  });

  it('that only tell what is in the log commit it', () => {
    const member = new TestMember({ log: [1, 1, 1] });
    const configuration = member.status.configuration;
    member.step({ type: 'snapshot', from: 2, to: 1, term: 2, meta: { index: 3, term: 1, configuration } });
    expect(member.installed).toEqual([]);
    expect(member.status).toMatchObject({ committed: 3, lastIndex: 4 });
  });

  it('take the place of a log of another history, and bring their membership', () => {
    const member = new TestMember({ log: [1, 1, 1] });
    const configuration = { voters: [1, 2], learners: [7], outgoing: [], learnersNext: [] };
    member.step({ type: 'snapshot', from: 2, to: 1, term: 3, meta: { index: 3, term: 2, configuration } });
    expect(member.status).toMatchObject({ lastIndex: 3, lastTerm: 2, committed: 3, configuration });
  });

  it('become durable before they are answered', () => {
    const member = new TestMember();
    member.slowDisk = true;
    const configuration = member.status.configuration;
    member.step({ type: 'snapshot', from: 2, to: 1, term: 2, meta: { index: 9, term: 2, configuration } });
    expect(member.take('append-response')).toEqual([]);
    expect(member.flush().take('append-response')).toMatchObject([{ index: 9, rejected: false }]);
  });
});
