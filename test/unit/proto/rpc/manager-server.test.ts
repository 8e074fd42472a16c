import net from 'node:net';
import * as tls from 'node:tls';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { initCluster } from '../../../../manager/ca/init-cluster.ts';
import { ManagerServer } from '../../../../proto/rpc/manager-server.ts';
import { systemClock } from '../../../../proto/runtime/clock.ts';
import { silentLog } from '../../../../proto/runtime/log.ts';
import { VirtualClock } from '../../../fixtures/virtual-clock.ts';
import { eventually } from '../../../lab/eventually.ts';

let clock: VirtualClock;
let server: ManagerServer;
/** What a node of the swarm shows. */
let member: tls.ConnectionOptions;
const sockets: net.Socket[] = [];

beforeEach(async () => {
  clock = new VirtualClock();
  const { material } = await initCluster({ managerAddress: '127.0.0.1:0' }, { clock: systemClock });
  member = { cert: material.certificate, key: material.key };
  const source = { tls: () => material, onChange: () => () => undefined };
  server = new ManagerServer({ host: '127.0.0.1', port: 0 }, { source, clock, log: silentLog });
  await server.start();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server.stop();
});

interface Guest {
  state: 'open' | 'closed';
}

/** A connection from one of the loopback's addresses; one that is not `secure` never says a word. */
async function guest(localAddress: string, secure: boolean, shown: tls.ConnectionOptions = {}): Promise<Guest> {
  const made: Guest = { state: 'open' };
  const socket = net.connect({ host: '127.0.0.1', port: server.port, localAddress });
  const used = secure ? tls.connect({ ...shown, socket, rejectUnauthorized: false, ALPNProtocols: ['h2'] }) : socket;
  sockets.push(socket);
  for (const each of [socket, used]) each.on('error', () => undefined);
  used.once('close', () => {
    made.state = 'closed';
  });
  await new Promise<void>((resolve) => {
    used.once(secure ? 'secureConnect' : 'connect', resolve);
    used.once('close', resolve);
  });
  used.resume();
  return made;
}

async function guests(count: number, ...how: Parameters<typeof guest>): Promise<Guest[]> {
  const all: Guest[] = [];
  while (all.length < count) all.push(await guest(...how));
  return all;
}

const openOnes = (all: readonly Guest[]): number => all.filter(({ state }) => state === 'open').length;

it('strangers of one address that keep their connections do not keep others out', async () => {
  const evil = await guests(40, '127.0.0.9', true);
  await eventually('the ones too many are closed', () => openOnes(evil) === 32, { everyMs: 5 });
  const honest = await guest('127.0.0.1', true);
  await clock.advance(29_000);
  expect([openOnes(evil), honest.state]).toEqual([32, 'open']);
});

it('a stranger has 30 s for what a joining node does in one', async () => {
  const evil = await guests(2, '127.0.0.9', true);
  await clock.advance(30_000);
  await eventually('both are closed', () => openOnes(evil) === 0, { everyMs: 5 });
  expect((await guest('127.0.0.9', true)).state).toBe('open');
});

it('who connects and says nothing takes the places of its own address only, and gives them back', async () => {
  const mute = await guests(140, '127.0.0.9', false);
  await eventually('the ones too many are closed', () => openOnes(mute) === 128, { everyMs: 5 });
  expect((await guest('127.0.0.1', true)).state).toBe('open');
  for (const socket of sockets.splice(0)) socket.destroy();
  await eventually('there is place again', async () => (await guest('127.0.0.9', true)).state === 'open', {
    everyMs: 5,
  });
});

it('a handshake that is done gives its place back, and nodes of the swarm are not counted', async () => {
  const nodes = await Promise.all(Array.from({ length: 5 }, () => guests(28, '127.0.0.9', true, member)));
  expect(openOnes(nodes.flat())).toBe(140);
});
