import { WaggleError } from '../../proto/runtime/errors.ts';
import type { NetworkMapping } from './backend.ts';
import type { EngineClient } from './engine-client.ts';
import type { EngineScope } from './swarm-networks.ts';

interface Inspected {
  Name: string;
  NetworkSettings: { Networks: Record<string, { EndpointID: string } | null> | null };
}

/**
 * Docker connects a container to an attachable network anew with each request, where to a local one, as a twin is for
 * the engine, a second request changes nothing: aliases and addresses given with it would be lost without a word. So a
 * container that is not running is taken off the network first.
 * @throws WaggleError already-exists in Docker's words when the container is on the network by now.
 */
export async function makeConnectable(
  container: string,
  twin: NetworkMapping,
  { prefix, signal }: EngineScope,
  engine: EngineClient,
): Promise<void> {
  const path = `${prefix}/containers/${encodeURIComponent(container)}/json`;
  const found = await engine.fetch({ method: 'GET', path, signal });
  // The engine says what is wrong with the container when it is asked to connect it.
  if (found.status !== 200) return;
  const { Name, NetworkSettings } = JSON.parse(found.body.toString('utf8')) as Inspected;
  const endpoint = NetworkSettings.Networks?.[twin.name];
  if (endpoint === undefined || endpoint === null) return;
  if (endpoint.EndpointID !== '') {
    throw new WaggleError('already-exists', `${Name.replace(/^\//, '')} is already attached to network ${twin.name}`);
  }
  const body = { Container: container };
  await engine.fetch({ method: 'POST', path: `${prefix}/networks/${twin.localId}/disconnect`, signal, body });
}
