import { describe, expect, it } from 'vitest';
import type { Message } from '../../../../../manager/raft/core/message.ts';
import { ELECTION_TICKS, TestMember, TestNetwork } from './core-fixture.ts';

const vote = (message: Partial<Message & { type: 'vote' }>): Message => ({
  type: 'vote',
  from: 2,
  to: 1,
  term: 2,
  preVote: false,
  transfer: false,
  lastIndex: 1,
  lastTerm: 1,
  ...message,
});
const heartbeat = (term: number, from = 2): Message => ({
  type: 'heartbeat',
  from,
  to: 1,
  term,
  commit: 0,
  context: 0,
});
const granted = (from: number, term: number, preVote = false): Message => ({
  type: 'vote-response',
  from,
  to: 1,
  term,
  preVote,
  granted: true,
});

describe('elections (paper 5.2)', () => {
  it('begins as a follower and stays one while it hears of a leader', () => {
    const member = new TestMember();
    for (let time = 0; time < 5; time++) member.tick(ELECTION_TICKS - 1).step(heartbeat(1));
    expect(member.status).toMatchObject({ role: 'follower', leader: 2, term: 1 });
    expect(member.take('vote')).toEqual([]);
  });

  it('asks for pre-votes when it has heard of nobody, its term unchanged (thesis 9.6)', () => {
    const member = new TestMember().tick(ELECTION_TICKS);
    expect(member.status).toMatchObject({ role: 'pre-candidate', term: 1, leader: 0 });
    expect(member.take('vote').map(({ to, term, preVote }) => [to, term, preVote])).toEqual([
      [2, 2, true],
      [3, 2, true],
    ]);
  });

  it('stands for election with a majority of pre-votes, and leads with a majority of votes', () => {
    const member = new TestMember().tick(ELECTION_TICKS).step(granted(2, 2, true));
    expect(member.status).toMatchObject({ role: 'candidate', term: 2 });
    expect(member.step(granted(3, 2)).status).toMatchObject({ role: 'leader', leader: 1, term: 2 });
  });

  it('counts its own vote only when it is on the disk', () => {
    const member = new TestMember({ voters: [1] });
    member.slowDisk = true;
    member.raft.campaign();
    expect(member.drive().status.role).toBe('candidate');
    expect(member.flush().status.role).toBe('leader');
  });

  it('does not let a member out that has voted before it is on the disk (paper, figure 2)', () => {
    const member = new TestMember();
    member.slowDisk = true;
    expect(member.step(vote({})).take('vote-response')).toEqual([]);
    expect(member.flush().take('vote-response')).toMatchObject([{ granted: true, term: 2 }]);
  });

  it('is led by whoever wins while it stands itself', () => {
    const member = new TestMember()
      .tick(ELECTION_TICKS)
      .step(granted(2, 2, true))
      .step(heartbeat(2, 3));
    expect(member.status).toMatchObject({ role: 'follower', leader: 3, term: 2 });
  });

  it('tries again when nobody wins, in a new term', () => {
    const member = new TestMember().tick(ELECTION_TICKS).step(granted(2, 2, true));
    member.tick(ELECTION_TICKS);
    expect(member.status).toMatchObject({ role: 'pre-candidate', term: 2 });
    expect(member.step(granted(2, 3, true)).status).toMatchObject({ role: 'candidate', term: 3 });
  });

  it('tries again sooner than it would give up a leader, and waits its full time once it has one', () => {
    const member = new TestMember().tick(ELECTION_TICKS);
    expect(member.take('vote')).toHaveLength(2);
    expect(member.tick(ELECTION_TICKS / 2 - 1).take('vote')).toEqual([]);
    expect(member.tick().take('vote')).toHaveLength(2);
    member.step(heartbeat(1));
    expect(member.tick(ELECTION_TICKS - 1).take('vote')).toEqual([]);
    expect(member.tick().take('vote')).toHaveLength(2);
  });

  it('does not count a pre-vote that was meant for an earlier term', () => {
    const member = new TestMember().tick(ELECTION_TICKS).step(granted(2, 2, true));
    member.tick(ELECTION_TICKS).step(granted(3, 2, true));
    expect(member.status).toMatchObject({ role: 'pre-candidate', term: 2 });
  });

  it('spreads time-outs over one to two election time-outs (paper 5.2, last paragraph)', () => {
    const timeouts = [0, 0.5, 0.99].map((random) => {
      const member = new TestMember({ options: { random: () => random } });
      let ticks = 0;
      while (member.status.role === 'follower') ticks += member.tick().id;
      return ticks;
    });
    expect(timeouts).toEqual([10, 15, 19]);
  });
});

describe('votes', () => {
  const cases: {
    id: string;
    setup: ConstructorParameters<typeof TestMember>[0];
    ask: Partial<Message & { type: 'vote' }>;
    granted: boolean;
  }[] = [
    { id: 'the first who asks', setup: {}, ask: {}, granted: true },
    { id: 'the same again', setup: { term: 2, vote: 2 }, ask: {}, granted: true },
    { id: 'another one in the same term', setup: { term: 2, vote: 3 }, ask: {}, granted: false },
    { id: 'another one in a later term', setup: { term: 2, vote: 3 }, ask: { term: 3 }, granted: true },
    {
      id: 'a log that ends in an earlier term',
      setup: { log: [2] },
      ask: { term: 3, lastIndex: 9, lastTerm: 1 },
      granted: false,
    },
    { id: 'a shorter log', setup: { log: [2, 2] }, ask: { term: 3, lastIndex: 2, lastTerm: 2 }, granted: false },
    {
      id: 'a log that ends in a later term',
      setup: { log: [2, 2] },
      ask: { term: 4, lastIndex: 2, lastTerm: 3 },
      granted: true,
    },
    {
      id: 'a pre-vote, whoever has the vote',
      setup: { term: 2, vote: 3 },
      ask: { term: 3, preVote: true },
      granted: true,
    },
    { id: 'a pre-vote with a shorter log', setup: { log: [1, 1] }, ask: { preVote: true }, granted: false },
  ];
  it.each(cases)('$id: $granted (paper 5.2, 5.4.1)', ({ setup, ask, granted: expected }) => {
    expect(new TestMember(setup).step(vote(ask)).take('vote-response')).toMatchObject([{ granted: expected }]);
  });

  it('a pre-vote changes neither term nor vote nor timer', () => {
    const member = new TestMember({ term: 4, vote: 3 }).tick(ELECTION_TICKS - 1).step(vote({ term: 9, preVote: true }));
    expect(member.status.term).toBe(4);
    expect(
      member
        .step(vote({ term: 4 }))
        .take('vote-response')
        .at(-1),
    ).toMatchObject({ granted: false });
    expect(member.tick().status.role).toBe('pre-candidate');
  });

  it('none while a leader is heard of, unless it hands over (thesis 4.2.3, 3.10)', () => {
    const member = new TestMember().step(heartbeat(1, 3)).tick(ELECTION_TICKS - 1);
    member.step(vote({ term: 5, preVote: true })).step(vote({ term: 5 }));
    expect(member.take('vote-response')).toEqual([]);
    expect(member.status).toMatchObject({ term: 1, leader: 3 });
    expect(member.step(vote({ term: 5, transfer: true })).take('vote-response')).toMatchObject([{ granted: true }]);
  });

  it('a learner, too, forgets a leader that is silent', () => {
    const learner = new TestMember({ voters: [2, 3], learners: [1] }).step(heartbeat(1)).tick(ELECTION_TICKS);
    expect(learner.status).toMatchObject({ role: 'follower', leader: 0 });
    expect(learner.step(vote({ from: 3 })).take('vote-response')).toMatchObject([{ granted: true }]);
    expect(learner.take('vote')).toEqual([]);
  });
});

describe('terms (paper 5.1)', () => {
  it('a leader that hears of a later term follows', () => {
    const network = new TestNetwork(new TestMember(), new TestMember({ id: 2 }), new TestMember({ id: 3 })).elect(1);
    const leader = network.member(1);
    leader.step({
      type: 'append-response',
      from: 2,
      to: 1,
      term: 9,
      index: 0,
      rejected: false,
      hintIndex: 0,
      hintTerm: 0,
    });
    expect(leader.status).toMatchObject({ role: 'follower', term: 9 });
  });

  it('a stale leader is told, so that it steps down', () => {
    const member = new TestMember({ term: 5 }).step(heartbeat(3));
    expect(member.status).toMatchObject({ term: 5, leader: 0 });
    expect(member.take('append-response')).toMatchObject([{ to: 2, term: 5 }]);
  });

  it('a stale vote is refused without an answer, a stale pre-vote with the term', () => {
    const member = new TestMember({ term: 5 }).step(vote({ term: 3 })).step(vote({ term: 3, preVote: true }));
    expect(member.take('vote-response')).toMatchObject([{ preVote: true, granted: false, term: 5 }]);
  });

  it('two leaders in one term are never believed', () => {
    const member = new TestMember().step(heartbeat(2, 2));
    expect(() => member.step(heartbeat(2, 3))).toThrow('two leaders');
  });
});

describe('a leader', () => {
  const three = (): TestNetwork =>
    new TestNetwork(new TestMember(), new TestMember({ id: 2 }), new TestMember({ id: 3 }));

  it('steps down when no quorum has answered for an election time-out (thesis 6.2)', () => {
    const network = three().elect(1).down(2, 3);
    const leader = network.member(1).tick(ELECTION_TICKS);
    network.settle();
    expect(leader.tick(ELECTION_TICKS).status).toMatchObject({ role: 'follower', leader: 0 });
  });

  it('stays while one of two others answers', () => {
    const network = three().elect(1).down(3);
    for (let time = 0; time < 5 * ELECTION_TICKS; time++) {
      network.member(1).tick();
      network.settle();
    }
    expect(network.member(1).status.role).toBe('leader');
  });

  it('hands over when the other has everything (thesis 3.10)', () => {
    const network = three().elect(1);
    expect(network.member(1).raft.transfer(2)).toBe(true);
    network.member(1).drive();
    network.settle();
    expect(network.member(2).status.role).toBe('leader');
    expect(network.member(1).status).toMatchObject({ role: 'follower', leader: 2 });
  });

  it('waits with that until the other has caught up, and takes no proposals meanwhile', () => {
    const network = three().elect(1).down(2);
    network.member(1).propose('a');
    network.settle();
    const { raft } = network.member(1);
    expect(raft.transfer(2)).toBe(true);
    expect(raft.propose([Buffer.from('b')])).toEqual({ ok: false, reason: 'transferring' });
    network.up(2).member(1).tick();
    network.settle();
    expect(network.member(2).status.role).toBe('leader');
  });

  it('gives it up after an election time-out', () => {
    const network = three().elect(1).down(2);
    const leader = network.member(1);
    leader.propose('a').raft.transfer(2);
    for (let time = 0; time < ELECTION_TICKS; time++) {
      leader.tick();
      network.settle();
    }
    expect(leader.raft.propose([Buffer.from('b')])).toMatchObject({ ok: true });
  });

  it.each([{ to: 1 }, { to: 9 }])('does not hand over to $to', ({ to }) => {
    expect(three().elect(1).member(1).raft.transfer(to)).toBe(false);
  });
});

describe('a member that was cut off', () => {
  it('does not disturb the others when it comes back (thesis 9.6)', () => {
    const network = new TestNetwork(new TestMember(), new TestMember({ id: 2 }), new TestMember({ id: 3 }))
      .elect(1)
      .down(3);
    for (let time = 0; time < 10 * ELECTION_TICKS; time++) {
      network.member(1).tick();
      network.member(3).tick();
      network.settle();
    }
    network
      .up(3)
      .member(3)
      .tick(2 * ELECTION_TICKS);
    network.settle();
    network.member(1).tick();
    network.settle();
    expect(network.member(1).status).toMatchObject({ role: 'leader', term: 2 });
    expect(network.member(3).status).toMatchObject({ leader: 1, term: 2 });
  });

  it('brings a group that waits for it together with its higher term', () => {
    const network = new TestNetwork(
      new TestMember({ id: 1 }),
      new TestMember({ id: 2 }),
      new TestMember({ id: 3, term: 7 }),
    );
    network.down(3).elect(1).up(3);
    network.member(1).tick();
    network.settle();
    expect(network.member(1).status.term).toBe(7);
  });
});
