import { describe, expect, it } from 'vitest';
import { TestMember, TestNetwork } from './core-fixture.ts';

const three = (): TestNetwork => new TestNetwork(...[1, 2, 3].map((id) => new TestMember({ id })));

describe('ReadIndex (thesis 6.4)', () => {
  it('answers with the commit index once a quorum has confirmed the leader', () => {
    const network = three().elect(1).down(3);
    const leader = network.member(1);
    leader.propose('a');
    network.settle();
    leader.raft.readIndex(7);
    expect(leader.drive().reads).toEqual([]);
    network.settle();
    expect(leader.reads).toEqual([{ request: 7, index: 3 }]);
  });

  it('waits for an entry of the own term to be committed', () => {
    const network = three();
    network.drop = (message) => message.type === 'append';
    const leader = network.elect(1).member(1);
    leader.raft.readIndex(1);
    leader.drive().tick();
    network.settle();
    expect(leader.reads).toEqual([]);
    network.drop = () => false;
    leader.tick();
    network.settle();
    expect(leader.reads).toEqual([{ request: 1, index: 2 }]);
  });

  it('asks once for all that wait, and answers all', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    leader.outbox.splice(0);
    for (const request of [1, 2, 3]) leader.raft.readIndex(request);
    expect(leader.drive().outbox.length).toBe(2);
    network.settle();
    expect(leader.reads.map(({ request }) => request)).toEqual([1, 2, 3]);
  });

  it('does not count the answer to an earlier heartbeat', () => {
    const network = three().elect(1);
    const leader = network.member(1);
    const { term } = leader.status;
    leader.raft.readIndex(1);
    leader.drive().step({ type: 'heartbeat-response', from: 2, to: 1, term, context: 0 });
    expect(leader.reads).toEqual([]);
    leader.step({ type: 'heartbeat-response', from: 2, to: 1, term, context: 1 });
    expect(leader.reads.length).toBe(1);
  });

  it('is asked again with each heartbeat, should the first one be lost', () => {
    const network = three().elect(1).down(2, 3);
    const leader = network.member(1);
    leader.raft.readIndex(1);
    leader.drive();
    network.settle().up(2, 3);
    leader.tick();
    network.settle();
    expect(leader.reads.length).toBe(1);
  });

  it('is answered when those whose answer is missing are removed', () => {
    const network = new TestNetwork(new TestMember({ voters: [1, 2] }), new TestMember({ id: 2, voters: [1, 2] }))
      .elect(1)
      .down(2);
    const leader = network.member(1);
    leader.raft.readIndex(1);
    leader.drive();
    expect(leader.raft.proposeChange({ changes: [{ kind: 'remove', id: 2 }] })).toMatchObject({ ok: true });
    expect(leader.drive().reads.length).toBe(1);
  });

  it('is refused by a follower', () => {
    expect(three().elect(1).member(2).raft.readIndex(1)).toBe(false);
  });

  it('needs nobody in a cluster of one', () => {
    const member = new TestMember({ voters: [1] });
    member.raft.campaign();
    member.drive().raft.readIndex(1);
    expect(member.drive().reads).toEqual([{ request: 1, index: 2 }]);
  });
});
