import { clusterPortsOf } from '../../proto/objects/endpoint.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { ReadTx } from '../store/transaction.ts';
import type { PortBook } from './port-book.ts';

/** A port that two services show as theirs. */
export interface DuplicatePort {
  protocol: string;
  port: number;
  owner: string;
  other: string;
}

export interface PortAudit {
  /** `service/tcp/80` for every port that was given back. */
  released: string[];
  duplicates: DuplicatePort[];
}

/** Ports that a service may hold: those that it shows, and those that it asks for. */
export function wantedPorts(service: ServiceObject): Set<string> {
  const asked = clusterPortsOf({ Ports: service.Spec.EndpointSpec?.Ports ?? [] });
  return new Set([...clusterPortsOf(service.Endpoint), ...asked].map(({ protocol, port }) => `${protocol}/${port}`));
}

/**
 * Compares the book with committed state, whatever events came or did not: gives back what belongs to a service that is gone or does
 * not want it any more, and takes what a service shows and nobody has. What two services show stays with the one that has it.
 * @param unsettled services with a reservation that is not written yet; theirs is left.
 */
export function auditPorts(tx: ReadTx, ports: PortBook, unsettled: ReadonlySet<string>): PortAudit {
  const released: string[] = [];
  for (const serviceId of ports.services()) {
    if (unsettled.has(serviceId)) continue;
    const service = tx.get('services', serviceId);
    const before = ports.of(serviceId);
    const keep = service === undefined ? new Set<string>() : wantedPorts(service);
    ports.releaseExcept(serviceId, keep);
    released.push(...before.filter((key) => !keep.has(key)).map((key) => `${serviceId}/${key}`));
  }
  const duplicates: DuplicatePort[] = [];
  for (const service of [...tx.all('services')].toSorted((a, b) => (a.ID < b.ID ? -1 : 1))) {
    for (const { protocol, port } of clusterPortsOf(service.Endpoint)) {
      const owner = ports.take(service.ID, protocol, port);
      if (owner !== undefined) duplicates.push({ protocol, port, owner, other: service.ID });
    }
  }
  return { released, duplicates };
}
