import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { Adjacency } from '../../../../../worker/network/overlay/adjacency.ts';
import { ModelKernel } from '../../../../fixtures/model-kernel.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

const [NEAR, LATE, FAR] = ['192.168.0.2', '192.168.0.3', '192.168.9.4'];
const NEAR6 = 'fd00:78::2';
const MAC = '5e:00:00:00:00:02';
const ETH0 = { name: 'eth0', mac: '5e:00:00:00:00:01' };

let clock: VirtualClock;
let kernel: ModelKernel;
let adjacency: Adjacency;

beforeEach(() => {
  clock = new VirtualClock();
  kernel = new ModelKernel();
  kernel.adjacent = new Map([
    [NEAR, MAC],
    [LATE, '5e:00:00:00:00:03'],
  ]);
  adjacency = new Adjacency({ kernel, clock, log: silentLog });
  adjacency.setUnderlay(ETH0);
});

function neighbours(): string[] {
  return [...adjacency.neighbours.keys()];
}

describe('Adjacency', () => {
  it('knows a host on the link with its MAC, and not one behind a router', async () => {
    await adjacency.prepare([NEAR, FAR]);
    expect([...adjacency.neighbours]).toEqual([[NEAR, MAC]]);
    expect(kernel.questions).toBe(1);
  });

  it('asks for a host once until it is told to ask again', async () => {
    await adjacency.prepare([NEAR]);
    await adjacency.prepare([NEAR]);
    await Promise.all([adjacency.prepare([NEAR, FAR]), adjacency.prepare([FAR])]);
    // The one for FAR that came while another was under way had to ask too.
    expect(kernel.questions).toBeLessThanOrEqual(3);
    await adjacency.refresh([NEAR]);
    expect(kernel.questions).toBeLessThanOrEqual(4);
  });

  it('waits a little for the answer of a host, and no longer', async () => {
    kernel.silent.add(NEAR).add(LATE);
    let done = false;
    const prepared = adjacency.prepare([NEAR, LATE]).then(() => {
      done = true;
    });
    await settle();
    expect(done).toBe(false);
    kernel.silent.delete(NEAR);
    await clock.advance(1_000);
    await prepared;
    expect(neighbours()).toEqual([NEAR]);
    kernel.silent.delete(LATE);
    await adjacency.refresh([NEAR, LATE]);
    expect(neighbours()).toEqual([NEAR, LATE]);
  });

  it('keeps a neighbour that is down, and takes its new MAC', async () => {
    await adjacency.prepare([NEAR]);
    kernel.silent.add(NEAR);
    await adjacency.refresh([NEAR]);
    expect(adjacency.neighbours.get(NEAR)).toBe(MAC);
    kernel.silent.clear();
    kernel.adjacent.set(NEAR, '5e:00:00:00:00:09');
    await adjacency.refresh([NEAR]);
    expect(adjacency.neighbours.get(NEAR)).toBe('5e:00:00:00:00:09');
  });

  it('drops a host that is now behind a router, and one that nobody needs', async () => {
    await adjacency.prepare([NEAR, LATE]);
    kernel.adjacent.delete(NEAR);
    await adjacency.refresh([NEAR, LATE]);
    expect(neighbours()).toEqual([LATE]);
    await adjacency.refresh([NEAR]);
    expect(neighbours()).toEqual([]);
  });

  it('hears a host that has it on the link, and does not go there the same way', async () => {
    kernel.heard.set(FAR, '5e:00:00:00:00:04');
    await adjacency.prepare([NEAR, FAR]);
    expect(neighbours()).toEqual([NEAR]);
    expect([...adjacency.senders.keys()]).toEqual([NEAR, FAR]);
    kernel.heard.clear();
    await adjacency.refresh([NEAR, FAR]);
    expect([...adjacency.senders.keys()]).toEqual([NEAR]);
    kernel.silent.add(NEAR);
    await adjacency.refresh([NEAR]);
    expect([...adjacency.senders]).toEqual([[NEAR, MAC]]);
    await adjacency.refresh([]);
    expect(adjacency.senders.size).toBe(0);
  });

  it('gives out what stays as it was, whatever it learns afterwards', async () => {
    await adjacency.prepare([NEAR]);
    const { neighbours: former, senders } = adjacency;
    kernel.adjacent.delete(NEAR);
    await adjacency.refresh([NEAR]);
    expect([former.size, senders.size, neighbours().length]).toEqual([1, 1, 0]);
  });

  it('knows nobody without a link, and asks anew on another one', async () => {
    adjacency.setUnderlay(undefined);
    await adjacency.prepare([NEAR]);
    expect(neighbours()).toEqual([]);
    adjacency.setUnderlay({ ...ETH0, name: 'eth1' });
    await adjacency.prepare([NEAR]);
    expect(neighbours()).toEqual([NEAR]);
    adjacency.setUnderlay(ETH0);
    expect(neighbours()).toEqual([]);
  });

  it('knows hosts by IPv6 likewise', async () => {
    kernel.adjacent.set(NEAR6, MAC);
    await adjacency.prepare([NEAR6, 'fd00:99::4']);
    expect([...adjacency.neighbours]).toEqual([[NEAR6, MAC]]);
  });

  it('keeps its neighbours when its own MAC changes, and has the new one', async () => {
    await adjacency.prepare([NEAR]);
    adjacency.setUnderlay({ ...ETH0, mac: '5e:00:00:00:00:99' });
    expect(adjacency.underlay).toEqual({ link: 'eth0', mac: '5e:00:00:00:00:99' });
    expect(neighbours()).toEqual([NEAR]);
  });

  it.each([
    { id: 'a link without a MAC', link: { ...ETH0, mac: '' }, vtep: NEAR, mac: MAC },
    { id: 'a link name that nft would not take', link: { ...ETH0, name: 'e"0' }, vtep: NEAR, mac: MAC },
    { id: 'an address that is none', link: ETH0, vtep: 'x; reboot', mac: MAC },
    { id: 'a MAC that is none', link: ETH0, vtep: NEAR, mac: '00:00:00:00:00:00' },
  ])('does not use $id', async ({ link, vtep, mac }) => {
    kernel.adjacent = new Map([[vtep, mac]]);
    adjacency.setUnderlay(link);
    const prepared = adjacency.prepare([vtep]);
    await clock.advance(1_000);
    await prepared;
    expect(neighbours()).toEqual([]);
  });

  it('takes everybody for far when the kernel cannot be asked, and goes on', async () => {
    kernel.adjacentHosts = () => Promise.reject(new Error('ip: not found'));
    await adjacency.prepare([NEAR]);
    expect(neighbours()).toEqual([]);
    kernel.adjacentHosts = () => Promise.resolve({ onLink: new Set([NEAR]), macs: new Map([[NEAR, MAC]]) });
    await adjacency.refresh([NEAR]);
    expect(neighbours()).toEqual([NEAR]);
  });
});
