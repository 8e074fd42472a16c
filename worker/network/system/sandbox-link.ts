import { z } from 'zod';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { withoutPrefix } from '../overlay/address.ts';
import { BRIDGE } from '../overlay/link-names.ts';
import type { SandboxLink } from '../overlay/overlay-kernel.ts';
import { command } from './command.ts';
import { muteLower, peerWords } from './lower-link.ts';

const PREFIX = 'eth';
/** nsenter(1): the path is no longer there, or nothing is mounted on it any more. */
const GONE = /No such file or directory|Invalid argument/;
const listing = z.array(
  z.object({
    ifname: z.string(),
    address: z.string().default(''),
    addr_info: z.array(z.object({ local: z.string().default('') })).default([]),
  }),
);
type Links = z.infer<typeof listing>;

/**
 * Makes a veth with one end, `port`, on the bridge of the overlay's namespace, and the other in the container at once, as the engine
 * had set it up: addresses, routes and MTU. What the container still has of a link with that MAC and address goes first, and so does what there
 * is of the port. All of it or nothing.
 * Not by a batch process: `ip` would keep the container's namespace open for as long as it runs.
 * @param lower when the container's link is to lie on a lower link. @returns the name in the container; undefined when its namespace is gone. @throws WaggleError internal in the words of `ip`.
 */
export async function makeSandboxLink(
  namespace: string,
  port: string,
  link: SandboxLink,
  mtu: number,
  lower?: string,
): Promise<string | undefined> {
  const links = await linksIn(link.key);
  if (links === undefined) return undefined;
  const name = await freeName(link, links);
  const peer = ['peer', 'name', name, 'mtu', String(mtu), 'address', link.mac, 'netns', link.key];
  const own = ['link', 'add', port, 'mtu', String(mtu), 'master', BRIDGE, 'up', 'type', 'veth'];
  // Most often they are gone. Of a namespace that is, the other end may be left for a while.
  await command('ip', ['-n', namespace, 'link', 'del', 'dev', port]).catch(() => undefined);
  if (lower !== undefined) await command('ip', ['link', 'del', 'dev', lower]).catch(() => undefined);
  if (lower === undefined) await command('ip', ['-n', namespace, ...own, ...peer]);
  else await command('ip', ['-n', namespace, ...own, ...peerWords(lower, mtu, { name: lower }).split(' ')]);
  try {
    if (lower !== undefined) await layInto(link, name, mtu, lower);
    await setUp(link, name);
    return name;
  } catch (error) {
    await command('ip', ['-n', namespace, 'link', 'del', 'dev', port]).catch(() => undefined); // the error says more
    throw error;
  }
}

/** As it would have waited in the host, but in the container at once. */
async function layInto({ key, mac }: SandboxLink, name: string, mtu: number, lower: string): Promise<void> {
  await muteLower(lower);
  await command('ip', ['link', 'set', 'dev', lower, 'addrgenmode', 'none', 'up']);
  const laid = ['link', 'add', 'link', lower, 'name', name, 'mtu', String(mtu), 'netns', key];
  await command('ip', [...laid, 'type', 'macvlan', 'mode', 'passthru']);
  await within(key, 'ip', 'link', 'set', 'dev', name, 'address', mac);
}

async function setUp({ key, addresses, routes }: SandboxLink, name: string): Promise<void> {
  for (const address of addresses) {
    if (address.includes(':')) {
      // The engine has it off wherever it has given no address. That nobody else has this one is known.
      await within(key, 'sysctl', '-q', '-w', `net.ipv6.conf.${name}.disable_ipv6=0`);
      await within(key, 'ip', 'addr', 'add', address, 'dev', name, 'nodad');
    } else await within(key, 'ip', 'addr', 'add', address, 'broadcast', '+', 'dev', name);
  }
  await within(key, 'ip', 'link', 'set', 'dev', name, 'up');
  for (const route of routes) await within(key, 'ip', 'route', 'add', route, 'dev', name);
}

async function linksIn(key: string): Promise<Links | undefined> {
  try {
    return listing.parse(JSON.parse(await within(key, 'ip', '-j', 'addr')));
  } catch (error) {
    if (error instanceof WaggleError && GONE.test(error.message)) return undefined;
    throw error;
  }
}

/** The engine numbers a container's links in the order in which it makes them, so the first number that is free is most likely the lost one. */
async function freeName({ key, mac, addresses }: SandboxLink, links: Links): Promise<string> {
  const own = addresses.map(withoutPrefix);
  const former = links.find(
    ({ address, addr_info }) => address.toLowerCase() === mac && addr_info.some(({ local }) => own.includes(local)),
  );
  if (former !== undefined) {
    await within(key, 'ip', 'link', 'del', 'dev', former.ifname);
    return former.ifname;
  }
  const names = new Set(links.map(({ ifname }) => ifname));
  let number = 0;
  while (names.has(`${PREFIX}${number}`)) number++;
  return `${PREFIX}${number}`;
}

function within(key: string, ...words: string[]): Promise<string> {
  return command('nsenter', [`--net=${key}`, ...words]);
}
