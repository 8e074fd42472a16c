import { describe, expect, it } from 'vitest';
import { MAX_PROPOSAL_BYTES } from '../../../../manager/store/transaction.ts';
import type { Leadership } from '../../../../manager/raft/raft-node.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';
import { proposerConformance } from '../store/proposer-conformance.ts';
import { type GroupMember, idsIn, NodeGroup, write } from './node-group.ts';

for (const count of [1, 3]) {
  proposerConformance(`RaftNode, ${count} member${count > 1 ? 's' : ''}`, async () => {
    const group = await NodeGroup.of(count);
    const { store, node } = group.leader();
    return { store, proposer: node, stop: () => group.stop() };
  });
}

/** How a promise that nobody has waited for yet came out. */
const outcome = async (promise: Promise<unknown>): Promise<string> => {
  const said = await Promise.race([
    promise.then(
      () => 'done',
      (error: unknown) => (error as { code?: string }).code ?? String(error),
    ),
    settle().then(() => 'waiting'),
  ]);
  return said;
};

describe('RaftNode', () => {
  it('leads a cluster of its own as soon as its first entry is applied', async () => {
    const group = new NodeGroup();
    const told: Leadership[] = [];
    const starting = group.start(1, true);
    group.member(1).node.onLeadership((each) => told.push(each));
    const { node } = await starting;
    expect(told.filter(({ isLeader }) => isLeader)).toEqual([{ leader: 1, isLeader: true, term: 2 }]);
    expect(node.status().applied).toBe(2);
    await group.stop();
  });

  it('does not count as leader before what was committed earlier is applied', async () => {
    const group = await NodeGroup.of(3);
    await write(group.leader().store, 'a');
    const told: boolean[] = [];
    for (const { node, store } of group.members.values()) {
      node.onLeadership(({ isLeader }) => {
        if (isLeader) told.push(idsIn(store).includes('a'));
      });
    }
    await group.crash(1);
    await group.pass(60);
    expect(told).toEqual([true]);
    expect(group.leader().id).not.toBe(1);
    await group.stop();
  });

  it('tells each change of leader once, to followers too', async () => {
    const group = await NodeGroup.of(3);
    const told: Leadership[] = [];
    const stop = group.member(2).node.onLeadership((each) => told.push(each));
    group.leader().node.transferTo(3);
    await group.pass(5);
    expect(told.map(({ leader }) => leader)).toEqual([0, 3]);
    stop();
    group.member(3).node.transferTo(1);
    await group.pass(5);
    expect(told.length).toBe(2);
    await group.stop();
  });

  it('replicates to followers, who hold the same', async () => {
    const group = await NodeGroup.of(3);
    for (const id of ['a', 'b', 'c']) await write(group.leader().store, id);
    await group.pass(5);
    for (const { store } of group.members.values()) expect(idsIn(store)).toEqual(['a', 'b', 'c']);
    await group.stop();
  });

  it.each([
    { id: 'a proposal', ask: ({ node }: GroupMember) => node.propose(Buffer.from('x')) },
    {
      id: 'a change of members',
      ask: ({ node }: GroupMember) => node.changeMembers({ changes: [{ kind: 'remove', id: 2 }] }),
    },
    { id: 'a read barrier', ask: ({ node }: GroupMember) => node.readBarrier() },
  ])('a follower refuses $id', async ({ ask }) => {
    const group = await NodeGroup.of(2);
    await expect(ask(group.member(2))).rejects.toMatchObject({ code: 'unavailable' });
    await expect(ask(group.member(2))).rejects.toThrow('does not have a leader');
    await group.stop();
  });

  it('refuses what is too large, and what makes no sense', async () => {
    const group = await NodeGroup.of(1);
    const { node } = group.leader();
    await expect(node.propose(new Uint8Array(MAX_PROPOSAL_BYTES + 1))).rejects.toMatchObject({
      code: 'resource-exhausted',
    });
    await expect(node.changeMembers({ changes: [{ kind: 'remove', id: 1 }] })).rejects.toMatchObject({
      code: 'failed-precondition',
    });
    await group.stop();
  });

  it('bounds what waits', async () => {
    const group = await NodeGroup.of(2);
    group.cut.add(2);
    const { node } = group.leader();
    const waiting = Array.from({ length: 8193 }, () => node.propose(Buffer.from('{"at":"","actions":[]}')));
    await expect(waiting.at(-1)).rejects.toMatchObject({ code: 'resource-exhausted' });
    const others = Promise.allSettled(waiting.slice(0, -1));
    await group.stop();
    expect((await others).every(({ status }) => status === 'rejected')).toBe(true);
  });

  it('shares an fsync among what comes in while one is under way', async () => {
    const group = await NodeGroup.of(1);
    const { store, disk } = group.leader();
    const before = disk.writes;
    await Promise.all(Array.from({ length: 100 }, (_, at) => write(store, `s${at}`)));
    expect(disk.writes - before).toBeLessThan(5);
    await group.stop();
  });
});

describe('read barriers', () => {
  it('wait for a quorum', async () => {
    const group = await NodeGroup.of(3);
    const { node } = group.leader();
    group.drop = ({ type }) => type === 'heartbeat-response';
    const barrier = node.readBarrier();
    expect(await outcome(barrier)).toBe('waiting');
    group.drop = () => false;
    await group.pass(3);
    expect(await outcome(barrier)).toBe('done');
    await group.stop();
  });

  it('are refused by a leader that was cut off', async () => {
    const group = await NodeGroup.of(3);
    const { node } = group.leader();
    group.cut.add(1);
    const barrier = expect(node.readBarrier()).rejects.toMatchObject({ code: 'unavailable' });
    await group.pass(40);
    await barrier;
    await group.stop();
  });
});

describe('loss of leadership', () => {
  it('rejects what is under way: its outcome is unknown', async () => {
    const group = await NodeGroup.of(3);
    const old = group.leader();
    group.cut.add(1);
    const pending = expect(write(old.store, 'lost')).rejects.toMatchObject({ code: 'unavailable' });
    await group.pass(40);
    await pending;
    expect(old.node.leadership.isLeader).toBe(false);
    expect(group.leader().id).not.toBe(1);
    await write(group.leader().store, 'kept');
    group.cut.clear();
    await group.pass(40);
    expect(idsIn(old.store)).toEqual(['kept']);
    await group.stop();
  });
});

describe('restarts', () => {
  it('find everything that was acknowledged', async () => {
    const group = await NodeGroup.of(1);
    await write(group.leader().store, 'a');
    await group.crash(1);
    const { store } = await group.start(1, true);
    await group.pass(30);
    expect(idsIn(store)).toEqual(['a']);
    await write(store, 'b');
    await group.stop();
  });

  it('find it in the snapshot and the log behind it', async () => {
    const group = await NodeGroup.of(1, { snapshotInterval: 5 });
    for (let at = 0; at < 13; at++) await write(group.leader().store, `s${at}`);
    await settle();
    const { snapshot, entries } = group.member(1).disk.state;
    expect(snapshot?.meta.index).toBeGreaterThan(5);
    expect(entries[0]?.index).toBe((snapshot?.meta.index ?? 0) - 1);
    await group.crash(1);
    const { store } = await group.start(1);
    await group.pass(30);
    expect(idsIn(store).length).toBe(13);
    await group.stop();
  });

  it('of all members at once bring the cluster back', async () => {
    const group = await NodeGroup.of(3);
    await write(group.leader().store, 'a');
    for (const id of [1, 2, 3]) await group.crash(id);
    for (const id of [1, 2, 3]) await group.start(id);
    await group.pass(60);
    await write(group.leader().store, 'b');
    await group.pass(5);
    for (const { store } of group.members.values()) expect(idsIn(store)).toEqual(['a', 'b']);
    await group.stop();
  });

  it('of one of two, whose removal of the other was its last act', async () => {
    const group = await NodeGroup.of(2);
    await group.leader().node.changeMembers({ changes: [{ kind: 'remove', id: 2 }] });
    await group.crash(2);
    await group.crash(1);
    await group.start(1);
    await group.pass(30);
    expect(group.leader().id).toBe(1);
    await group.stop();
  });
});

describe('a majority that is lost for good', () => {
  async function alone(): Promise<NodeGroup> {
    const group = await NodeGroup.of(3);
    for (const id of ['a', 'b']) await write(group.leader().store, id);
    await group.pass(5);
    for (const id of [1, 2, 3]) await group.crash(id);
    return group;
  }

  it('keeps the last member from deciding anything', async () => {
    const group = await alone();
    await group.start(2);
    await group.pass(100);
    expect(group.member(2).node.leadership.isLeader).toBe(false);
    await group.stop();
  });

  it('is given up on demand: the member goes on alone with what it has, and may take in others', async () => {
    const group = await alone();
    const { node, store } = await group.start(2, false, true);
    await group.pass(30);
    expect(node.status().configuration).toMatchObject({ voters: [2], outgoing: [] });
    expect(idsIn(store)).toEqual(['a', 'b']);
    await write(store, 'c');
    await group.start(9);
    const joined = node.changeMembers({ changes: [{ kind: 'add-voter', id: 9 }] });
    await group.pass(20);
    await joined;
    expect(idsIn(group.member(9).store)).toEqual(['a', 'b', 'c']);
    await group.stop();
  });

  it('is no way to change the members of a cluster that works', async () => {
    const group = await NodeGroup.of(1);
    const change = { changes: [{ kind: 'add-voter' as const, id: 1 }], startsAnew: true };
    await expect(group.leader().node.changeMembers(change)).rejects.toMatchObject({ code: 'failed-precondition' });
    await group.stop();
  });
});

describe('timers', () => {
  it('are those of the settings of the moment', async () => {
    const group = await NodeGroup.of(3);
    const settings = { keepOldSnapshots: 0, entriesForSlowFollowers: 3, snapshotInterval: 1000 };
    const all = [...group.members.values()];
    for (const { node } of all) node.configure({ ...settings, electionTicks: 200, heartbeatTicks: 5 });
    const former = group.leader();
    group.cut.add(former.id);
    await group.pass(190);
    expect(all.filter(({ node, id }) => id !== former.id && node.leadership.isLeader)).toEqual([]);
    for (const { node } of all) node.configure({ ...settings, electionTicks: 10, heartbeatTicks: 2 });
    await group.pass(60);
    expect(all.filter(({ node, id }) => id !== former.id && node.leadership.isLeader).length).toBe(1);
    await group.stop();
  });
});

describe('snapshots', () => {
  async function lagging(): Promise<NodeGroup> {
    const group = await NodeGroup.of(3, { snapshotInterval: 5 });
    await group.crash(3);
    for (let at = 0; at < 20; at++) await write(group.leader().store, `s${at}`);
    return group;
  }

  it('bring a member up to date that was away for longer than the log goes back', async () => {
    const group = await lagging();
    const { store, disk } = await group.start(3);
    await group.pass(30);
    expect(idsIn(store).length).toBe(20);
    expect(disk.state.snapshot?.meta.index).toBeGreaterThan(5);
    await write(group.leader().store, 'more');
    await group.pass(5);
    expect(idsIn(store)).toContain('more');
    await group.stop();
  });

  it('that were lost are sent again', async () => {
    const group = await lagging();
    let lost = 0;
    group.drop = ({ type }) => type === 'snapshot' && lost++ < 2;
    const { store } = await group.start(3);
    await group.pass(60);
    expect(lost).toBe(3);
    expect(idsIn(store).length).toBe(20);
    await group.stop();
  });

  it('that come twice, or are older than the state, change nothing', async () => {
    const group = await lagging();
    const { store, node } = await group.start(3);
    await group.pass(30);
    const { configuration, committed, term } = node.status();
    const none = (async function* () {})();
    const stale = (index: number): Promise<void> =>
      node.receiveSnapshot({ type: 'snapshot', from: 1, to: 3, term, meta: { index, term, configuration } }, none);
    await stale(committed);
    await stale(2);
    await settle();
    expect([idsIn(store).length, group.member(3).fatal]).toEqual([20, []]);
    await group.stop();
  });

  it('are taken as often as the settings of the moment say', async () => {
    const group = await NodeGroup.of(1);
    const { node, store, disk } = group.leader();
    for (let at = 0; at < 10; at++) await write(store, `before${at}`);
    expect(disk.state.snapshot).toBeUndefined();
    const settings = { electionTicks: 10, heartbeatTicks: 2, keepOldSnapshots: 0, entriesForSlowFollowers: 3 };
    node.configure({ ...settings, snapshotInterval: 4 });
    await write(store, 'after');
    await settle();
    const { snapshot, entries } = disk.state;
    expect(snapshot?.meta.index).toBe(13);
    expect(entries.map(({ index }) => index)).toEqual([11, 12, 13]);
    await group.stop();
  });
});

describe('a disk that fails', () => {
  it('stops the member loudly, and nothing is acknowledged any more', async () => {
    const group = await NodeGroup.of(1);
    const member = group.leader();
    member.disk.error = new Error('no space left on device');
    await expect(write(member.store, 'a')).rejects.toMatchObject({ code: 'unavailable' });
    expect(member.fatal.map(({ message }) => message)).toEqual(['no space left on device']);
    expect(idsIn(member.store)).toEqual([]);
    member.disk.error = undefined;
    await expect(write(member.store, 'b')).rejects.toMatchObject({ code: 'unavailable' });
    await expect(member.node.readBarrier()).rejects.toMatchObject({ code: 'unavailable' });
    await group.pass(50);
    expect(member.fatal.length).toBe(1);
    await group.stop();
  });

  it('of a follower: it sends no answer, the others go on', async () => {
    const group = await NodeGroup.of(3);
    group.member(3).disk.error = new Error('I/O error');
    const answers: number[] = [];
    group.drop = ({ from, type }) => {
      if (from === 3 && type === 'append-response') answers.push(from);
      return false;
    };
    await write(group.leader().store, 'a');
    await group.pass(20);
    expect([answers, group.member(3).fatal.length]).toEqual([[], 1]);
    await write(group.leader().store, 'b');
    await group.stop();
  });

  it('does not answer while it is slow', async () => {
    const group = await NodeGroup.of(1);
    const { store, disk } = group.leader();
    const resume = disk.hold();
    const pending = write(store, 'a');
    expect(await outcome(pending)).toBe('waiting');
    expect(idsIn(store)).toEqual([]);
    resume();
    await pending;
    expect(idsIn(store)).toEqual(['a']);
    await group.stop();
  });

  it('in a snapshot is fatal, too', async () => {
    const group = await NodeGroup.of(1, { snapshotInterval: 5 });
    const { store, disk, fatal } = group.leader();
    disk.snapshotError = new Error('I/O error');
    await write(store, 'a');
    expect(fatal).toEqual([]);
    for (let at = 0; at < 5 && fatal.length === 0; at++) await Promise.allSettled([write(store, `s${at}`)]);
    await settle();
    expect(fatal.map(({ message }) => message)).toEqual(['I/O error']);
    await expect(write(store, 'b')).rejects.toMatchObject({ code: 'unavailable' });
    await group.stop();
  });
});

describe('a broken promise', () => {
  it('a log entry that cannot be read stops the member', async () => {
    const group = await NodeGroup.of(1);
    const { node, fatal } = group.leader();
    await expect(node.propose(Buffer.from('no proposal'))).rejects.toMatchObject({ code: 'unavailable' });
    expect(fatal.map(({ message }) => message)).toEqual([expect.stringContaining('log entry is not JSON')]);
    await group.stop();
  });

  it('two leaders in one term stop the member', async () => {
    const group = await NodeGroup.of(3);
    const { term } = group.leader().node.status();
    group.member(2).node.receive({ type: 'heartbeat', from: 3, to: 2, term, commit: 0, context: 0 });
    expect(group.member(2).fatal.map(({ message }) => message)).toEqual([expect.stringContaining('two leaders')]);
    await group.stop();
  });
});

describe('stopping', () => {
  it('rejects whoever waits, and is idempotent', async () => {
    const group = await NodeGroup.of(2);
    group.cut.add(2);
    const { node, store } = group.leader();
    const waiting = [write(store, 'a'), node.readBarrier()].map((each) =>
      expect(each).rejects.toMatchObject({ code: 'unavailable' }),
    );
    await Promise.all([node.stop(), node.stop()]);
    await Promise.all(waiting);
    await expect(write(store, 'b')).rejects.toMatchObject({ code: 'unavailable' });
    await group.stop();
  });

  it('a leader hands over first: the others need not find out', async () => {
    const group = await NodeGroup.of(3);
    await group.member(1).node.stop();
    await group.pass(2);
    expect(group.leader().id).not.toBe(1);
    await group.stop();
  });

  it('a start that fails leaves nothing running', async () => {
    const group = await NodeGroup.of(1);
    await write(group.leader().store, 'a');
    await group.crash(1);
    const disk = (await group.start(1)).disk;
    await group.crash(1);
    // A snapshot that the state store cannot read.
    const meta = { index: 9, term: 2, configuration: { voters: [1], learners: [], outgoing: [], learnersNext: [] } };
    disk.state = { ...disk.state, entries: [], snapshot: { meta, chunks: [Buffer.from('junk')] } };
    await expect(group.start(1)).rejects.toThrow('snapshot');
    expect(group.clock.next()).toBeUndefined();
  });
});
