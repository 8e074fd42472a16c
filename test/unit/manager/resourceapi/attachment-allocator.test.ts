import { describe, expect, test } from 'vitest';
import { messageOf, WaggleError } from '../../../../proto/runtime/errors.ts';
import type { AttachmentObject } from '../../../../proto/objects/network.ts';
import type { AddressReport, AllocateRequest } from '../../../../manager/resourceapi/attachment-allocator.ts';
import { AllocatorBench, newNetwork, newTask } from '../allocator/fixture.ts';

const TINY = { IPAMOptions: { Configs: [{ Subnet: '10.50.0.0/29' }] } };

async function startedBench(options: { watchLimit?: number } = {}): Promise<AllocatorBench> {
  const bench = new AllocatorBench(options);
  await bench.start();
  await bench.store.update((tx) => {
    tx.create('networks', newNetwork('net1', TINY));
    tx.create('networks', newNetwork('closed', { Attachable: false }));
    tx.create('tasks', newTask('t1', { Spec: { Networks: [{ Target: 'net1' }] } }));
  });
  await bench.settle(600);
  return bench;
}

function request(reference: string, fields: Partial<AllocateRequest> = {}): AllocateRequest {
  return { nodeId: 'n1', networkId: 'net1', reference, ...fields };
}

function leases(bench: AllocatorBench): string[] {
  return bench.store.view((tx) => [...tx.all('attachments')].map(({ Address }) => Address)).sort();
}

/** The node gives up all that it does not hold. */
async function giveUp(bench: AllocatorBench, held: AddressReport['held']): Promise<void> {
  const unused = await bench.attachments.report({ nodeId: 'n1', held, givenUp: [] });
  await bench.attachments.report({ nodeId: 'n1', held, givenUp: unused.map(({ ID }) => ID) });
}

describe('AttachmentAllocator', () => {
  test('gives addresses beside those of tasks, the same for the same reference', async () => {
    const bench = await startedBench();
    const twice = [bench.attachments.allocate(request('a')), bench.attachments.allocate(request('a'))];
    expect(await Promise.all(twice)).toEqual(['10.50.0.3/29', '10.50.0.3/29']);
    expect(await bench.attachments.allocate(request('a', { address: '10.50.0.6' }))).toBe('10.50.0.3/29');
    expect(await bench.attachments.allocate(request('a', { nodeId: 'n2' }))).toBe('10.50.0.4/29');
    expect(await bench.attachments.allocate(request('b', { address: '10.50.0.6/29' }))).toBe('10.50.0.6/29');
    expect(leases(bench)).toEqual(['10.50.0.3/29', '10.50.0.4/29', '10.50.0.6/29']);
    await bench.allocator.stop();
  });

  test('gives IPv6 addresses of their own, beside the IPv4 ones', async () => {
    const bench = await startedBench();
    await bench.store.update((tx) => {
      const Configs = [{ Subnet: '10.60.0.0/29' }, { Subnet: '10.61.0.0/30' }, { Subnet: 'fd00:60::/126' }];
      tx.create('networks', newNetwork('both', { IPv6Enabled: true, IPAMOptions: { Configs } }));
      tx.create('tasks', newTask('t2', { Spec: { Networks: [{ Target: 'both' }] } }));
    });
    await bench.settle(600);
    expect(bench.task('t2').NetworksAttachments?.[0]?.Addresses).toEqual(['10.60.0.2/29', 'fd00:60::2/126']);
    const on = { networkId: 'both' };
    expect(await bench.attachments.allocate(request('a', on))).toBe('10.60.0.3/29');
    expect(await bench.attachments.allocate(request('b', { ...on, ipv6: true }))).toBe('fd00:60::3/126');
    const none = bench.attachments.allocate(request('c', { ...on, ipv6: true }));
    await expect(none).rejects.toThrow('could not find an available IP');
    await bench.attachments.release({ nodeId: 'n1', networkId: 'both', address: 'fd00:60::3' });
    expect(await bench.attachments.allocate(request('d', { ...on, address: 'fd00:60:0::3' }))).toBe('fd00:60::3/126');
    expect(await bench.attachments.allocate(request('e', { ...on, address: '10.61.0.2' }))).toBe('10.61.0.2/30');
    await giveUp(bench, [{ networkId: 'both', address: 'fd00:60::3' }]);
    expect(leases(bench)).toEqual(['fd00:60::3/126']);
    await bench.allocator.stop();
  });

  test.for([
    { id: 'unknown network', fields: { networkId: 'nope' }, code: 'not-found', text: 'network nope not found' },
    {
      id: 'not attachable',
      fields: { networkId: 'closed' },
      code: 'permission-denied',
      text: 'network closed not manually attachable',
    },
    { id: 'held by a task', fields: { address: '10.50.0.2' }, code: 'already-exists', text: 'Address already in use' },
    { id: 'the gateway', fields: { address: '10.50.0.1' }, code: 'already-exists', text: 'Address already in use' },
    {
      id: 'of another network',
      fields: { address: '10.51.0.2' },
      code: 'out-of-range',
      text: 'Requested address is out of range',
    },
    { id: 'no address', fields: { address: 'x' }, code: 'invalid-argument', text: 'invalid IP address: x' },
    { id: 'IPv6 without any', fields: { ipv6: true }, code: 'out-of-range', text: 'Requested address is out of range' },
    {
      id: 'IPv6 address without any',
      fields: { address: 'fd00::5' },
      code: 'out-of-range',
      text: 'Requested address is out of range',
    },
  ])('refuses: $id', async ({ fields, code, text }) => {
    const bench = await startedBench();
    const error: unknown = await bench.attachments.allocate(request('r', fields)).catch((thrown: unknown) => thrown);
    expect([error instanceof WaggleError && error.code, messageOf(error)]).toEqual([code, text]);
    expect(leases(bench)).toEqual([]);
    expect(bench.allocator.addresses.freeCount('net1')).toBe(4);
    await bench.allocator.stop();
  });

  test('none left; a released one can be had again at once', async () => {
    const bench = await startedBench();
    for (const reference of ['a', 'b', 'c', 'd']) await bench.attachments.allocate(request(reference));
    await expect(bench.attachments.allocate(request('e'))).rejects.toThrow('could not find an available IP');
    await bench.attachments.release({ nodeId: 'n2', networkId: 'net1', address: '10.50.0.4' });
    expect(leases(bench)).toHaveLength(4);
    await bench.attachments.release({ nodeId: 'n1', networkId: 'net1', address: '10.50.0.4' });
    expect(await bench.attachments.allocate(request('f', { address: '10.50.0.4' }))).toBe('10.50.0.4/29');
    await bench.allocator.stop();
  });

  test('a refused write leaves nothing behind after a minute; a retry before that gets the same address', async () => {
    const bench = await startedBench();
    const { addresses } = bench.allocator;
    bench.proposer.mode = 'refused';
    await expect(bench.attachments.allocate(request('a'))).rejects.toThrow('no leader');
    expect(addresses.freeCount('net1')).toBe(3);
    bench.proposer.mode = 'ok';
    expect(await bench.attachments.allocate(request('a'))).toBe('10.50.0.3/29');
    bench.proposer.mode = 'refused';
    await expect(bench.attachments.allocate(request('b'))).rejects.toThrow('no leader');
    bench.proposer.mode = 'ok';
    await bench.settle(61_000);
    await bench.attachments.report({ nodeId: 'n2', held: [], givenUp: [] });
    expect(addresses.freeCount('net1')).toBe(3);
    await bench.allocator.stop();
  });

  test('a late commit and a retry are one lease', async () => {
    const bench = await startedBench();
    bench.proposer.mode = 'late';
    await expect(bench.attachments.allocate(request('a'))).rejects.toThrow('no leader');
    await expect(bench.attachments.allocate(request('a', { address: '10.50.0.6' }))).rejects.toThrow('no leader');
    bench.proposer.mode = 'ok';
    bench.proposer.flush();
    expect(await bench.attachments.allocate(request('a'))).toBe('10.50.0.3/29');
    expect(leases(bench)).toEqual(['10.50.0.3/29']);
    expect(bench.allocator.addresses.freeCount('net1')).toBe(3);
    await bench.allocator.stop();
  });

  test('a lease that may yet be committed survives a fresh look at the store', async () => {
    const bench = await startedBench({ watchLimit: 0 });
    bench.proposer.mode = 'late';
    await expect(bench.attachments.allocate(request('a'))).rejects.toThrow('no leader');
    const late = bench.proposer.hold();
    await bench.burst(
      ['x', 'y', 'z'].map((id) => (tx) => tx.create('tasks', newTask(id, { DesiredState: 'shutdown' }))),
    );
    await bench.settle(1_000);
    expect(bench.allocator.addresses.freeCount('net1')).toBe(3);
    bench.proposer.resume(late);
    expect(leases(bench)).toEqual(['10.50.0.3/29']);
    await bench.allocator.stop();
  });

  test('report tells what the node does not use, and removes of it what the node has given up', async () => {
    const bench = await startedBench();
    await bench.attachments.allocate(request('a'));
    await bench.attachments.allocate(request('b'));
    await bench.attachments.allocate(request('c', { nodeId: 'n2' }));
    const held = [{ networkId: 'net1', address: '10.50.0.3' }];
    const report = (givenUp: string[]): Promise<AttachmentObject[]> =>
      bench.attachments.report({ nodeId: 'n1', held, givenUp });
    const [unused, ...rest] = await report([]);
    expect([unused?.Reference, rest]).toEqual(['b', []]);
    expect(leases(bench)).toHaveLength(3);
    expect(await report([unused?.ID ?? ''])).toEqual([]);
    // What is leased after that under the same address is another lease: the same word that comes late does not take it.
    await bench.attachments.allocate(request('d', { address: '10.50.0.4' }));
    expect(await report([unused?.ID ?? ''])).toMatchObject([{ Reference: 'd' }]);
    expect(leases(bench)).toEqual(['10.50.0.3/29', '10.50.0.4/29', '10.50.0.5/29']);
  });

  test('report removes nothing that is held, or of another node, whoever gives it up', async () => {
    const bench = await startedBench();
    await bench.attachments.allocate(request('a'));
    await bench.attachments.allocate(request('b', { nodeId: 'n2' }));
    const [a] = await bench.attachments.report({ nodeId: 'n1', held: [], givenUp: [] });
    const [b] = await bench.attachments.report({ nodeId: 'n2', held: [], givenUp: [] });
    const held = [{ networkId: 'net1', address: '10.50.0.3/29' }];
    await bench.attachments.report({ nodeId: 'n1', held, givenUp: [a?.ID ?? '', b?.ID ?? '', 'nobody'] });
    expect(leases(bench)).toHaveLength(2);
    await bench.allocator.stop();
  });

  test('a waiting task gets the address of a released lease', async () => {
    const bench = await startedBench();
    for (const reference of ['a', 'b', 'c', 'd']) await bench.attachments.allocate(request(reference));
    await bench.store.update((tx) => tx.create('tasks', newTask('t2', { Spec: { Networks: [{ Target: 'net1' }] } })));
    await bench.settle();
    expect(bench.task('t2').Status.State).toBe('new');
    await bench.attachments.release({ nodeId: 'n1', networkId: 'net1', address: '10.50.0.5' });
    await bench.settle();
    expect(bench.addressOf('t2')).toBe('10.50.0.5');
    await bench.allocator.stop();
  });
});
