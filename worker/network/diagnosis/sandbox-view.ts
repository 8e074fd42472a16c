import { z } from 'zod';
import { familyOf, type SandboxEvidence } from '../../../proto/objects/diagnosis/path.ts';
import { command } from '../system/command.ts';

const linkSchema = z.object({
  ifname: z.string().default(''),
  flags: z.array(z.string()).default([]),
  mtu: z.number().default(0),
  address: z.string().default(''),
  addr_info: z
    .array(
      z.object({
        local: z.string().optional(),
        prefixlen: z.number(),
        tentative: z.boolean().default(false),
        dadfailed: z.boolean().default(false),
      }),
    )
    .default([]),
});
const routeSchema = z.object({ dev: z.string().default(''), gateway: z.string().default('') });
const neighbourSchema = z.object({ lladdr: z.string().default(''), state: z.array(z.string()).default([]) });

/** The three dumps of `ip -j` that a sandbox is judged by. */
export interface SandboxDumps {
  addresses: string;
  /** Of `route get`; empty when the kernel has no route. */
  route: string;
  neighbours: string;
}

/**
 * Looks into a container's network namespace, as its own processes would see it.
 * @param key path of the namespace. @throws WaggleError when it cannot be entered.
 */
export async function viewSandbox(
  key: string,
  endpoint: { addresses: readonly string[]; mac: string },
  peer: string,
): Promise<SandboxEvidence> {
  const ip = (...args: string[]): Promise<string> => command('nsenter', [`--net=${key}`, 'ip', '-j', ...args]);
  const family = `-${familyOf(peer)}`;
  const [addresses, route] = await Promise.all([
    ip('addr'),
    ip(family, 'route', 'get', peer).catch(() => ''), // without a route `ip` fails: that is the finding
  ]);
  const { gateway } = readRoute(route);
  const neighbours = await ip(family, 'neigh', 'show', 'to', gateway === '' ? peer : gateway);
  return readSandbox({ addresses, route, neighbours }, endpoint);
}

/** Pure. @throws Error when a dump is not what `ip -j` prints. */
export function readSandbox(
  dumps: SandboxDumps,
  endpoint: { addresses: readonly string[]; mac: string },
): SandboxEvidence {
  const links = rowsOf(dumps.addresses).map((row) => linkSchema.parse(row));
  const byAddress = links.find(({ addr_info }) =>
    addr_info.some(({ local = '' }) => local !== '' && endpoint.addresses.includes(local)),
  );
  const link = byAddress ?? links.find(({ address }) => address.toLowerCase() === endpoint.mac);
  const route = readRoute(dumps.route);
  const neighbour = rowsOf(dumps.neighbours).map((row) => neighbourSchema.parse(row))[0];
  return {
    interface: link?.ifname ?? '',
    up: link?.flags.includes('UP') === true && link.flags.includes('LOWER_UP'),
    mac: link?.address.toLowerCase() ?? '',
    mtu: link?.mtu ?? 0,
    addresses: (link?.addr_info ?? []).flatMap(({ local, prefixlen, tentative, dadfailed }) => {
      // Before and without having been found free an IPv6 address is not used (RFC 4862 5.4).
      const state = dadfailed ? ' dadfailed' : tentative ? ' tentative' : '';
      return local === undefined ? [] : [`${local}/${prefixlen}${state}`];
    }),
    routeInterface: route.dev,
    gateway: route.gateway,
    neighbour: { mac: neighbour?.lladdr.toLowerCase() ?? '', state: neighbour?.state.join(' ') ?? '' },
  };
}

function readRoute(text: string): { dev: string; gateway: string } {
  return routeSchema.parse(rowsOf(text)[0] ?? {});
}

function rowsOf(text: string): unknown[] {
  return text.trim() === '' ? [] : (JSON.parse(text) as unknown[]);
}
