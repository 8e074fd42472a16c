import type { ServiceObject, ServiceSpec } from '../../proto/objects/service.ts';

/**
 * The endpoint of a new service that has neither networks nor ports, and with it nothing for the allocator to settle.
 * Made together with the service it spares a second version of it: clients create a service, look at it, and update
 * it under the version they have seen, all within milliseconds.
 */
export function plainEndpoint(spec: ServiceSpec): Pick<ServiceObject, 'Endpoint'> {
  const networks = [...(spec.TaskTemplate.Networks ?? []), ...(spec.Networks ?? [])];
  const ports = spec.EndpointSpec?.Ports ?? [];
  return networks.length > 0 || ports.length > 0 ? {} : { Endpoint: { Spec: spec.EndpointSpec ?? {} } };
}
