import { createSocket } from 'node:dgram';
import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { networkInterfaces } from 'node:os';
import { command } from '../../worker/network/system/command.ts';
import type { Interfaces } from './addresses.ts';

interface ShownInterface {
  ifname?: string;
  addr_info?: { local?: string; scope?: string }[];
}

/** Interfaces that work at the moment, with their addresses, loopback's own included. One whose cable is unplugged is missing. */
export function workingInterfaces(): Interfaces {
  const entries = Object.entries(networkInterfaces()).map(([name, addresses]): [string, string[]] => [
    name,
    (addresses ?? []).flatMap((each) => (each.family === 'IPv6' && each.scopeid !== 0 ? [] : each.address)),
  ]);
  return new Map(entries);
}

/**
 * Whether the host has the address, working interface or not; cheap, however many interfaces there are, and without the kernel's lock of
 * its link table, which others may hold for long. False also when it cannot be told: `allInterfaces` knows.
 */
export async function hasAddress(address: string): Promise<boolean> {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4';
  // Where any address can be bound (ip-sysctl) a socket proves nothing.
  const bindsAny = await readFile(`/proc/sys/net/${family}/ip_nonlocal_bind`, 'utf8').catch(() => '0');
  if (bindsAny.trim() !== '0') return [...workingInterfaces().values()].some((each) => each.includes(address));
  return new Promise((resolve) => {
    const socket = createSocket(family === 'ipv6' ? 'udp6' : 'udp4');
    const settle = (isHere: boolean): void => {
      socket.close();
      resolve(isHere);
    };
    socket.once('error', () => settle(false));
    socket.bind({ address, port: 0 }, () => settle(true));
  });
}

/** Every interface of the host, whether it works or not, has addresses or none. @throws WaggleError internal */
export async function allInterfaces(): Promise<Interfaces> {
  return parseInterfaces(await command('ip', ['-j', 'addr', 'show']));
}

/** What `ip -j addr show` prints. Addresses of one link's scope lead nowhere else and are left out. */
export function parseInterfaces(json: string): Interfaces {
  const shown = JSON.parse(json) as ShownInterface[];
  return new Map(
    shown.map(({ ifname = '', addr_info = [] }) => [
      ifname,
      addr_info.flatMap(({ local, scope }) => (local === undefined || scope === 'link' ? [] : local)),
    ]),
  );
}
