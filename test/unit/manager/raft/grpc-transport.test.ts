import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { InstallSnapshot, Message } from '../../../../manager/raft/core/message.ts';
import { configurationOf, entry } from './core/core-fixture.ts';
import { type Endpoint, type EndpointOptions, startEndpoint, TestCa } from './raft-endpoints.ts';

const WAIT = { timeout: 8000, interval: 10 };
const beat = (to: number, context: number, from = 1): Message => ({
  type: 'heartbeat',
  from,
  to,
  term: 1,
  commit: 0,
  context,
});
const append = (to: number, index: number, bytes: number): Message => ({
  type: 'append',
  from: 1,
  to,
  term: 1,
  prevIndex: index - 1,
  prevTerm: 1,
  commit: 0,
  entries: [{ ...entry(index, 1), data: Buffer.alloc(bytes, index) }],
});
const snapshotTo = (to: number): InstallSnapshot => ({
  type: 'snapshot',
  from: 1,
  to,
  term: 3,
  meta: { index: 9, term: 2, configuration: configurationOf([1, 2]) },
});
const contextsOf = ({ recorder }: Endpoint): number[] =>
  recorder.messages.flatMap((message) => (message.type === 'heartbeat' ? [message.context] : []));

let ca: TestCa;
beforeAll(async () => {
  ca = await TestCa.make();
});

const running: Endpoint[] = [];
afterEach(async () => {
  for (const endpoint of running.splice(0)) await endpoint.stop();
});

async function start(id: number, options: Partial<EndpointOptions> = {}): Promise<Endpoint> {
  const endpoint = await startEndpoint({ id, material: await ca.material(`node${id}`), ...options });
  running.push(endpoint);
  return endpoint;
}

/** Two members that know each other. */
async function pair(options: Partial<EndpointOptions> = {}): Promise<[Endpoint, Endpoint]> {
  const [one, two] = [await start(1), await start(2, options)];
  one.transport.setMembers(new Map([[2, two.address]]));
  two.transport.setMembers(new Map([[1, one.address]]));
  return [one, two];
}

describe('GrpcTransport', () => {
  it('brings messages over, in order, small and large', async () => {
    const [one, two] = await pair();
    one.transport.send([beat(2, 1), append(2, 7, 1_000_000), beat(2, 2)]);
    for (let context = 3; context <= 200; context++) one.transport.send([beat(2, context)]);
    await vi.waitFor(() => expect(two.recorder.messages.length).toBe(201), WAIT);
    expect(contextsOf(two)).toEqual(Array.from({ length: 200 }, (_, at) => at + 1));
    const large = two.recorder.messages.find(({ type }) => type === 'append') as Message & { type: 'append' };
    expect(large.entries[0]?.data.length).toBe(1_000_000);
  });

  it('drops what is for nobody it knows', async () => {
    const [one, two] = await pair();
    one.transport.send([beat(9, 1), beat(2, 2)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([2]), WAIT);
  });

  it('says that a peer is away, and reaches it when it is back', async () => {
    const [one, two] = await pair();
    one.transport.send([beat(2, 1)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([1]), WAIT);
    const port = Number(two.address.split(':')[1]);
    await two.stop();
    await vi.waitFor(() => expect(one.recorder.away).toContain(2), WAIT);
    one.transport.send([beat(2, 2)]);
    const again = await start(2, { port });
    let context = 10;
    await vi.waitFor(() => {
      one.transport.send([beat(2, context++)]);
      expect(contextsOf(again).length).toBeGreaterThan(0);
    }, WAIT);
    // What was sent meanwhile is lost, not late.
    expect(contextsOf(again)).not.toContain(2);
  });

  it('gives a handshake up whose answer never comes, and begins another one', async () => {
    const two = await start(2);
    const sockets = new Set<Socket>();
    let isMute = true;
    // What a network is that loses one side's words, and then a peer that has given up: nothing ever comes back.
    const keep = (socket: Socket): Socket => {
      sockets.add(socket.on('error', () => undefined));
      return socket;
    };
    const relay = createServer((socket) => {
      keep(socket);
      if (!isMute) socket.pipe(keep(connect(Number(two.address.split(':')[1]), '127.0.0.1'))).pipe(socket);
    });
    await new Promise<void>((done) => relay.listen(0, '127.0.0.1', done));
    const one = await start(1, { connectWithinMs: 300 });
    one.transport.setMembers(new Map([[2, `127.0.0.1:${(relay.address() as AddressInfo).port}`]]));
    let context = 0;
    const beats = async (done: () => void): Promise<void> =>
      vi.waitFor(() => {
        one.transport.send([beat(2, context++)]);
        done();
      }, WAIT);
    await beats(() => expect(one.recorder.away).toContain(2));
    isMute = false;
    await beats(() => expect(contextsOf(two).length).toBeGreaterThan(0));
    relay.close();
    for (const socket of sockets) socket.destroy();
  });

  it('uses a renewed certificate for what comes next', async () => {
    const [one, two] = await pair();
    one.transport.send([beat(2, 1)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([1]), WAIT);
    one.renew(await ca.material('node1'));
    one.transport.send([beat(2, 2)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([1, 2]), WAIT);
    expect(one.recorder.away).toEqual([]);
  });

  it('follows a member to another address when it is told', async () => {
    const [one, two] = await pair();
    const moved = await start(2);
    one.transport.send([beat(2, 1)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([1]), WAIT);
    one.transport.setMembers(new Map([[2, moved.address]]));
    one.transport.send([beat(2, 2)]);
    await vi.waitFor(() => expect(contextsOf(moved)).toEqual([2]), WAIT);
  });

  it('follows a member that says itself that it has moved, until the membership says something new', async () => {
    const one = await start(1);
    const two = await start(2);
    one.transport.setMembers(new Map([[2, '127.0.0.1:1']]));
    two.transport.setMembers(new Map([[1, one.address]]));
    two.transport.send([beat(1, 1, 2)]);
    await vi.waitFor(() => expect(one.located).toEqual([{ id: 2, address: two.address }]), WAIT);
    one.transport.send([beat(2, 7)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([7]), WAIT);
    // The same list again does not undo it; a new address does.
    one.transport.setMembers(new Map([[2, '127.0.0.1:1']]));
    one.transport.send([beat(2, 8)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([7, 8]), WAIT);
    const third = await start(2);
    one.transport.setMembers(new Map([[2, third.address]]));
    one.transport.send([beat(2, 9)]);
    await vi.waitFor(() => expect(contextsOf(third)).toEqual([9]), WAIT);
  });
});

describe('snapshots', () => {
  it('come in chunks and whole, larger than any one message', async () => {
    const [one, two] = await pair();
    const chunks = Array.from({ length: 100 }, (_, at) => Buffer.alloc(64 * 1024, at));
    await one.transport.sendSnapshot(snapshotTo(2), [...chunks, Buffer.alloc(5_000_000)]);
    expect(two.recorder.snapshots).toMatchObject([{ message: snapshotTo(2), bytes: 100 * 64 * 1024 + 5_000_000 }]);
    expect(two.recorder.snapshots[0]?.chunks).toBeGreaterThan(100);
  });

  it('are taken from the state only as fast as the peer takes them', async () => {
    const [one] = await pair();
    let taken = 0;
    const endless = (function* () {
      for (; taken < 10_000; taken++) yield Buffer.alloc(64 * 1024);
    })();
    const sending = one.transport.sendSnapshot(snapshotTo(2), endless);
    await Promise.resolve();
    // Not a gigabyte at once.
    expect(taken).toBeLessThan(100);
    await running[1]?.stop();
    await expect(sending).rejects.toThrow();
  });

  it.each([
    { id: 'whose address is not known', members: new Map<number, string>() },
    { id: 'that is not there', members: new Map([[2, '127.0.0.1:1']]) },
  ])('fail for a member $id', async ({ members }) => {
    const one = await start(1);
    one.transport.setMembers(members);
    await expect(one.transport.sendSnapshot(snapshotTo(2), [Buffer.from('s')])).rejects.toMatchObject({
      code: 'unavailable',
    });
  });

  it('fail when the state cannot be read', async () => {
    const [one, two] = await pair();
    const broken = (function* () {
      yield Buffer.from('s');
      throw new Error('state is gone');
    })();
    await expect(one.transport.sendSnapshot(snapshotTo(2), broken)).rejects.toThrow('state is gone');
    expect(two.recorder.snapshots).toEqual([]);
  });

  it('do not hold up heartbeats', async () => {
    const [one, two] = await pair();
    const sending = one.transport.sendSnapshot(
      snapshotTo(2),
      Array.from({ length: 300 }, () => Buffer.alloc(64 * 1024)),
    );
    one.transport.send([beat(2, 1)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([1]), WAIT);
    expect(two.recorder.snapshots).toEqual([]);
    await sending;
  });
});

describe('who is let in', () => {
  const cases: { id: string; material: () => ReturnType<TestCa['material']>; from: number }[] = [
    { id: 'a manager of another swarm', material: () => ca.material('node1', 'manager', 'another'), from: 1 },
    { id: 'a worker', material: () => ca.material('node1', 'worker'), from: 1 },
    { id: 'a node that was removed', material: () => ca.material('gone'), from: 1 },
    { id: "a manager under another one's Raft ID", material: () => ca.material('node7'), from: 1 },
    { id: 'somebody with a root of his own', material: async () => (await TestCa.make()).material('node1'), from: 1 },
  ];
  it.each(cases)('not $id', async ({ material, from }) => {
    const two = await start(2);
    const stranger = await start(from, { material: await material() });
    stranger.transport.setMembers(new Map([[2, two.address]]));
    stranger.transport.send([beat(2, 1, from)]);
    await vi.waitFor(() => expect(stranger.recorder.away).toEqual([2]), WAIT);
    await expect(stranger.transport.sendSnapshot(snapshotTo(2), [Buffer.from('s')])).rejects.toThrow();
    expect([two.recorder.messages, two.recorder.snapshots, two.located]).toEqual([[], [], []]);
  });

  it('a swarm that was begun anew at the address of a member is told from the old one', async () => {
    const other = await start(2, { material: await (await TestCa.make()).material('node2') });
    const one = await start(1);
    one.transport.setMembers(new Map([[2, other.address]]));
    one.transport.send([beat(2, 1)]);
    await vi.waitFor(() => expect(one.recorder.away).toContain(2), WAIT);
    await expect(one.transport.sendSnapshot(snapshotTo(2), [Buffer.from('s')])).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('the manager there is one of another swarm'),
    });
    expect([other.recorder.messages, other.recorder.snapshots]).toEqual([[], []]);
  });

  it('nothing that is for a member that was here before', async () => {
    const [one, two] = await pair();
    one.transport.setMembers(new Map([[5, two.address]]));
    one.transport.send([beat(5, 1)]);
    await vi.waitFor(() => expect(one.recorder.away).toEqual([5]), WAIT);
    await expect(one.transport.sendSnapshot(snapshotTo(5), [])).rejects.toMatchObject({ code: 'not-found' });
    expect(two.recorder.messages).toEqual([]);
  });

  it('a member that is not known yet, but it cannot say where others are', async () => {
    const two = await start(2, { nodeOf: () => undefined });
    const one = await start(1);
    one.transport.setMembers(new Map([[2, two.address]]));
    one.transport.send([beat(2, 1)]);
    await vi.waitFor(() => expect(contextsOf(two)).toEqual([1]), WAIT);
    expect(two.located).toEqual([]);
  });
});
