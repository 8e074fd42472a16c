import { beforeEach, describe, expect, it } from 'vitest';
import { silentLog } from '../../../../../proto/runtime/log.ts';
import { redirectHandle } from '../../../../../worker/network/redirect/redirect-handle.ts';
import { emptyFamily } from '../../../../../worker/network/redirect/redirect-state.ts';
import type { DesiredRedirects } from '../../../../../worker/network/redirect/redirect-state.ts';
import { Redirects } from '../../../../../worker/network/redirect/redirects.ts';
import { ModelRedirects } from '../../../../fixtures/model-redirects.ts';
import { settle, VirtualClock } from '../../../../fixtures/virtual-clock.ts';

const [MAC, OTHER_MAC] = ['02:00:00:00:00:01', '02:00:00:00:00:02'];
const [FIRST, SECOND, THIRD] = ['10.0.5.11', '10.0.5.12', 'fd00::5:11'];
const [LOWER, OTHER] = ['wgl000000000001', 'wgl000000000002'];
const HANDLE = redirectHandle(FIRST, 'ip');

describe('Redirects', () => {
  let clock: VirtualClock;
  let kernel: ModelRedirects;
  let desired: DesiredRedirects | undefined;
  let redirects: Redirects;
  const make = (): Redirects =>
    new Redirects({ kernel, desired: () => desired, clock, random: () => 0.5, log: silentLog });
  const want = (rows: Record<string, string>, link = 'eth0', mac = MAC): void => {
    desired = { underlay: { link, mac }, redirects: new Map(Object.entries(rows)) };
  };
  const ways = (link = 'eth0', mac = MAC): (string | undefined)[] =>
    [FIRST, SECOND, THIRD].map((address) => kernel.wayOf(link, address, mac));

  beforeEach(async () => {
    clock = new VirtualClock();
    kernel = new ModelRedirects();
    kernel.addLower(LOWER);
    kernel.addLower(OTHER);
    redirects = make();
    want({ [FIRST]: LOWER, [THIRD]: OTHER });
    await redirects.run();
  });

  it('has a row for each address here, and changes one row each', async () => {
    expect(ways()).toEqual([LOWER, undefined, OTHER]);
    kernel.done.length = 0;
    want({ [FIRST]: LOWER, [SECOND]: OTHER, [THIRD]: OTHER });
    redirects.refresh();
    await settle();
    expect(ways()).toEqual([LOWER, OTHER, OTHER]);
    want({ [SECOND]: OTHER, [THIRD]: OTHER });
    await redirects.run();
    expect(ways()).toEqual([undefined, OTHER, OTHER]);
    expect(kernel.done).toEqual(['create-redirect', 'delete-redirect']);
    expect(redirects.repairs).toEqual({});
  });

  it('looks at all links when it begins, and then at the underlay alone', async () => {
    await redirects.audit();
    await redirects.audit();
    expect(kernel.looks).toEqual(['all', ['eth0'], ['eth0']]);
  });

  it.each([
    {
      id: 'the qdisc removed',
      change: () => kernel.links.delete('eth0'),
      kinds: ['redirect table missing', 'redirect table missing'],
    },
    {
      id: 'a table removed',
      change: () => (kernel.link('eth0').families.ip = { table: 'none', entries: new Map(), rows: new Map() }),
      kinds: ['redirect table missing'],
    },
    {
      id: 'a table altered',
      change: () => (kernel.link('eth0').families.ip.table = 'altered'),
      kinds: ['redirect table altered'],
    },
    {
      id: 'nothing leads into the table',
      change: () => kernel.link('eth0').families.ip.entries.clear(),
      kinds: ['redirect table altered'],
    },
    {
      id: 'something else leads into the table',
      change: () => kernel.link('eth0').families.ip.entries.set('800::800', true),
      kinds: ['redirect table altered'],
    },
    { id: 'a row removed', change: () => kernel.link('eth0').families.ip.rows.clear(), kinds: ['redirect missing'] },
    {
      id: 'a row altered',
      change: () => kernel.link('eth0').families.ip.rows.set(HANDLE, 'altered'),
      kinds: ['redirect altered'],
    },
    {
      id: 'a row for another MAC',
      change: () => kernel.link('eth0').families.ip.rows.set(HANDLE, { address: FIRST, mac: OTHER_MAC, lower: LOWER }),
      kinds: ['redirect altered'],
    },
    {
      id: 'a row to another link',
      change: () => kernel.link('eth0').families.ip.rows.set(HANDLE, { address: FIRST, mac: MAC, lower: OTHER }),
      kinds: ['redirect altered'],
    },
    {
      id: 'a row too many',
      change: () =>
        kernel.link('eth0').families.ip.rows.set('7a6:1:1', { address: '10.9.9.1', mac: MAC, lower: LOWER }),
      kinds: ['redirect leaked'],
    },
  ])('names, repairs and counts drift: $id', async ({ change, kinds }) => {
    expect(await redirects.differences()).toEqual([]);
    change();
    expect((await redirects.differences()).map(({ kind }) => kind)).toEqual(kinds);
    kernel.failures = 1;
    await redirects.audit();
    await clock.advance(10_000);
    expect(ways()).toEqual([LOWER, undefined, OTHER]);
    expect(kernel.wayOf('eth0', '10.9.9.1', MAC)).toBeUndefined();
    expect(await redirects.differences()).toEqual([]);
    const counts: Record<string, number> = {};
    for (const kind of kinds) counts[kind] = (counts[kind] ?? 0) + 1;
    expect(redirects.repairs).toEqual(counts);
  });

  it('leads to a lower link that was made anew under the same name; that is no drift', async () => {
    kernel.removeLower(LOWER);
    kernel.addLower(LOWER);
    expect(ways()[0]).toBe('dropped');
    expect((await redirects.differences()).map(({ kind }) => kind)).toEqual(['redirect dead']);
    await redirects.audit();
    expect(ways()).toEqual([LOWER, undefined, OTHER]);
    expect(redirects.repairs).toEqual({});
  });

  it('has no row to a lower link that is gone, and one when it comes; that is no drift', async () => {
    kernel.removeLower(LOWER);
    await redirects.run();
    expect(ways()).toEqual([undefined, undefined, OTHER]);
    expect(await redirects.differences()).toEqual([]);
    kernel.addLower(LOWER);
    await redirects.run();
    expect(ways()).toEqual([LOWER, undefined, OTHER]);
    expect(redirects.repairs).toEqual({});
  });

  it('goes with the underlay to another link, and follows its MAC', async () => {
    want({ [FIRST]: LOWER }, 'eth1', OTHER_MAC);
    await redirects.run();
    expect(ways('eth1', OTHER_MAC)).toEqual([LOWER, undefined, undefined]);
    expect(kernel.link('eth0').qdisc).toBe('none');
    want({ [FIRST]: LOWER }, 'eth1', MAC);
    await redirects.run();
    expect(ways('eth1', OTHER_MAC)).toEqual([undefined, undefined, undefined]);
    expect(ways('eth1')).toEqual([LOWER, undefined, undefined]);
    expect(redirects.repairs).toEqual({});
  });

  it('clears the former underlay link also when that fails at first', async () => {
    want({ [FIRST]: LOWER }, 'eth1');
    kernel.failures = 3;
    await redirects.run();
    expect(kernel.link('eth0').qdisc).toBe('clsact');
    await clock.advance(10_000);
    expect(kernel.link('eth0').qdisc).toBe('none');
    expect(ways('eth1')).toEqual([LOWER, undefined, undefined]);
  });

  it('clears a link that it had begun to use when the underlay is back where it was', async () => {
    want({ [FIRST]: LOWER, [SECOND]: LOWER }, 'eth1');
    kernel.failures = 2;
    await redirects.run();
    expect(kernel.link('eth1').families.ip.table).toBe('made');
    want({ [FIRST]: LOWER });
    await redirects.run();
    expect(kernel.link('eth1').qdisc).toBe('none');
    expect(ways()).toEqual([LOWER, undefined, undefined]);
  });

  it('clears what an earlier life has left on other links; that is no drift', async () => {
    await redirects.stop();
    want({ [FIRST]: OTHER }, 'eth1');
    redirects = make();
    await redirects.run();
    expect(kernel.link('eth0').qdisc).toBe('none');
    expect(ways('eth1')).toEqual([OTHER, undefined, undefined]);
    expect(redirects.repairs).toEqual({});
  });

  it('tries again what the kernel refuses, ever more rarely, and does not hold up its callers', async () => {
    want({ [FIRST]: LOWER, [SECOND]: OTHER });
    kernel.failures = 1_000;
    const { length: looks } = kernel.looks;
    await redirects.run();
    await clock.advance(600_000);
    expect(kernel.looks.length - looks).toBeLessThan(40);
    kernel.failures = 0;
    await clock.advance(60_000);
    expect(ways()).toEqual([LOWER, OTHER, undefined]);
  });

  it('leaves nothing when nothing is desired, and then does not look any more', async () => {
    desired = undefined;
    await redirects.run();
    expect(kernel.link('eth0').qdisc).toBe('none');
    const looks = kernel.looks.length;
    await redirects.audit();
    expect(kernel.looks.length).toBe(looks);
    expect(redirects.repairs).toEqual({});
    want({ [FIRST]: LOWER });
    await redirects.run();
    expect(ways()).toEqual([LOWER, undefined, undefined]);
  });

  it('keeps the filters of an operator, and the qdisc that they are in', async () => {
    kernel.link('eth0').others = true;
    kernel.link('eth1').qdisc = 'clsact';
    desired = undefined;
    await redirects.run();
    const { qdisc, others, families } = kernel.link('eth0');
    expect({ qdisc, others, ...families }).toEqual({
      qdisc: 'clsact',
      others: true,
      ip: emptyFamily(),
      ipv6: emptyFamily(),
    });
    expect(kernel.link('eth1').qdisc).toBe('clsact');
  });

  it('does without where somebody else has its place, and does not try again', async () => {
    desired = undefined;
    await redirects.run();
    const link = kernel.link('eth0');
    Object.assign(link, { qdisc: 'clsact', others: true });
    link.families.ip.table = 'taken';
    want({ [FIRST]: LOWER, [THIRD]: OTHER });
    await redirects.run();
    expect(ways()).toEqual([undefined, undefined, OTHER]);
    expect(clock.next()).toBeUndefined();
    expect(await redirects.differences()).toEqual([]);
    link.families.ip.table = 'none';
    await redirects.audit();
    expect(ways()).toEqual([LOWER, undefined, OTHER]);
    expect(redirects.repairs).toEqual({});
  });

  it('does nothing more once it is stopped', async () => {
    await redirects.stop();
    desired = undefined;
    await redirects.run();
    expect(ways()).toEqual([LOWER, undefined, OTHER]);
  });
});
