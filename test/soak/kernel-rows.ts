import type { Host } from '../lab/host.ts';
import type { EngineContainer } from './engine-containers.ts';

export interface SoakNetwork {
  id: string;
  name: string;
  /** Its packets to neighbour hosts need no forwarding entry. */
  routed: boolean;
}

/**
 * What the hosts' kernels have for the networks, against what follows from where the engines' containers are: a namespace where a
 * container is, in it a port for each, and permanent forwarding and neighbour entries for those of the other hosts. This is told by
 * other means than `network check` uses. @returns what differs.
 */
export async function kernelDifferences(
  hosts: readonly Host[],
  networks: readonly SoakNetwork[],
  containers: readonly EngineContainer[],
): Promise<string[]> {
  const running = containers.filter((each) => each.running);
  const found = await Promise.all(hosts.map((host) => differencesOn(host, networks, running)));
  return found.flat();
}

async function differencesOn(
  host: Host,
  networks: readonly SoakNetwork[],
  running: readonly EngineContainer[],
): Promise<string[]> {
  const here = (network: SoakNetwork): EngineContainer[] =>
    running.filter((each) => each.host === host && each.networks.has(network.name));
  const used = networks.filter((network) => here(network).length > 0);
  const present = [...(await host.exec(['ip', 'netns'])).stdout.matchAll(/^1-\S+/gm)].map(String);
  const wanted = used.map(namespaceOf);
  const namespaces = different(`${host.name} namespaces`, wanted, present);
  const rows = await Promise.all(
    used.map(async (network) => {
      if (!present.includes(namespaceOf(network))) return [];
      return rowDifferences(host, network, here(network), running);
    }),
  );
  return [...namespaces, ...rows.flat()];
}

async function rowDifferences(
  host: Host,
  network: SoakNetwork,
  local: readonly EngineContainer[],
  running: readonly EngineContainer[],
): Promise<string[]> {
  const at = `${host.name} ${network.name}`;
  const script = [
    `ip -n ${namespaceOf(network)} -o link`,
    `bridge -n ${namespaceOf(network)} fdb show dev vxlan1`,
    `ip -n ${namespaceOf(network)} neigh show dev vxlan1`,
  ].join('; echo ----; ');
  const { stdout } = await host.exec(['sh', '-c', script], { check: false });
  const [links = '', forwarding = '', neighbours = ''] = stdout.split('----\n');
  const ports = links.match(/ veth\w+/g)?.length ?? 0;
  const counted = ports === local.length ? [] : [`${at} ports: ${ports} for ${local.length} containers`];
  if (network.routed) return counted;
  const remote = running.filter((each) => each.host !== host).flatMap((each) => each.networks.get(network.name) ?? []);
  const macs = [...forwarding.matchAll(/^(\S+) dst .*self permanent/gm)].map((match) => match[1] ?? '');
  const addresses = [...neighbours.matchAll(/^(\S+) lladdr \S+ .*PERMANENT/gm)].map((match) => match[1] ?? '');
  const wantedAddresses = remote.flatMap(({ address, address6 }) =>
    address6 === '' ? [address] : [address, address6],
  );
  return [
    ...counted,
    ...different(
      `${at} forwarding`,
      remote.map(({ mac }) => mac),
      macs,
    ),
    ...different(`${at} neighbours`, wantedAddresses, addresses),
  ];
}

function namespaceOf({ id }: SoakNetwork): string {
  return `1-${id.slice(0, 10)}`;
}

/** @returns one line when they are not the same. */
export function different(what: string, wanted: readonly string[], present: readonly string[]): string[] {
  const missing = wanted.filter((each) => !present.includes(each));
  const leaked = present.filter((each) => !wanted.includes(each));
  const doubled = present.filter((each, at) => present.indexOf(each) !== at);
  const words = [
    ...(missing.length > 0 ? [`missing ${missing.join()}`] : []),
    ...(leaked.length > 0 ? [`left ${leaked.join()}`] : []),
    ...(doubled.length > 0 ? [`doubled ${doubled.join()}`] : []),
  ];
  return words.length === 0 ? [] : [`${what}: ${words.join('; ')}`];
}
