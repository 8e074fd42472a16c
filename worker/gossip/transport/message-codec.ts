import { waggle } from '../../../proto/gen/gossip.js';
import type { LocalEndpoint } from '../endpoint-table.ts';
import type { Change, Message, Update } from '../core/message.ts';

const { Packet } = waggle.gossip;
type WireRecord = waggle.gossip.EndpointRecord.$Properties;
type WireUpdate = waggle.gossip.Update.$Properties;

const IPV4 = /^(?:\d{1,3}\.){3}\d{1,3}$/;
const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;
const MAX_NAMES = 128;
const MAX_TEXT = 256;
const MAX_VNI = 2 ** 24;

/** proto/gossip.proto. */
export function encodeMessage(message: Message): Uint8Array {
  return Packet.encode({
    from: message.from,
    digests: [...message.digests],
    replyWanted: message.replyWanted,
    updates: message.updates.map(({ changes, ...update }) => ({ ...update, records: changes.map(toWire) })),
    digestCount: message.digestCount,
    synced: message.synced,
  }).finish();
}

/** @throws Error when the bytes are no packet, or name what cannot be. */
export function decodeMessage(bytes: Uint8Array): Message {
  const packet = Packet.decode(bytes);
  return {
    from: id(packet.from),
    digests: packet.digests.map((digest) => ({
      owner: id(digest.owner),
      incarnation: count(digest.incarnation),
      sequence: count(digest.sequence),
      count: count(digest.count),
      checksum: count(digest.checksum),
      coveredTo: count(digest.coveredTo),
    })),
    replyWanted: packet.replyWanted === true,
    updates: packet.updates.map(fromWireUpdate),
    digestCount: count(packet.digestCount),
    synced: packet.synced === true,
  };
}

function fromWireUpdate(update: WireUpdate): Update {
  return {
    owner: id(update.owner),
    incarnation: count(update.incarnation),
    base: count(update.base),
    covers: count(update.covers),
    snapshot: update.snapshot === true,
    changes: (update.records ?? []).map(fromWire),
  };
}

function toWire(change: Change): WireRecord {
  const { networkId, endpointId, sequence, endpoint } = change;
  if (endpoint === undefined) return { networkId, endpointId, sequence, removed: true };
  const { address, mac, vtep, vni, names, services } = endpoint;
  return { networkId, endpointId, sequence, address, mac, vtep, vni, names: [...names], services: [...services] };
}

function fromWire(record: WireRecord): Change {
  const change = {
    networkId: id(record.networkId),
    endpointId: id(record.endpointId),
    sequence: count(record.sequence),
  };
  if (record.removed === true) return change;
  const endpoint: LocalEndpoint = {
    networkId: change.networkId,
    endpointId: change.endpointId,
    address: matching(record.address, IPV4),
    mac: matching(record.mac, MAC),
    vtep: matching(record.vtep, IPV4),
    vni: within(count(record.vni), MAX_VNI),
    names: texts(record.names),
    services: texts(record.services),
  };
  return { ...change, endpoint };
}

function id(value: string | null | undefined): string {
  return matching(value, /^[\w.:-]{1,128}$/);
}

function matching(value: string | null | undefined, pattern: RegExp): string {
  if (typeof value !== 'string' || !pattern.test(value)) throw new Error('malformed gossip field');
  return value;
}

function texts(values: readonly string[] | null | undefined): string[] {
  const list = [...(values ?? [])];
  if (list.length > MAX_NAMES || list.some((text) => text.length > MAX_TEXT)) throw new Error('too many gossip names');
  return list;
}

function count(value: number | null | undefined): number {
  return within(value ?? 0, Number.MAX_SAFE_INTEGER);
}

function within(value: number, most: number): number {
  if (!Number.isSafeInteger(value) || value < 0 || value > most) throw new Error('gossip number out of range');
  return value;
}
