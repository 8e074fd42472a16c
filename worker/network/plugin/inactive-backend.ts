import { WaggleError } from '../../../proto/runtime/errors.ts';
import type { PluginBackend } from './plugin-protocol.ts';

function refuse(): never {
  throw new WaggleError(
    'unavailable',
    'This node is not part of a swarm. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
  );
}

const nothing = (): Record<string, never> => ({});

/** The plugin of a node without a swarm: nothing can be made, everything can be given back. */
export const inactiveBackend: PluginBackend = {
  'IpamDriver.RequestPool': refuse,
  'IpamDriver.ReleasePool': nothing,
  'IpamDriver.RequestAddress': refuse,
  'IpamDriver.ReleaseAddress': nothing,
  'NetworkDriver.CreateNetwork': refuse,
  'NetworkDriver.DeleteNetwork': nothing,
  'NetworkDriver.CreateEndpoint': refuse,
  'NetworkDriver.DeleteEndpoint': nothing,
  'NetworkDriver.EndpointOperInfo': () => ({ Value: {} }),
  'NetworkDriver.Join': refuse,
  'NetworkDriver.Leave': nothing,
  'NetworkDriver.DiscoverNew': nothing,
  'NetworkDriver.DiscoverDelete': nothing,
  'NetworkDriver.ProgramExternalConnectivity': nothing,
  'NetworkDriver.RevokeExternalConnectivity': nothing,
};
