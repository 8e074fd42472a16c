import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { PLACES, redirectHandle } from '../../worker/network/redirect/redirect-handle.ts';
import { LinuxRedirects } from '../../worker/network/system/linux-redirects.ts';
import { planRedirects } from '../../worker/network/redirect/plan-redirects.ts';
import {
  FIRST,
  LOWER,
  MAC,
  type Meddling,
  OTHER,
  redirectConformance,
  type RedirectWorld,
} from '../fixtures/redirect-conformance.ts';
import { eventually } from '../lab/eventually.ts';
import { run } from '../lab/run.ts';

/** Namespaces instead of a lab: filters need nothing but a kernel. */
const [HOST, FAR, CONTAINER] = ['wgrd-host', 'wgrd-far', 'wgrd-container'];

async function ip(namespace: string, line: string): Promise<void> {
  await run('ip', ['-n', namespace, ...line.split(' ')]);
}

async function tc(line: string): Promise<void> {
  await run('tc', ['-n', HOST, ...line.split(' ')]);
}

async function addLower(name: string): Promise<void> {
  await ip(HOST, `link add ${name} type veth peer name ${name.replace('wgl', 'wgp')}`);
}

async function openHost(): Promise<LinuxRedirects> {
  await run('ip', ['netns', 'add', HOST]);
  await ip(HOST, 'link add eth0 type veth peer name eth1');
  for (const name of [LOWER, OTHER]) await addLower(name);
  return new LinuxRedirects({ namespace: HOST });
}

async function close(namespace: string): Promise<void> {
  await run('ip', ['netns', 'del', namespace], { check: false });
}

const { pref, table } = PLACES.ip;
const OURS = `dev eth0 ingress pref ${pref} protocol ip`;
const TO_OTHER = `action mirred ingress redirect dev ${OTHER}`;

/** The number of the table that the kernel has made for our priority: nothing else has tables here. */
const ROOT = '800';

const MEDDLING: Record<Meddling, readonly string[]> = {
  'own ingress qdisc with filters': [
    'qdisc add dev eth0 ingress',
    `filter add dev eth0 ingress pref 49 protocol ip u32 match ip dst 192.0.2.1/32 ${TO_OTHER}`,
    `filter add dev eth0 ingress protocol ipv6 u32 match u32 0 0 ${TO_OTHER}`,
  ],
  'own clsact with a filter at egress': [
    'qdisc add dev eth0 clsact',
    `filter add dev eth0 egress protocol ip u32 match ip dst 192.0.2.1/32 action mirred egress redirect dev ${OTHER}`,
  ],
  'our IPv4 priority for a filter of his own': [
    'qdisc add dev eth0 clsact',
    `filter add ${OURS} u32 match ip dst 192.0.2.1/32 ${TO_OTHER}`,
  ],
  'our IPv4 table under another priority': [
    'qdisc add dev eth0 clsact',
    `filter add dev eth0 ingress pref 7 protocol ip handle ${table}: u32 divisor 16`,
  ],
  'filters shared with other links': ['qdisc add dev eth0 ingress_block 7 ingress'],
  'row removed': [`filter del ${OURS} handle ${redirectHandle(FIRST, 'ip')} u32`],
  'row with two actions': [
    `filter del ${OURS} handle ${redirectHandle(FIRST, 'ip')} u32`,
    `filter add ${OURS} handle ${redirectHandle(FIRST, 'ip')} u32 ht ${table}:b: match ip dst ${FIRST}/32 match u16 0x0200 0xffff at -14 match u32 1 0xffffffff at -12 action mirred egress mirror dev ${OTHER} ${TO_OTHER}`,
  ],
  'entry removed': [`filter del ${OURS} handle ${ROOT}::1 u32`],
  'entry twice': [`filter add ${OURS} u32 match u32 0 0 at 0 link ${table}: hashkey mask 0x000000ff at 16`],
  'entry elsewhere': [
    `filter del ${OURS} handle ${ROOT}::1 u32`,
    `filter add ${OURS} handle ::1 u32 match u32 0 0 at 0 link ${table}: hashkey mask 0x000000ff at 12`,
  ],
};

describe('filters at ingress of Linux', () => {
  afterEach(() => close(HOST));

  redirectConformance(async (): Promise<RedirectWorld> => {
    const kernel = await openHost();
    return {
      kernel,
      addLower,
      removeLower: (name) => ip(HOST, `link del ${name}`),
      meddle: async (how) => {
        for (const line of MEDDLING[how]) await tc(line);
      },
    };
  });
});

describe('packets', () => {
  const families = [
    { id: 'IPv4', address: '10.0.5.11', from: '10.0.5.1', prefix: 16 },
    { id: 'IPv4 with a last byte of 0', address: '10.0.6.0', from: '10.0.6.1', prefix: 16 },
    { id: 'IPv6', address: 'fd00::5:11', from: 'fd00::5:1', prefix: 64 },
  ];

  /** A host whose eth0 leads to `far`, and a container that has a macvlan on the lower link and is reached in no other way. */
  beforeAll(async () => {
    for (const namespace of [HOST, FAR, CONTAINER]) await run('ip', ['netns', 'add', namespace]);
    await ip(HOST, `link add eth0 address ${MAC} type veth peer name eth0 netns ${FAR}`);
    await addLower(LOWER);
    await ip(HOST, `link add link ${LOWER} name container type macvlan mode passthru`);
    await ip(HOST, `link set container netns ${CONTAINER}`);
    for (const link of ['eth0', LOWER, LOWER.replace('wgl', 'wgp')]) await ip(HOST, `link set ${link} up`);
    for (const { address, from, prefix } of families) {
      const nodad = address.includes(':') ? ' nodad' : '';
      await ip(CONTAINER, `address add ${address}/${prefix} dev container${nodad}`);
      await ip(FAR, `address add ${from}/${prefix} dev eth0${nodad}`);
    }
    await ip(CONTAINER, 'link set container up');
    await ip(FAR, 'link set eth0 up');
    const kernel = new LinuxRedirects({ namespace: HOST });
    const redirects = new Map(families.map(({ address }) => [address, LOWER]));
    const desired = { underlay: { link: 'eth0', mac: MAC }, redirects };
    await kernel.apply(planRedirects(desired, await kernel.observe('all')));
  });
  afterAll(async () => {
    for (const namespace of [HOST, FAR, CONTAINER]) await close(namespace);
  });

  /** Datagrams that came to ports where nobody listens: all that were sent. */
  const arrived = async (): Promise<number> => {
    const script = 'cat /proc/net/snmp6; grep ^Udp: /proc/net/snmp | tail -1';
    const { stdout } = await run('ip', ['netns', 'exec', CONTAINER, 'sh', '-c', script]);
    return Number(/Udp6NoPorts\s+(\d+)/.exec(stdout)?.[1]) + Number(/^Udp: \d+ (\d+)/m.exec(stdout)?.[1]);
  };
  const send = async (address: string, mac: string): Promise<void> => {
    await ip(FAR, `neigh replace ${address} lladdr ${mac} dev eth0`);
    const family = address.includes(':') ? 'AF_INET6' : 'AF_INET';
    const script = `import socket as s; s.socket(s.${family}, s.SOCK_DGRAM).sendto(b'x', ('${address}', 9))`;
    await run('ip', ['netns', 'exec', FAR, 'python3', '-c', script]);
  };

  it.each(families)('of $id arrive in the container, and those for another MAC do not', async ({ address }) => {
    const before = await arrived();
    await send(address, MAC);
    await eventually('the first', async () => (await arrived()) === before + 1);
    await send(address, '02:00:00:00:00:99');
    await send(address, '02:00:00:00:01:01');
    await send(address, MAC);
    await eventually('the last', async () => (await arrived()) > before + 1);
    expect(await arrived()).toBe(before + 2);
  });
});
