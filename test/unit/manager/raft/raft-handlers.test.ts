import { crc32 } from 'node:zlib';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { toWire } from '../../../../manager/raft/wire.ts';
import { waggle } from '../../../../proto/gen/raft.js';
import { CHANNEL_OPTIONS, nodeCredentials } from '../../../../proto/rpc/credentials.ts';
import { raftService } from '../../../../proto/rpc/services.ts';
import { fromServiceError } from '../../../../proto/rpc/status.ts';
import { configurationOf } from './core/core-fixture.ts';
import { type Endpoint, startEndpoint, TestCa } from './raft-endpoints.ts';

/** Manager 1 says things to manager 2 that no manager of ours says. */

type Wire = waggle.raft.IMessage;

let ca: TestCa;
let two: Endpoint;
let client: InstanceType<typeof raftService.Client>;
beforeAll(async () => {
  ca = await TestCa.make();
});
afterEach(async () => {
  client.close();
  await two.stop();
});

async function begin(): Promise<void> {
  two = await startEndpoint({ id: 2, material: await ca.material('node2') });
  client = new raftService.Client(two.address, nodeCredentials(await ca.material('node1')), {
    ...CHANNEL_OPTIONS,
    'grpc.max_send_message_length': 64 * 1024 * 1024,
  });
}

/** Resolves with the answer's error, or undefined. */
function upload<Part>(
  open: (onEnd: (error: Error | null) => void) => { write(part: Part): unknown; end(): unknown; on: unknown },
  parts: readonly Part[],
): Promise<unknown> {
  return new Promise((resolve) => {
    const stream = open((error) => resolve(error === null ? undefined : fromServiceError(error)));
    for (const part of parts) stream.write(part);
    stream.end();
  });
}

const beat = (to: number): Wire => toWire({ type: 'heartbeat', from: 1, to, term: 1, commit: 0, context: 7 });
const head: Wire = toWire({
  type: 'snapshot',
  from: 1,
  to: 2,
  term: 3,
  meta: { index: 9, term: 2, configuration: configurationOf([1, 2]) },
});

describe('messages', () => {
  const BAD: { id: string; messages: Wire[]; code: string; says: string }[] = [
    {
      id: 'an unknown kind',
      messages: [{ ...beat(2), kind: 99 as waggle.raft.Kind }],
      code: 'invalid-argument',
      says: 'unknown kind',
    },
    { id: 'one for another member', messages: [beat(5)], code: 'not-found', says: 'raft member 5 is not here' },
    {
      id: 'an entry that is too large',
      messages: [
        {
          kind: waggle.raft.Kind.APPEND,
          from: 1,
          to: 2,
          term: 1,
          entries: [{ index: 1, term: 1, data: new Uint8Array(3_500_000) }],
        },
      ],
      code: 'invalid-argument',
      says: 'too large',
    },
    {
      id: 'more than one message may hold',
      messages: [{ ...beat(2), configurationJson: 'x'.repeat(5_000_000) }],
      code: 'resource-exhausted',
      says: '4194304',
    },
  ];
  it.each(BAD)('with $id are refused, all that came together', async ({ messages, code, says }) => {
    await begin();
    const batch = { messages: [beat(2), ...messages] };
    const error = await upload((onEnd) => client.messages(onEnd), [batch]);
    expect(error).toMatchObject({ code, message: expect.stringContaining(says) });
    expect(two.recorder.messages).toEqual([]);
  });

  it('cannot say that they are sent from no address', async () => {
    await begin();
    for (const address of ['x'.repeat(5_000), 'nowhere', '1.2.3.4:5 or so']) {
      await upload((onEnd) => client.messages(onEnd), [{ messages: [beat(2)], address }]);
    }
    expect([two.recorder.messages.length, two.located]).toEqual([3, []]);
  });
});

describe('a snapshot', () => {
  const chunk = Buffer.from('the state');
  const BAD: { id: string; parts: waggle.raft.ISnapshotPart[]; says: string }[] = [
    { id: 'of nothing', parts: [], says: 'not whole' },
    { id: 'without its message', parts: [{ chunk }, { last: true }], says: 'not whole' },
    { id: 'with another message', parts: [{ message: beat(2) }, { last: true }], says: 'not whole' },
    { id: 'without an end', parts: [{ message: head }, { chunk }], says: 'not whole' },
    {
      id: 'with a byte changed',
      parts: [{ message: head }, { chunk }, { last: true, checksum: crc32('the State') }],
      says: 'checksum',
    },
    {
      id: 'of a chunk less',
      parts: [{ message: head }, { chunk }, { last: true, checksum: crc32('the state, all') }],
      says: 'checksum',
    },
    { id: 'for another member', parts: [{ message: { ...head, to: 5 } }, { last: true }], says: 'not here' },
  ];
  it.each(BAD)('$id is refused', async ({ parts, says }) => {
    await begin();
    const error = await upload((onEnd) => client.installSnapshot(onEnd), parts);
    expect(error).toMatchObject({ message: expect.stringContaining(says) });
    expect(two.recorder.snapshots).toEqual([]);
  });

  it('that is whole is taken', async () => {
    await begin();
    const parts = [{ message: head }, { chunk }, { chunk }, { last: true, checksum: crc32('the statethe state') }];
    expect(await upload((onEnd) => client.installSnapshot(onEnd), parts)).toBeUndefined();
    expect(two.recorder.snapshots).toMatchObject([{ bytes: 18, chunks: 2 }]);
  });
});
