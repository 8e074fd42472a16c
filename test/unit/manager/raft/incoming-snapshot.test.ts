import { describe, expect, it } from 'vitest';
import type { InstallSnapshot } from '../../../../manager/raft/core/message.ts';
import { idsIn, NodeGroup, write } from './node-group.ts';
import { settle } from '../../../fixtures/virtual-clock.ts';

/** Member 3 of a group that works is sent a snapshot by whoever says that he is member 1. */
async function receiver(): Promise<{ group: NodeGroup; message: InstallSnapshot; state: Uint8Array[] }> {
  const group = await NodeGroup.of(3);
  await write(group.leader().store, 'a');
  await group.pass(5);
  const { node } = group.member(3);
  const { configuration, term, committed } = node.status();
  const meta = { index: committed + 100, term, configuration };
  return {
    group,
    message: { type: 'snapshot', from: 1, to: 3, term, meta },
    state: [...group.leader().store.snapshot()],
  };
}

async function* sent(chunks: readonly (Uint8Array | Error)[]): AsyncIterable<Uint8Array> {
  for (const chunk of chunks) {
    await settle();
    if (chunk instanceof Error) throw chunk;
    yield chunk;
  }
}

const text = (line: string): Uint8Array => Buffer.from(line);

describe('a snapshot that comes in', () => {
  const BAD = [
    { id: 'of a newer format', chunks: [text('{"format":2}\n'), text('{"rows":0}\n')], says: 'made by a newer one' },
    { id: 'that is no snapshot', chunks: [text('\u0000'.repeat(100)), text('\n')], says: 'not JSON' },
    { id: 'that is cut short', chunks: [text('{"format":1}\n')], says: 'cut short' },
    { id: 'that lacks rows', chunks: [text('{"format":1}\n{"rows":3}\n')], says: 'damaged' },
    { id: 'that breaks off', chunks: [text('{"format":1}\n'), new Error('the line is cut')], says: 'the line is cut' },
  ];
  it.each(BAD)('$id is refused, and nothing has changed', async ({ chunks, says }) => {
    const { group, message } = await receiver();
    const { node, store, disk, fatal } = group.member(3);
    const before = node.status();
    await expect(node.receiveSnapshot(message, sent(chunks))).rejects.toThrow(says);
    expect([idsIn(store), disk.state.snapshot, fatal]).toEqual([['a'], undefined, []]);
    expect(node.status()).toMatchObject({ committed: before.committed, lastIndex: before.lastIndex });
    await write(group.leader().store, 'b');
    await group.pass(5);
    expect(idsIn(store)).toEqual(['a', 'b']);
    await group.stop();
  });

  it('is asked for its next chunk only when the disk has the last one', async () => {
    const { group, message, state } = await receiver();
    const { node, store, disk } = group.member(3);
    let taken = 0;
    const counted = (async function* () {
      for (const byte of Buffer.concat(state)) {
        taken++;
        yield await Promise.resolve(Buffer.from([byte]));
      }
    })();
    const resume = disk.hold();
    const done = node.receiveSnapshot(message, counted);
    await settle();
    expect(taken).toBe(1);
    resume();
    await done;
    await settle();
    expect([idsIn(store), disk.state.snapshot?.meta]).toEqual([['a'], message.meta]);
    await group.stop();
  });

  it('of an older term, or older than the state, is not even read', async () => {
    const { group, message } = await receiver();
    const { node } = group.member(3);
    const unread = sent([new Error('it was read')]);
    await node.receiveSnapshot({ ...message, term: message.term - 1 }, unread);
    await node.receiveSnapshot({ ...message, meta: { ...message.meta, index: 1 } }, unread);
    expect(group.member(3).fatal).toEqual([]);
    await group.stop();
  });
});
