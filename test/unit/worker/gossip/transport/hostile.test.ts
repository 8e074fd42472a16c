import dgram from 'node:dgram';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import type { SwimPacket } from '../../../../../worker/gossip/core/swim-message.ts';
import type { Content } from '../../../../../worker/gossip/transport/envelope.ts';
import { framed, FrameReader, MOST_FRAME_BYTES } from '../../../../../worker/gossip/transport/frame.ts';
import { GossipTransport } from '../../../../../worker/gossip/transport/gossip-transport.ts';
import { KeyRing } from '../../../../../worker/gossip/transport/key-ring.ts';
import { encodeEnvelope } from '../../../../../worker/gossip/transport/message-codec.ts';
import { VirtualClock } from '../../../../fixtures/virtual-clock.ts';
import { eventually } from '../../../../lab/eventually.ts';
import { SeededRandom } from '../../../../sim/raft/seeded-random.ts';

const PORT = 17_948;
const VICTIM = '127.77.3.1';
const FRIEND = '127.77.3.2';
const stranger = (index: number): string => `127.77.4.${1 + (index % 200)}`;
const key = { tag: 1, key: new Uint8Array(16).fill(1) };
const ping: SwimPacket = {
  kind: 'ping',
  sequence: 1,
  target: '',
  incarnation: 1,
  checksum: 0,
  stream: false,
  news: [],
};
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function start(
  bindAddress: string,
  clock = systemClock,
): Promise<{ transport: GossipTransport; heard: Content[] }> {
  const heard: Content[] = [];
  const random = new SeededRandom(1).next;
  const onContent = (_: string, content: Content): number => heard.push(content);
  const transport = new GossipTransport(
    { nodeId: bindAddress, bindAddress, port: PORT },
    { clock, log: silentLog, random, onContent },
  );
  transport.setKeys([key]);
  await transport.start();
  closing.push(() => transport.stop());
  return { transport, heard };
}

function sealed(counter: number, content: SwimPacket = ping): Buffer {
  const ring = new KeyRing();
  ring.set([key]);
  return ring.seal(encodeEnvelope({ from: 'x', session: 1, counter, content: { swim: content } })) as Buffer;
}

/** Open streams, each with what it says first; closed after the test. */
async function streams(count: number, says: Buffer, from = stranger): Promise<{ closed: () => number }> {
  let closed = 0;
  const opened = Array.from({ length: count }, async (_, index) => {
    const socket = net.connect({ host: VICTIM, port: PORT, localAddress: from(index) });
    closing.push(async () => socket.destroy());
    socket.on('error', () => undefined);
    socket.on('close', () => (closed += 1));
    await new Promise<void>((resolve) => socket.once('connect', resolve).once('close', resolve));
    socket.write(says);
  });
  await Promise.all(opened);
  return { closed: () => closed };
}

function sum(counts: object): number {
  return Object.values(counts).reduce<number>((total, each) => total + Number(each), 0);
}

describe('datagrams of strangers', () => {
  it('with any bit changed, or cut anywhere, are counted and never heard', async () => {
    const { transport, heard } = await start(VICTIM);
    const socket = dgram.createSocket('udp4');
    closing.push(() => new Promise<void>((resolve) => socket.close(() => resolve())));
    const right = sealed(1);
    const wrong = Array.from({ length: right.length }, (_, length) => right.subarray(0, length));
    for (let bit = 0; bit < right.length * 8; bit++) {
      const changed = Buffer.from(right);
      changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      wrong.push(changed);
    }
    for (const [index, bytes] of wrong.entries()) {
      socket.send(bytes, PORT, VICTIM);
      if (index % 50 === 0) await eventually('taken', () => sum(transport.drops) >= index, { everyMs: 1 });
    }
    await eventually('all counted', () => sum(transport.drops) === wrong.length, { everyMs: 5 });
    expect(transport.drops.unknownKey + transport.drops.unauthenticated).toBe(wrong.length);
    expect(heard).toEqual([]);
    socket.send(right, PORT, VICTIM);
    await eventually('the right one', () => heard.length === 1, { everyMs: 5 });
  });
});

describe('streams of strangers', () => {
  it('that say nothing, or a byte now and then, end after 3 s, and those of one address are few', async () => {
    const clock = new VirtualClock();
    const { transport } = await start(VICTIM, clock);
    const { closed } = await streams(40, Buffer.from([0]), () => stranger(0));
    await eventually('all but 16 refused', () => closed() === 24, { everyMs: 5 });
    expect(transport.drops).toMatchObject({ overload: 24, slow: 0 });
    await clock.advance(3_000);
    await eventually('all ended', () => closed() === 40, { everyMs: 5 });
    expect(transport.drops).toMatchObject({ overload: 24, slow: 16 });
  });

  it('by the thousand do not keep a node out', async () => {
    const victim = await start(VICTIM, new VirtualClock());
    const friend = await start(FRIEND);
    for (let round = 0; round < 10; round++) {
      await streams(200, Buffer.from([0, 0]));
      friend.transport.send(VICTIM, PORT, { swim: { ...ping, sequence: round, stream: true } });
      await eventually('heard', () => victim.heard.length === round + 1, { everyMs: 2 });
    }
    expect(victim.transport.drops.overload).toBeGreaterThanOrEqual(2_000 - 64 - 10);
    expect(friend.transport.drops).toMatchObject({ unsent: 0, overload: 0 });
  });

  it('one that authenticates is not given up for silent ones', async () => {
    const victim = await start(VICTIM, new VirtualClock());
    const first = Buffer.concat(framed(sealed(1)));
    const { closed } = await streams(1, first, () => FRIEND);
    await eventually('heard', () => victim.heard.length === 1, { everyMs: 2 });
    await streams(300, Buffer.from([0]));
    await eventually('silent ones gave way', () => victim.transport.drops.overload >= 300 - 63, { everyMs: 5 });
    expect(closed()).toBe(0);
  });

  it('with a wrong key end at the first frame, before the second is looked at', async () => {
    const { transport, heard } = await start(VICTIM, new VirtualClock());
    const wrong = Buffer.concat(framed(Buffer.alloc(64, 7)));
    const { closed } = await streams(1, Buffer.concat([wrong, ...Array<Buffer>(1_000).fill(wrong)]));
    await eventually('ended', () => closed() === 1, { everyMs: 5 });
    expect(transport.drops.unknownKey).toBe(1);
    expect(heard).toEqual([]);
  });

  it('repeated are heard once', async () => {
    const { transport, heard } = await start(VICTIM, new VirtualClock());
    const once = Buffer.concat(framed(sealed(5)));
    await streams(10, once);
    await eventually('nine repetitions', () => transport.drops.replayed === 9, { everyMs: 5 });
    expect(heard).toHaveLength(1);
  });
});

describe('FrameReader holds and works no more than it gets', () => {
  it('when a frame comes byte by byte', () => {
    const reader = new FrameReader();
    const [length] = framed(Buffer.alloc(200_000));
    let copied = 0;
    let before = 0;
    const push = (part: Buffer): void => {
      expect(reader.push(part)).toEqual([]);
      if (reader.heldBytes !== before) copied += before;
      before = reader.heldBytes;
    };
    push(length);
    const byte = Buffer.alloc(1);
    for (let at = 0; at < 199_999; at++) {
      if (reader.push(byte)?.length !== 0) expect.fail('a frame too early');
      if (reader.heldBytes !== before) copied += before;
      before = reader.heldBytes;
    }
    expect(reader.heldBytes).toBeLessThanOrEqual(400_010);
    expect(copied).toBeLessThanOrEqual(400_010);
    expect(reader.push(byte)).toHaveLength(1);
    expect(reader.heldBytes).toBe(0);
  });

  it('when a part is full of empty frames', () => {
    const frames = new FrameReader().push(Buffer.alloc(65_536)) ?? [];
    expect(frames).toHaveLength(16_384);
    // All of one piece of memory: nothing was copied for each.
    expect(new Set(frames.map((frame) => frame.buffer)).size).toBe(1);
  });

  it('when the largest frame comes in large parts', () => {
    const reader = new FrameReader();
    const whole = Buffer.concat(framed(Buffer.alloc(MOST_FRAME_BYTES)));
    for (let at = 0; at < whole.length - 60_000; at += 60_000) {
      expect(reader.push(whole.subarray(at, at + 60_000))).toEqual([]);
      expect(reader.heldBytes).toBeLessThanOrEqual(MOST_FRAME_BYTES + 4);
    }
  });
});
