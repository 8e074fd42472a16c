import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';

/** Where a container is on one network. */
export interface Attachment {
  address: string;
  /** Empty when it has none. */
  address6: string;
  mac: string;
}

/** A container as its engine shows it. */
export interface EngineContainer {
  host: Host;
  id: string;
  name: string;
  running: boolean;
  pid: number;
  /** Empty when it is of no task. */
  taskId: string;
  /** By name of the network; only while it runs. */
  networks: ReadonlyMap<string, Attachment>;
}

interface Inspected {
  id: string;
  name: string;
  running: boolean;
  pid: number;
  task: string;
  networks: Record<string, { IPAddress: string; GlobalIPv6Address: string; MacAddress: string }>;
}

const FORMAT = [
  '{"id":{{json .Id}}',
  '"name":{{json .Name}}',
  '"running":{{json .State.Running}}',
  '"pid":{{.State.Pid}}',
  '"task":"{{index .Config.Labels "com.docker.swarm.task.id"}}"',
  '"networks":{{json .NetworkSettings.Networks}}}',
].join(',');

/** Every container of the hosts' engines, on the networks of these names. */
export async function engineContainers(
  hosts: readonly Host[],
  networks: ReadonlySet<string>,
): Promise<EngineContainer[]> {
  const each = await Promise.all(hosts.map((host) => inspectAll(host)));
  return each.flat().map(({ host, seen }) => ({
    host,
    id: seen.id,
    name: seen.name.replace(/^\//, ''),
    running: seen.running,
    pid: seen.pid,
    taskId: seen.task === '<no value>' ? '' : seen.task,
    networks: new Map(
      // An engine that was killed shows of its dead containers what they had.
      Object.entries(seen.running ? seen.networks : {})
        .filter(([name, { IPAddress }]) => networks.has(name) && IPAddress !== '')
        .map(([name, { IPAddress, GlobalIPv6Address, MacAddress }]) => [
          name,
          { address: IPAddress, address6: GlobalIPv6Address, mac: MacAddress },
        ]),
    ),
  }));
}

function inspectAll(host: Host): Promise<{ host: Host; seen: Inspected }[]> {
  // One that goes between the two commands makes the second fail.
  return eventually(`the containers of ${host.name}`, async () => {
    const ids = (await host.docker(['ps', '-aq'], { timeoutMs: 20_000 })).stdout.split('\n').filter((id) => id !== '');
    if (ids.length === 0) return [];
    const { stdout } = await host.docker(['inspect', '-f', FORMAT, ...ids], { timeoutMs: 20_000 });
    return stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => ({ host, seen: JSON.parse(line) as Inspected }));
  });
}
