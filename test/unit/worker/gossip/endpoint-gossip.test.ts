import dgram from 'node:dgram';
import { afterEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { systemRandom } from '../../../../proto/runtime/random.ts';
import { LOCAL } from '../../../../worker/gossip/core/swim-preset.ts';
import { EndpointGossip } from '../../../../worker/gossip/endpoint-gossip.ts';
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
    const options = { nodeId: `n${index}`, bindAddress: address(index), port: PORT, preset: LOCAL };
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
  await eventually('a dropped packet', () => a.drops.unknownKey === 1, { everyMs: 5 });
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

describe('five nodes on real sockets', () => {
  const COUNT = 5;
  async function swarm(): Promise<EndpointGossip[]> {
    const nodes = await start(COUNT);
    for (const node of nodes) node.setKeys(keys);
    nodes.forEach((node, index) => node.publish(endpoint(index)));
    await eventually('all records everywhere', () => nodes.every((node) => node.network('net').length === COUNT), {
      everyMs: 10,
    });
    return nodes;
  }
  const stateOf = (node: EndpointGossip, index: number): string | undefined => node.members.get(`n${index}`)?.state;

  it('a node that stops is dead for all, its records are suspended, and come back with it', async () => {
    const nodes = await swarm();
    const [first, ...others] = nodes as [EndpointGossip, ...EndpointGossip[]];
    const told = new Set<string>();
    others[0]?.members.onChange((nodeIds) => nodeIds.forEach((nodeId) => told.add(nodeId)));
    await first.stop();
    await eventually('death', () => others.every((node) => stateOf(node, 0) === 'dead'), {
      everyMs: 10,
      timeoutMs: 15_000,
    });
    expect(others.map((node) => node.network('net').length)).toEqual([4, 4, 4, 4]);
    expect(told).toEqual(new Set(['n0']));
    const sinceMs = others[0]?.members.get('n0')?.sinceMs ?? 0;
    expect(Math.abs(systemClock.now() - sinceMs)).toBeLessThan(5_000);
    await first.start();
    await eventually(
      'return',
      () => others.every((node) => stateOf(node, 0) === 'alive' && node.network('net').length === COUNT),
      { everyMs: 10, timeoutMs: 15_000 },
    );
  });

  it('one that leaves is dropped at once', async () => {
    const nodes = await swarm();
    const others = nodes.slice(1);
    nodes[0]?.leave();
    await eventually('farewell', () => others.every((node) => stateOf(node, 0) === 'left'), {
      everyMs: 2,
      timeoutMs: 5_000,
    });
    expect(others.map((node) => node.network('net').length)).toEqual([4, 4, 4, 4]);
  });

  it('a network is there soon after the first look', async () => {
    const nodes = await swarm();
    nodes[0]?.publish({ ...endpoint(9), networkId: 'late' });
    expect(nodes[3]?.network('late')).toEqual([]);
    await eventually('its record', () => nodes[3]?.network('late').length === 1, { everyMs: 1, timeoutMs: 5_000 });
  });
});
