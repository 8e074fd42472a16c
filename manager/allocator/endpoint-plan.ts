import { clusterPortsOf, type PortConfig, type ServiceEndpoint } from '../../proto/objects/endpoint.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { NetworkAttachmentConfig } from '../../proto/objects/task.ts';
import type { ReadTx } from '../store/transaction.ts';
import type { AddressBook } from './address-book.ts';
import { type AllocationOutcome, overlayTargets, waiting } from './allocation-outcome.ts';
import type { PortBook } from './port-book.ts';

type Settled = Required<Pick<PortConfig, 'Protocol' | 'TargetPort' | 'PublishMode'>> & PortConfig;

/** The networks of a service: those of its task template, or the deprecated ones beside it (swarmkit serviceNetworks). */
function serviceNetworks(service: ServiceObject): readonly NetworkAttachmentConfig[] {
  const ofTasks = service.Spec.TaskTemplate.Networks ?? [];
  return ofTasks.length > 0 ? ofTasks : (service.Spec.Networks ?? []);
}

/** True while the network can give addresses; otherwise what to wait for. */
export function networkReady(tx: ReadTx, addresses: AddressBook, networkId: string): AllocationOutcome<true> {
  const key = `network/${networkId}`;
  const network = tx.get('networks', networkId);
  if (network === undefined) return waiting(key, `network ${networkId} not found`);
  if (network.Allocated === undefined) return waiting(key, network.AllocationError);
  addresses.define(networkId, network.Allocated.Subnets);
  return { ok: true, result: true };
}

/**
 * Settles a service's virtual addresses and published ports, keeping those it has. What is taken stays taken
 * for this service whatever comes of it, so a second try gets the same; `releaseUnused` gives back the rest.
 */
export function planEndpoint(
  service: ServiceObject,
  tx: ReadTx,
  books: { addresses: AddressBook; ports: PortBook },
): AllocationOutcome<ServiceEndpoint> {
  const vips: { NetworkID: string; Addr: string }[] = [];
  const targets = service.Spec.EndpointSpec?.Mode === 'dnsrr' ? [] : overlayTargets(serviceNetworks(service));
  for (const { Target: networkId } of targets) {
    const ready = networkReady(tx, books.addresses, networkId);
    if (!ready.ok) return ready;
    const grant = books.addresses.give(networkId, `service/${service.ID}`);
    if (!grant.ok) return waiting(`network/${networkId}`, 'could not find an available IP while allocating VIP');
    vips.push({ NetworkID: networkId, Addr: grant.address });
  }
  const ports = planPorts(service, tx, books.ports);
  if (!ports.ok) return ports;
  const endpoint: ServiceEndpoint = { Spec: service.Spec.EndpointSpec ?? {} };
  if (ports.result.length > 0) endpoint.Ports = ports.result;
  if (vips.length > 0) endpoint.VirtualIPs = vips;
  return { ok: true, result: endpoint };
}

/** Gives back whatever the service holds and its committed endpoint does not show. */
export function releaseUnused(
  serviceId: string,
  endpoint: ServiceEndpoint,
  addresses: AddressBook,
  ports: PortBook,
): boolean {
  const holder = `service/${serviceId}`;
  const used = new Set((endpoint.VirtualIPs ?? []).map(({ NetworkID }) => NetworkID));
  for (const networkId of addresses.networksOf(holder)) {
    if (!used.has(networkId)) addresses.release(holder, networkId);
  }
  return ports.releaseExcept(
    serviceId,
    new Set(clusterPortsOf(endpoint).map(({ protocol, port }) => `${protocol}/${port}`)),
  );
}

function planPorts(service: ServiceObject, tx: ReadTx, book: PortBook): AllocationOutcome<PortConfig[]> {
  const ports = (service.Spec.EndpointSpec?.Ports ?? []).map(settledPort);
  // Ports that were asked for come first, so that no sibling is given one of them.
  for (const port of ports) {
    const published = port.PublishedPort ?? 0;
    if (port.PublishMode !== 'ingress' || published === 0) continue;
    const owner = book.take(service.ID, port.Protocol, published);
    if (owner !== undefined) return waiting('ports', portInUse(tx, owner, published));
  }
  const before = (service.Endpoint?.Ports ?? []).map(settledPort);
  const given: Settled[] = [];
  for (const port of ports) {
    if (port.PublishMode !== 'ingress' || (port.PublishedPort ?? 0) !== 0) {
      given.push(port);
      continue;
    }
    const published =
      keptPort(service.ID, port, before, [...ports, ...given], book) ?? book.takeDynamic(service.ID, port.Protocol);
    if (published === undefined) return waiting('ports', 'no dynamic port is left to publish');
    given.push({ ...port, PublishedPort: published });
  }
  return { ok: true, result: given };
}

/** The dynamic port that the same target had before. */
function keptPort(
  serviceId: string,
  port: Settled,
  before: readonly Settled[],
  used: readonly Settled[],
  book: PortBook,
): number | undefined {
  const isUsed = (one: Settled): boolean =>
    used.some(
      (other) =>
        other.Protocol === one.Protocol && other.PublishMode === 'ingress' && other.PublishedPort === one.PublishedPort,
    );
  const old = before.find(
    (one) =>
      one.PublishMode === 'ingress' &&
      one.Protocol === port.Protocol &&
      one.TargetPort === port.TargetPort &&
      (one.Name ?? '') === (port.Name ?? '') &&
      !isUsed(one),
  );
  const published = old?.PublishedPort ?? 0;
  if (published === 0) return undefined;
  return book.take(serviceId, port.Protocol, published) === undefined ? published : undefined;
}

function settledPort(port: PortConfig): Settled {
  return {
    ...port,
    Protocol: port.Protocol ?? 'tcp',
    TargetPort: port.TargetPort ?? 0,
    PublishMode: port.PublishMode ?? 'ingress',
  };
}

function portInUse(tx: ReadTx, ownerId: string, port: number): string {
  const name = tx.get('services', ownerId)?.Spec.Name ?? '';
  return `port '${port}' is already in use by service '${name}' (${ownerId}) as an ingress port`;
}
