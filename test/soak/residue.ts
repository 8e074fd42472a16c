import { readFileSync, readdirSync } from 'node:fs';
import type { Host } from '../lab/host.ts';
import { familyOf } from '../lab/processes.ts';

/** What a host has, by kind, as names that do not change while nothing does. */
export type HostState = ReadonlyMap<string, readonly string[]>;

const COMMANDS: Readonly<Record<string, string>> = {
  namespaces: "ip netns | awk '{print $1}'",
  // Those that have a link to this host and live on though nobody could enter them any more, and the lab's switch.
  'namespaces without a name': "ip netns list-id | grep -v name: | awk '{print $1}'",
  filters: 'tc qdisc show | grep -E "clsact|ingress" | cut -d " " -f 2-5',
  links: "ip -o link | awk -F': ' '{print $2}' | cut -d@ -f1",
  // Whether a link has a carrier, as a bridge while it has ports, is not the route's affair.
  routes: "(ip route show table all; ip -6 route show table all type blackhole) | sed 's/ linkdown//'",
  rules: 'ip rule',
  'permanent neighbours': 'ip neigh show nud permanent',
  'nftables tables': 'nft list tables | grep -i waggle',
  // An engine that is killed while it prepares a container's first layer leaves that mounted, and nobody but itself knows whose it was.
  mounts: "awk '{print $2}' /proc/self/mounts | grep -E '^/(run|var/lib)/' | grep -vE '/waggle-lab|-init/merged$'",
  'engine networks': "docker network ls --format '{{.Driver}} {{.Name}}'",
  'engine containers': "docker ps -a --format '{{.Names}}'",
  tunnels: 'ls /run/wireguard 2>/dev/null',
  'overlay markers': 'find /run/waggle/overlay -type f',
  rows: 'find /var/lib/waggle -type f | grep -E "/(endpoints|leases|releases|tasks|networks)/"',
};

/**
 * What a bridge of the engine's own gets when its first port is up, and has another of each time the engine makes it anew: its
 * link-local address with what belongs to it (RFC 4862 section 5.3). Every other route by these bridges counts.
 */
const ENGINE_LINK_LOCAL = /^(((local|anycast) )?fe80::\S*|multicast ff00::\/8) dev (docker0|docker_gwbridge) /;

/** What the host's kernel, engine and daemon's folders have now. */
export async function hostState(host: Host): Promise<HostState> {
  const entries = await Promise.all(
    Object.entries(COMMANDS).map(async ([kind, script]): Promise<[string, string[]]> => {
      const { stdout } = await host.exec(['sh', '-c', script], { check: false, timeoutMs: 30_000 });
      return [kind, stdout.split('\n').filter((line) => line !== '')];
    }),
  );
  return new Map([...entries, ['processes', processes(host)]]);
}

/** What has come between two looks at a host and not gone again, without what the engine keeps for itself. */
export function residue(host: Host, before: HostState, after: HostState): string[] {
  return [...after].flatMap(([kind, now]) => {
    const rest = [...(before.get(kind) ?? [])];
    const left = now.filter((each) => {
      const at = rest.indexOf(each);
      if (at >= 0) rest.splice(at, 1);
      return at < 0 && !(kind === 'routes' && ENGINE_LINK_LOCAL.test(each));
    });
    return left.length === 0 ? [] : [`${host.name} ${kind}: left ${left.join('; ')}`];
  });
}

/** Dead children of the host's processes that nobody has waited for, by name. Orphans are not the host's any more. */
export function zombies(host: Host): string[] {
  const family = new Set(familyOf(host.options.holderPid));
  const daemon = host.servicePid('daemon');
  return [...family].flatMap((pid) => {
    const stat = statOf(pid);
    return stat?.state === 'Z' && stat.parent === daemon ? [`${host.name} zombie ${pid} ${stat.name}`] : [];
  });
}

/** Names of what runs in the host, without the engine and what it starts, which it is to clear away itself. */
function processes(host: Host): string[] {
  const names = familyOf(host.options.holderPid).flatMap((pid) => statOf(pid)?.name ?? []);
  return names.filter((name) => !/^(dockerd|containerd|docker-proxy|runc)/.test(name)).toSorted();
}

function statOf(pid: number): { name: string; state: string; parent: number } | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state = '', parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { name: stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), state, parent: Number(parent) };
  } catch {
    return undefined;
  }
}

/** Size of a host's daemon. */
export interface DaemonSize {
  residentMiB: number;
  files: number;
  upSeconds: number;
}

/** @returns undefined while it does not run. */
export function daemonSize(host: Host): DaemonSize | undefined {
  const pid = host.servicePid('daemon');
  if (pid === undefined) return undefined;
  try {
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const startedTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
    const uptime = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0]);
    return {
      residentMiB: Math.round(Number(resident) / 1024),
      files: readdirSync(`/proc/${pid}/fd`).length,
      upSeconds: Math.round(uptime - startedTicks / 100),
    };
  } catch {
    return undefined;
  }
}
