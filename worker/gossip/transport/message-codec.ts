import { isIPv6 } from 'node:net';
import { waggle } from '../../../proto/gen/gossip.js';
import type { LocalEndpoint } from '../endpoint-table.ts';
import type { Change, Message, Scope, Update } from '../core/message.ts';
import { MOST_BUCKETS } from '../core/range.ts';
import type { Envelope } from './envelope.ts';
import { swimFromWire, swimToWire } from './swim-codec.ts';
import { count, id, matching, within } from './wire-field.ts';

const { Packet } = waggle.gossip;
type WirePacket = waggle.gossip.Packet.$Properties;
type WireRecord = waggle.gossip.EndpointRecord.$Properties;
type WireUpdate = waggle.gossip.Update.$Properties;

const IPV4 = /^(?:\d{1,3}\.){3}\d{1,3}$/;
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;
const MAX_NAMES = 128;
const MAX_TEXT = 256;
const MAX_VNI = 2 ** 24;
/** More than a datagram holds: each costs its receiver a look at every owner. */
const MAX_RANGES = 64;

/** proto/gossip.proto. @throws Error when the table message is of no network. */
export function encodeEnvelope({ from, content, session, counter }: Envelope): Uint8Array {
  const part = 'swim' in content ? { swim: swimToWire(content.swim) } : tableToWire(content.table);
  return Packet.encode({ from, session, counter, ...part }).finish();
}

/** @throws Error when the bytes are no packet, or name what cannot be. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  const packet = Packet.decode(bytes);
  const from = id(packet.from);
  const stamp = { from, session: count(packet.session), counter: count(packet.counter) };
  if (packet.swim !== undefined && packet.swim !== null)
    return { ...stamp, content: { swim: swimFromWire(packet.swim) } };
  return { ...stamp, content: { table: tableFromWire(packet, from) } };
}

function tableToWire(message: Message): Partial<WirePacket> {
  return {
    networkId: message.networkId,
    bucket: message.scope.bucket,
    buckets: message.scope.buckets,
    first: message.first,
    ranges: [...message.ranges],
    digests: [...message.digests],
    replyWanted: message.replyWanted,
    updates: message.updates.map(({ changes, ...update }) => ({ ...update, records: changes.map(toWire) })),
    digestCount: message.digestCount,
    synced: message.synced,
  };
}

function tableFromWire(packet: WirePacket, from: string): Message {
  const networkId = id(packet.networkId);
  return {
    from,
    networkId,
    scope: scope(packet),
    first: packet.first === true,
    ranges: few(packet.ranges ?? []).map((range) => ({
      ...scope(range),
      count: count(range.count),
      checksum: count(range.checksum),
    })),
    digests: (packet.digests ?? []).map((digest) => ({
      owner: id(digest.owner),
      incarnation: count(digest.incarnation),
      sequence: count(digest.sequence),
      count: count(digest.count),
      checksum: count(digest.checksum),
      coveredTo: count(digest.coveredTo),
    })),
    replyWanted: packet.replyWanted === true,
    updates: (packet.updates ?? []).map((update) => fromWireUpdate(update, networkId)),
    digestCount: count(packet.digestCount),
    synced: packet.synced === true,
  };
}

function few<T>(ranges: readonly T[]): readonly T[] {
  if (ranges.length > MAX_RANGES) throw new Error('too many gossip ranges');
  return ranges;
}

/** Buckets are a power of 16, or not said. */
function scope(value: { bucket?: number | null; buckets?: number | null }): Scope {
  const buckets = within(value.buckets ?? 0, MOST_BUCKETS);
  if (buckets > 0 && !Number.isInteger(Math.log2(buckets) / 4)) throw new Error('gossip number out of range');
  const bucket = within(value.bucket ?? 0, Math.max(1, buckets) - 1);
  return { bucket, buckets: Math.max(1, buckets) };
}

function fromWireUpdate(update: WireUpdate, networkId: string): Update {
  return {
    owner: id(update.owner),
    incarnation: count(update.incarnation),
    base: count(update.base),
    covers: count(update.covers),
    snapshot: update.snapshot === true,
    changes: (update.records ?? []).map((record) => fromWire(record, networkId)),
  };
}

function toWire(change: Change): WireRecord {
  const { endpointId, sequence, endpoint } = change;
  if (endpoint === undefined) return { endpointId, sequence, removed: true };
  const { networkId: _scope, names, services, ...rest } = endpoint;
  return { ...rest, endpointId, sequence, names: [...names], services: [...services] };
}

function fromWire(record: WireRecord, networkId: string): Change {
  const change = {
    networkId,
    endpointId: id(record.endpointId),
    sequence: count(record.sequence),
  };
  if (record.removed === true) return change;
  const endpoint: LocalEndpoint = {
    networkId: change.networkId,
    endpointId: change.endpointId,
    address: matching(record.address, IPV4),
    ...(record.address6 ? { address6: ipv6(record.address6) } : {}),
    mac: matching(record.mac, MAC),
    vtep: record.vtep?.includes(':') === true ? ipv6(record.vtep) : matching(record.vtep, IPV4),
    vni: within(count(record.vni), MAX_VNI),
    names: texts(record.names),
    services: texts(record.services),
    ...(record.claimedAt ? { claimedAt: count(record.claimedAt) } : {}),
  };
  return { ...change, endpoint };
}

/** No zone: it would be of the sender's host. */
function ipv6(value: string): string {
  if (!isIPv6(value) || value.includes('%')) throw new Error('malformed gossip field');
  return value;
}

function texts(values: readonly string[] | null | undefined): string[] {
  const list = [...(values ?? [])];
  if (list.length > MAX_NAMES || list.some((text) => text.length > MAX_TEXT)) throw new Error('too many gossip names');
  return list;
}
