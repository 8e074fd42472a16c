import { z } from 'zod';
import { BRIDGE, isLowerName, portOf, ROUTED, VXLAN } from '../overlay/link-names.ts';
import type { HostLink } from '../overlay/overlay-kernel.ts';
import { emptyOverlay, type ObservedLink, type ObservedOverlay, type ObservedRoute } from '../overlay/overlay-state.ts';

/** Readers of what `ip -j` and `bridge -j` print (iproute2 5 and 6). Fields that are not used are not checked. */

const linkSchema = z.object({
  ifname: z.string(),
  mtu: z.number(),
  flags: z.array(z.string()),
  address: z.string().default(''),
  master: z.string().optional(),
  linkinfo: z
    .object({
      info_kind: z.string().optional(),
      info_data: z.record(z.string(), z.unknown()).optional(),
      info_slave_data: z
        .object({
          learning: z.boolean().optional(),
          flood: z.boolean().optional(),
          mcast_flood: z.boolean().optional(),
          bcast_flood: z.boolean().optional(),
        })
        .optional(),
    })
    .optional(),
  addr_info: z.array(z.object({ family: z.string(), local: z.string().optional(), prefixlen: z.number() })).default([]),
});

type LinkRow = z.infer<typeof linkSchema>;

/** fe80::/10 (RFC 4291 2.4). */
const LINK_LOCAL = /^fe[89ab][0-9a-f]:/;

/** Neighbour and forwarding dumps have tens of thousands of rows: they are read field by field. */
interface TableRow {
  [field: string]: unknown;
}

export interface OverlayDumps {
  /** `ip -j -d addr` of the namespace. */
  addresses: string;
  /** `bridge -j fdb show dev vxlan1`; absent when there is no such link. */
  forwarding?: string | Buffer | undefined;
  /** `ip -j neigh show dev vxlan1`, likewise. */
  neighbours?: string | Buffer | undefined;
  /** `bridge -j fdb show dev routed0`, likewise. */
  routed?: string | Buffer | undefined;
}

/** @throws Error when a dump is not what these tools print. */
export function readOverlay(dumps: OverlayDumps): ObservedOverlay {
  const observed: ObservedOverlay = { ...emptyOverlay(), namespace: true };
  for (const row of readLinks(dumps.addresses)) addLink(observed, row);
  const ownMac = observed.vxlan?.mac ?? '';
  for (const row of readTable(dumps.forwarding)) addForwarding(observed, row, ownMac);
  for (const row of readTable(dumps.neighbours)) addNeighbour(observed, row);
  const routedMac = observed.route.link?.mac ?? '';
  for (const row of readTable(dumps.routed)) addBridged(observed.route.bridged, row, routedMac);
  return observed;
}

/** Reads of `ip -j link show type veth` of the host what belongs to one overlay. @param ports of the overlay. @throws Error likewise. */
export function readHostEnds(
  veths: string,
  end: string,
  ports: { has(port: string): boolean },
): Pick<ObservedRoute, 'end' | 'lowers'> {
  const found: Pick<ObservedRoute, 'end' | 'lowers'> = { lowers: new Map() };
  for (const { ifname, mtu, flags, address } of readLinks(veths)) {
    const link = { mtu, up: flags.includes('UP') };
    if (ifname === end) found.end = link;
    else if (isLowerName(ifname) && ports.has(portOf(ifname))) {
      found.lowers.set(ifname, { ...link, mac: address.toLowerCase() });
    }
  }
  return found;
}

/** Reads `ip -j -d addr` of the host. */
export function readHostLinks(addresses: string): HostLink[] {
  return readLinks(addresses).map((row) => {
    const data = row.linkinfo?.info_data;
    const isVxlan = row.linkinfo?.info_kind === 'vxlan';
    return {
      name: row.ifname,
      mtu: row.mtu,
      mac: row.address.toLowerCase(),
      addresses: globalsOf(row).map(({ local }) => local),
      ...(isVxlan ? { vxlan: { vni: Number(data?.id ?? 0), port: Number(data?.port ?? 0) } } : {}),
    };
  });
}

function readLinks(text: string): LinkRow[] {
  // `ip -j addr` prints empty objects for links that a filter left out.
  const rows = readTable(text).filter((row) => row.ifname !== undefined);
  return z.array(linkSchema).parse(rows);
}

function readTable(dump: string | Buffer | undefined): TableRow[] {
  const text = dump?.toString() ?? '';
  return text.trim() === '' ? [] : (JSON.parse(text) as TableRow[]);
}

function addLink(observed: ObservedOverlay, row: LinkRow): void {
  const link: ObservedLink = {
    mtu: row.mtu,
    up: row.flags.includes('UP'),
    mac: row.address.toLowerCase(),
    ...(row.master === undefined ? {} : { master: row.master }),
  };
  const data = row.linkinfo?.info_data ?? {};
  if (row.ifname === BRIDGE && row.linkinfo?.info_kind === 'bridge') {
    const addresses = new Set(globalsOf(row).map(({ local, prefixlen }) => `${local}/${prefixlen}`));
    observed.bridge = { ...link, addresses };
  } else if (row.ifname === VXLAN && row.linkinfo?.info_kind === 'vxlan') {
    observed.vxlan = {
      ...link,
      vni: Number(data.id ?? 0),
      local: [data.local, data.local6].find((address) => typeof address === 'string') ?? '',
      port: Number(data.port ?? 0),
      silent: data.learning === false && data.proxy === true && data.l2miss !== true && data.l3miss !== true,
      portLearning: row.linkinfo.info_slave_data?.learning !== false,
    };
  } else if (row.ifname === ROUTED) observed.route.link = { ...link, quiet: isQuiet(row) };
  else if (row.ifname !== 'lo') observed.ports.set(row.ifname, link);
}

function addForwarding(observed: ObservedOverlay, row: TableRow, ownMac: string): void {
  const mac = String(row.mac).toLowerCase();
  const flags = Array.isArray(row.flags) ? (row.flags as unknown[]) : [];
  if (flags.includes('self')) {
    const vtep = typeof row.dst === 'string' ? row.dst : '';
    // Rows without a destination are the device's own multicast memberships.
    if (vtep !== '') observed.forwarding.set(mac, { vtep, permanent: row.state === 'permanent' });
    return;
  }
  addBridged(observed.bridged, row, ownMac);
}

function addBridged(bridged: Map<string, boolean>, row: TableRow, ownMac: string): void {
  const mac = String(row.mac).toLowerCase();
  const flags = Array.isArray(row.flags) ? (row.flags as unknown[]) : [];
  if (flags.includes('self') || row.master === undefined || mac === ownMac || row.vlan !== undefined) return;
  bridged.set(mac, row.state === 'static');
}

function isQuiet({ linkinfo }: LinkRow): boolean {
  const { learning, flood, mcast_flood: multicast, bcast_flood: broadcast } = linkinfo?.info_slave_data ?? {};
  return [learning, flood, multicast, broadcast].every((flag) => flag === false);
}

function addNeighbour(observed: ObservedOverlay, row: TableRow): void {
  const state = Array.isArray(row.state) ? (row.state as unknown[]) : [];
  const mac = typeof row.lladdr === 'string' ? row.lladdr.toLowerCase() : '';
  observed.neighbours.set(String(row.dst), { mac, permanent: state.includes('PERMANENT') });
}

/** The kernel gives a link its link-local address by itself; it is nobody's drift. */
function globalsOf(row: LinkRow): { local: string; prefixlen: number }[] {
  return row.addr_info.flatMap(({ local, prefixlen }) =>
    local === undefined || LINK_LOCAL.test(local) ? [] : [{ local, prefixlen }],
  );
}
