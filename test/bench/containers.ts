import { TEST_IMAGE } from '../lab/image.ts';
import type { SocketApi } from './socket-api.ts';

export interface ContainerOptions {
  /** Network to attach to; the engine's default one when absent. */
  network?: string;
  /** Default: the engine's choice. */
  name?: string;
}

/** What containers and tasks of the benches run: nothing. */
export const IDLE_COMMAND: readonly string[] = ['sleep', '100000'];

/** What `docker run -d` does, without the time of the CLI's own process. @returns the container's id. */
export async function runContainer(engine: SocketApi, options: ContainerOptions = {}): Promise<string> {
  const query = options.name === undefined ? '' : `?name=${options.name}`;
  const { Id } = await engine.post<{ Id: string }>(`/containers/create${query}`, {
    Image: TEST_IMAGE,
    Cmd: IDLE_COMMAND,
    HostConfig: { NetworkMode: options.network ?? 'default' },
  });
  await engine.post(`/containers/${Id}/start`);
  return Id;
}

export async function removeContainer(engine: SocketApi, id: string): Promise<void> {
  await engine.delete(`/containers/${id}?force=1`);
}

/** Process id of the container's first process, and its address on the network. */
export async function inspectContainer(
  engine: SocketApi,
  id: string,
  network: string,
): Promise<{ pid: number; address: string }> {
  const { State, NetworkSettings } = await engine.get<{
    State: { Pid: number };
    NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
  }>(`/containers/${id}/json`);
  return { pid: State.Pid, address: NetworkSettings.Networks[network]?.IPAddress ?? '' };
}
