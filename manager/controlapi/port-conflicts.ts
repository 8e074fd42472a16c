import type { PortConfig } from '../../proto/objects/endpoint.ts';
import type { ServiceSpec } from '../../proto/objects/service.ts';
import { publishedKeys } from '../store/indexes.ts';
import type { WriteTx } from '../store/transaction.ts';
import { swarmError } from './swarm-error.ts';

/**
 * Refuses published ports that another service holds: an ingress port is one for the whole swarm. Two services may
 * publish the same port in host mode; the scheduler keeps them apart.
 * @param ownId the service that is being updated; it does not conflict with itself.
 */
export function assertPortsFree(tx: WriteTx, spec: ServiceSpec, ownId?: string): void {
  for (const port of spec.EndpointSpec?.Ports ?? []) {
    for (const key of publishedKeys(port)) assertPortFree(tx, port, key, ownId);
  }
}

function assertPortFree(tx: WriteTx, wanted: PortConfig, key: string, ownId: string | undefined): void {
  for (const service of tx.pinFound('services', 'port', key)) {
    if (service.ID === ownId) continue;
    const held = [...(service.Spec.EndpointSpec?.Ports ?? []), ...(service.Endpoint?.Ports ?? [])];
    for (const port of held.filter((candidate) => publishedKeys(candidate).includes(key))) {
      if (port.PublishMode === 'host' && wanted.PublishMode === 'host') continue;
      const how = port.PublishMode === 'host' ? 'a host-published' : 'an ingress';
      throw swarmError(
        'invalid-argument',
        `port '${port.PublishedPort}' is already in use by service '${service.Spec.Name}' (${service.ID}) as ${how} port`,
      );
    }
  }
}
