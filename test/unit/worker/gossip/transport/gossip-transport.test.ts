import dgram from 'node:dgram';
import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import type { SwimPacket } from '../../../../../worker/gossip/core/swim-message.ts';
import type { Content } from '../../../../../worker/gossip/transport/envelope.ts';
import { GossipTransport } from '../../../../../worker/gossip/transport/gossip-transport.ts';
import { KeyRing } from '../../../../../worker/gossip/transport/key-ring.ts';
import { encodeEnvelope } from '../../../../../worker/gossip/transport/message-codec.ts';
import { eventually } from '../../../../lab/eventually.ts';
import { SeededRandom } from '../../../../sim/raft/seeded-random.ts';

const PORT = 17_947;
const key = (tag: number) => ({ tag, key: new Uint8Array(16).fill(tag) });
const address = (index: number): string => `127.77.1.${index + 1}`;
const ping: SwimPacket = {
  kind: 'ping',
  sequence: 1,
  target: '',
  incarnation: 1,
  checksum: 0,
  stream: false,
  news: [],
};
const large = Array.from({ length: 2_000 }, (_, n) => ({
  nodeId: `node-${n}`,
  state: 'alive' as const,
  incarnation: 1,
  accuser: '',
}));
const closing: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function start(index: number, tags: number[]): Promise<{ transport: GossipTransport; heard: Content[] }> {
  const heard: Content[] = [];
  const transport = new GossipTransport(
    { nodeId: `n${index}`, bindAddress: address(index), port: PORT },
    {
      clock: systemClock,
      log: silentLog,
      random: new SeededRandom(index + 1).next,
      onContent: (_, content) => heard.push(content),
    },
  );
  transport.setKeys(tags.map(key));
  await transport.start();
  closing.push(() => transport.stop());
  return { transport, heard };
}

function socket(): dgram.Socket {
  const made = dgram.createSocket('udp4');
  closing.push(() => new Promise<void>((resolve) => made.close(() => resolve())));
  return made;
}

function sealed(tag: number, counter: number): Buffer {
  const ring = new KeyRing();
  ring.set([key(tag)]);
  return ring.seal(encodeEnvelope({ from: 'x', session: 1, counter, content: { swim: ping } })) as Buffer;
}

describe('GossipTransport', () => {
  it('delivers by datagram, and in order by one stream what is large or asks for it', async () => {
    const [a, b] = [await start(0, [1]), await start(1, [1])];
    a.transport.send(address(1), PORT, { swim: ping });
    for (let sequence = 2; sequence < 6; sequence++) {
      a.transport.send(address(1), PORT, { swim: { ...ping, sequence, kind: 'state', stream: true, news: large } });
    }
    await eventually('all', () => b.heard.length === 5, { everyMs: 5 });
    const sequences = b.heard.flatMap((content) => ('swim' in content ? content.swim.sequence : []));
    expect(sequences.toSorted((x, y) => x - y)).toEqual([1, 2, 3, 4, 5]);
    expect(sequences.filter((sequence) => sequence > 1)).toEqual([2, 3, 4, 5]);
  });

  it('takes the same packet once, counts every repetition', async () => {
    const { transport, heard } = await start(0, [1]);
    const from = socket();
    for (const counter of [1, 2, 1, 2, 2]) from.send(sealed(1, counter), PORT, address(0));
    await eventually('five packets', () => heard.length + transport.drops.replayed === 5, { everyMs: 5 });
    expect([heard.length, transport.drops.replayed]).toEqual([2, 3]);
  });

  it('counts by reason what it drops', async () => {
    const { transport, heard } = await start(0, [1, 2]);
    const from = socket();
    const changed = sealed(1, 9);
    changed.writeUInt8(changed.readUInt8(30) ^ 1, 30);
    const ring = new KeyRing();
    ring.set([key(2)]);
    for (const bytes of [sealed(7, 1), Buffer.from('hello'), changed, ring.seal(Buffer.from([0xff, 0xff])) as Buffer]) {
      from.send(bytes, PORT, address(0));
    }
    const count = (): number => Object.values(transport.drops).reduce((sum, each) => sum + each, 0);
    await eventually('four drops', () => count() === 4, { everyMs: 5 });
    expect(transport.drops).toMatchObject({ unknownKey: 2, unauthenticated: 1, malformed: 1 });
    expect(heard).toEqual([]);
  });

  it('no packet is lost while keys rotate node by node, even when one is late by a whole period', async () => {
    const rings = [
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ];
    const nodes = await Promise.all(rings.map((tags, index) => start(index, tags)));
    let sent = 0;
    const everyoneToEveryone = async (): Promise<void> => {
      nodes.forEach(({ transport }, from) => {
        nodes.forEach((_, to) => from !== to && transport.send(address(to), PORT, { swim: ping }));
      });
      sent += 6;
      await eventually('all packets', () => nodes.reduce((sum, { heard }) => sum + heard.length, 0) === sent, {
        everyMs: 2,
      });
    };
    for (let tag = 4; tag < 9; tag++) {
      const late = nodes[2]?.transport;
      for (const { transport } of nodes.slice(0, 2)) {
        transport.setKeys([key(tag), key(tag - 1), key(tag - 2)]);
        await everyoneToEveryone();
      }
      // It hears of the rotation only when the next one is about to begin.
      late?.setKeys([key(tag), key(tag - 1), key(tag - 2)]);
      await everyoneToEveryone();
    }
    expect(nodes.map(({ transport }) => transport.drops.unknownKey)).toEqual([0, 0, 0]);
  });

  it('a flood of rubbish by both ways neither grows it nor stops it', async () => {
    const [a, b] = [await start(0, [1]), await start(1, [1])];
    const from = socket();
    const before = process.memoryUsage().rss;
    const rubbish = Buffer.alloc(1_400, 1);
    for (let n = 0; n < 20_000; n++) {
      from.send(rubbish, PORT, address(0));
      if (n % 200 === 0) await new Promise<void>((resolve) => setImmediate(resolve));
    }
    const announced = Buffer.concat([Buffer.from([0, 15, 255, 255]), Buffer.alloc(900_000, 2)]);
    const streams = Array.from({ length: 80 }, () => net.connect(PORT, address(0)).on('error', () => undefined));
    for (const stream of streams) stream.write(announced);
    await eventually('streams refused', () => a.transport.drops.overload > 0, { everyMs: 5 });
    b.transport.send(address(0), PORT, { swim: ping });
    await eventually('an honest packet', () => a.heard.length === 1, { everyMs: 5 });
    for (const stream of streams) stream.destroy();
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6);
    expect(a.transport.drops.unknownKey).toBeGreaterThan(1_000);
  });

  it('one address that keeps streams open does not keep out the streams of others', async () => {
    const [a, b] = [await start(0, [1]), await start(1, [1])];
    const connect = (): net.Socket => net.connect({ port: PORT, host: address(0), localAddress: address(8) });
    const streams = Array.from({ length: 100 }, () => connect().on('error', () => undefined));
    closing.push(async () => streams.forEach((stream) => stream.destroy()));
    await eventually('the ones too many are refused', () => a.transport.drops.overload === 84, { everyMs: 5 });
    b.transport.send(address(0), PORT, { swim: { ...ping, kind: 'state', stream: true, news: large } });
    await eventually('an honest stream', () => a.heard.length === 1, { everyMs: 5 });
  });
});
