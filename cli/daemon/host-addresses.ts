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
