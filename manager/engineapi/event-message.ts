import type { NodeObject } from '../../proto/objects/node.ts';
import type { ServiceObject } from '../../proto/objects/service.ts';
import type { StoreEvent } from '../store/transaction.ts';
import { nanosOfTime } from './timestamp.ts';

/** A message of `GET /events` about the swarm (moby daemon/events.go). */
export interface EventMessage {
  type: 'node' | 'service' | 'network' | 'secret' | 'config';
  action: 'create' | 'update' | 'remove';
  id: string;
  attributes: Record<string, string>;
  /** Since the epoch. */
  timeNanos: bigint;
}

const NANOS_PER_SECOND = 1_000_000_000n;
const NANOS_PER_MS = 1_000_000;

/** The message that a committed change makes; undefined for objects that have no events. */
export function eventOf(event: StoreEvent, nowMs: number): EventMessage | undefined {
  switch (event.table) {
    case 'nodes':
      return message('node', event, nowMs, nodeName, nodeChanges);
    case 'services':
      return message('service', event, nowMs, (service) => service.Spec.Name, serviceChanges);
    case 'networks':
      return message('network', event, nowMs, (network) => network.Spec.Name);
    case 'secrets':
      return message('secret', event, nowMs, (secret) => secret.Spec.Name);
    case 'configs':
      return message('config', event, nowMs, (config) => config.Spec.Name);
    case 'clusters':
    case 'tasks':
    case 'attachments':
      return undefined;
  }
}

/** One line of the stream. Written by hand since nanoseconds are more than a double holds. */
export function encodeEvent(event: EventMessage): string {
  const head = JSON.stringify({
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.id, Attributes: event.attributes },
    scope: 'swarm',
  });
  return `${head.slice(0, -1)},"time":${event.timeNanos / NANOS_PER_SECOND},"timeNano":${event.timeNanos}}\n`;
}

interface Stored {
  ID: string;
  CreatedAt: string;
  UpdatedAt: string;
}

function message<T extends Stored>(
  type: EventMessage['type'],
  change: { before?: T; after?: T },
  nowMs: number,
  nameOf: (object: T) => string,
  changesOf?: (before: T, after: T) => Record<string, string>,
): EventMessage | undefined {
  const { before, after } = change;
  const object = after ?? before;
  if (object === undefined) return undefined;
  const attributes: Record<string, string> = { name: nameOf(object) };
  const common = { type, id: object.ID, attributes };
  if (after === undefined) {
    return { ...common, action: 'remove', timeNanos: BigInt(Math.round(nowMs * NANOS_PER_MS)) };
  }
  if (before === undefined) return { ...common, action: 'create', timeNanos: nanosOfTime(after.CreatedAt) };
  Object.assign(attributes, changesOf?.(before, after));
  return { ...common, action: 'update', timeNanos: nanosOfTime(after.UpdatedAt) };
}

function nodeName(node: NodeObject): string {
  return node.Spec.Name === undefined || node.Spec.Name === '' ? (node.Description?.Hostname ?? '') : node.Spec.Name;
}

function nodeChanges(before: NodeObject, after: NodeObject): Record<string, string> {
  const changes = {
    ...difference('availability', before.Spec.Availability, after.Spec.Availability),
    ...difference('role', before.CertificateRole, after.CertificateRole),
    ...difference('state', before.Status.State, after.Status.State),
  };
  if (before.ManagerStatus === undefined || after.ManagerStatus === undefined) return changes;
  return {
    ...changes,
    ...difference('leader', String(before.ManagerStatus.Leader === true), String(after.ManagerStatus.Leader === true)),
    ...difference('reachability', before.ManagerStatus.Reachability, after.ManagerStatus.Reachability),
  };
}

function serviceChanges(before: ServiceObject, after: ServiceObject): Record<string, string> {
  return {
    ...difference('replicas', replicasOf(before), replicasOf(after)),
    ...difference('image', before.Spec.TaskTemplate.ContainerSpec?.Image, after.Spec.TaskTemplate.ContainerSpec?.Image),
    // An update that begins takes away what became of the one before: that is no news.
    ...(after.UpdateStatus === undefined
      ? {}
      : difference('updatestate', before.UpdateStatus?.State, after.UpdateStatus.State)),
  };
}

function replicasOf(service: ServiceObject): string | undefined {
  const mode = service.Spec.Mode?.Replicated;
  return mode === undefined ? undefined : String(mode.Replicas ?? 1);
}

function difference(key: string, before: string | undefined, after: string | undefined): Record<string, string> {
  if (before === after) return {};
  return {
    ...(before === undefined ? {} : { [`${key}.old`]: before }),
    ...(after === undefined ? {} : { [`${key}.new`]: after }),
  };
}
