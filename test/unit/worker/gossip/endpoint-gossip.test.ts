import dgram from 'node:dgram';
import { afterEach, expect, it } from 'vitest';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { systemRandom } from '../../../../proto/runtime/random.ts';
import { EndpointGossip } from '../../../../worker/gossip/endpoint-gossip.ts';
import { decodeMessage, encodeMessage } from '../../../../worker/gossip/transport/message-codec.ts';
import { eventually } from '../../../lab/eventually.ts';

const PORT = 17_946;
const keys = [{ tag: 1, key: new Uint8Array(16).fill(1) }];
const address = (index: number): string => `127.77.0.${index + 1}`;
const open: EndpointGossip[] = [];

afterEach(async () => {
  for (const node of open.splice(0)) await node.stop();
});

async function start(count: number): Promise<EndpointGossip[]> {
  const peers = Array.from({ length: count }, (_, index) => ({
    nodeId: `n${index}`,
    host: address(index),
    port: PORT,
  }));
  for (let index = 0; index < count; index++) {
    const options = { nodeId: `n${index}`, bindAddress: address(index), port: PORT };
    const node = new EndpointGossip(options, { clock: systemClock, log: silentLog, random: systemRandom });
    await node.start();
    open.push(node);
  }
  for (const node of open) node.setPeers(peers);
  return [...open];
}

function endpoint(n: number) {
  const names = [`container-${n}`, `alias-${n}`];
  return {
    networkId: 'net',
    endpointId: `e${n}`,
    address: '10.0.0.1',
    mac: '02:42:0a:00:00:01',
    vtep: '10.9.9.9',
    vni: 4096,
    names,
    services: ['web'],
  };
}

it('holds everything back until there are keys, then tells it: by datagram and, when large, by stream', async () => {
  const [a, b] = (await start(2)) as [EndpointGossip, EndpointGossip];
  for (let n = 0; n < 500; n++) a.publish(endpoint(n));
  expect(a.synced()).toBe(false);
  const changes: string[] = [];
  b.onChange((networks) => changes.push(...networks));
  a.setKeys(keys);
  b.setKeys(keys);
  await eventually('all records', () => b.network('net').length === 500, { everyMs: 10 });
  await eventually('a full exchange', () => a.synced() && b.synced(), { everyMs: 10 });
  a.withdraw('net', 'e7');
  await eventually('one less', () => b.network('net').length === 499, { everyMs: 1, timeoutMs: 1_000 });
  expect(new Set(changes)).toEqual(new Set(['net']));
  b.setPeers([]);
  expect(b.network('net')).toEqual([]);
});

it('counts and drops what does not authenticate', async () => {
  const [a] = (await start(1)) as [EndpointGossip];
  a.setKeys(keys);
  const socket = dgram.createSocket('udp4');
  socket.send(Buffer.from('hello'), PORT, address(0));
  await eventually('a dropped packet', () => a.drops.unauthenticated === 1, { everyMs: 5 });
  socket.close();
});

it('a port that is taken is said in words', async () => {
  await start(1);
  const again = new EndpointGossip(
    { nodeId: 'x', bindAddress: address(0), port: PORT },
    { clock: systemClock, log: silentLog, random: systemRandom },
  );
  await expect(again.start()).rejects.toThrow(`cannot listen on ${address(0)}:${PORT} for gossip`);
});

it('a message is the same after the wire', () => {
  const update = { owner: 'o', incarnation: 1_700_000_000_123, base: 1, covers: 3, snapshot: false };
  const change = { networkId: 'net', endpointId: 'e1', sequence: 2, endpoint: endpoint(1) };
  const message = {
    from: 'o',
    digests: [
      { owner: 'o', incarnation: 1_700_000_000_123, sequence: 9, count: 2, checksum: 4_294_967_295, coveredTo: 3 },
    ],
    replyWanted: true,
    updates: [
      {
        ...update,
        changes: [
          { ...change, endpoint: { ...endpoint(1), endpointId: 'e1' } },
          { networkId: 'net', endpointId: 'e2', sequence: 3 },
        ],
      },
    ],
    digestCount: 1,
    synced: true,
  };
  expect(decodeMessage(encodeMessage(message))).toEqual(message);
});
