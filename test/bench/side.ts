import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import { createLab, type Lab } from '../lab/lab.ts';
import { engineApi, SocketApi, SocketApiError } from './socket-api.ts';

export type SideName = 'waggle' | 'swarm';

const HOSTS = 3;
/** Both listen there on every manager. */
const LISTEN = '0.0.0.0:2377';

interface SwarmInfo {
  JoinTokens: { Worker: string; Manager: string };
}

interface NodeInfo {
  Status: { State: string };
  ManagerStatus?: { Leader?: boolean; Reachability?: string; Addr: string };
}

/** One of the two swarms, with the hosts that it has to itself and the API of each. */
export class Side {
  readonly name: SideName;
  readonly lab: Lab;
  /** The swarm API, by host. */
  readonly apis: readonly SocketApi[];
  /** The engine's own API, by host. */
  readonly engines: readonly SocketApi[];

  constructor(name: SideName, lab: Lab) {
    this.name = name;
    this.lab = lab;
    this.engines = lab.hosts.map(engineApi);
    this.apis = name === 'swarm' ? this.engines : lab.hosts.map((host) => new SocketApi(host.waggleSocket));
  }

  /** The first manager's API. */
  get api(): SocketApi {
    return this.apiOf(0);
  }

  apiOf(index: number): SocketApi {
    const api = this.apis[index];
    if (api === undefined) throw new Error(`the lab has no host ${index}`);
    return api;
  }

  /** The host whose manager leads. @throws Error while none does. */
  async leader(): Promise<Host> {
    const nodes = await this.api.get<NodeInfo[]>('/nodes');
    const address = nodes.find((node) => node.ManagerStatus?.Leader === true)?.ManagerStatus?.Addr;
    const leader = this.lab.hosts.find((host) => address?.startsWith(`${host.address}:`) === true);
    if (leader === undefined) throw new Error(`${this.name} has no leader`);
    return leader;
  }

  /** Path of the socket that serves the swarm API on that host. */
  socketPath(host: Host): string {
    return this.name === 'swarm' ? host.engineSocket : host.waggleSocket;
  }

  /** Makes the first hosts managers and the next ones workers. @throws SocketApiError when a host is refused. */
  async form(managers: number, workers: number): Promise<void> {
    const first = this.lab.host(0).address;
    await this.api.post('/swarm/init', { ListenAddr: LISTEN, AdvertiseAddr: first });
    const { JoinTokens } = await this.api.get<SwarmInfo>('/swarm');
    for (let index = 1; index < managers + workers; index++) {
      await this.apiOf(index).post('/swarm/join', {
        ListenAddr: LISTEN,
        AdvertiseAddr: this.lab.host(index).address,
        RemoteAddrs: [`${first}:2377`],
        JoinToken: index < managers ? JoinTokens.Manager : JoinTokens.Worker,
      });
    }
    await eventually(`all nodes of ${this.name} to be ready`, async () => {
      const nodes = await this.api.get<NodeInfo[]>('/nodes');
      const states = nodes.map((node) => `${node.Status.State} ${node.ManagerStatus?.Reachability ?? 'worker'}`);
      const reachable = states.filter((state) => state === 'ready reachable').length;
      const ready = states.filter((state) => state === 'ready worker').length;
      if (reachable !== managers || ready !== workers) throw new Error(states.join(', '));
    });
  }

  /** Every host leaves; harmless where there is no swarm. */
  async dissolve(): Promise<void> {
    for (let index = this.apis.length - 1; index >= 0; index--) {
      try {
        await this.apiOf(index).post('/swarm/leave?force=1');
      } catch (error) {
        if (!(error instanceof SocketApiError) || error.status !== 503) throw error;
      }
    }
  }

  async destroy(): Promise<void> {
    for (const api of [...this.apis, ...this.engines]) api.close();
    await this.lab.destroy();
  }
}

/** Three hosts with an engine each, and with a daemon at its default log level each when it is Waggle's side. */
export async function openSide(name: SideName, say: (line: string) => void): Promise<Side> {
  const lab = await createLab({ hosts: HOSTS, daemons: false, say });
  try {
    if (name === 'waggle') {
      await Promise.all(lab.hosts.map((host) => host.startDaemon(['--log-level', 'info'])));
    }
    return new Side(name, lab);
  } catch (error) {
    await lab.destroy();
    throw error;
  }
}
