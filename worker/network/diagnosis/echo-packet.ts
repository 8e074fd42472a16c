import type { Sighting } from '../../../proto/objects/diagnosis/path.ts';

/** Echo messages (RFC 792) that bear a marker, bare and in a VXLAN tunnel (RFC 7348). Offsets are those of frames without VLAN tags. */

const IP_BYTES = 20;
const ICMP_BYTES = 8;
const ETHERNET_BYTES = 14;
/** Outer Ethernet, IPv4, UDP and VXLAN headers. */
const TUNNEL_BYTES = 50;
const TYPE_REQUEST = 8;
const TYPE_REPLY = 0;
const ETHERTYPE_IP = 0x0800;
const PROTOCOL_ICMP = 1;
const PROTOCOL_UDP = 17;

/** @param size of the whole IPv4 packet. @param marker 8 bytes. */
export function echoRequest(marker: Buffer, sequence: number, size: number): Buffer {
  const bytes = Buffer.alloc(Math.max(size - IP_BYTES, ICMP_BYTES + marker.length));
  bytes.writeUInt8(TYPE_REQUEST, 0);
  bytes.writeUInt16BE(marker.readUInt16BE(0), 4);
  bytes.writeUInt16BE(sequence, 6);
  bytes.set(marker, ICMP_BYTES);
  bytes.writeUInt16BE(checksum(bytes), 2);
  return bytes;
}

/** True for the answer to such a request, as a raw socket hands it out: with its IPv4 header. */
export function isEchoReply(packet: Buffer, marker: Buffer, sequence: number): boolean {
  const at = ((packet[0] ?? 0) & 0x0f) * 4;
  if (packet.length < at + ICMP_BYTES + marker.length) return false;
  return (
    packet.readUInt8(at) === TYPE_REPLY &&
    packet.readUInt16BE(at + 6) === sequence &&
    packet.subarray(at + ICMP_BYTES, at + ICMP_BYTES + marker.length).equals(marker)
  );
}

/** What a captured frame is, if it bears the marker. */
export function readFrame(
  frame: Buffer,
  marker: Buffer,
  port: number,
): Pick<Sighting, 'packet' | 'tunnelTo'> | undefined {
  const bare = readEcho(frame, 0, marker);
  if (bare !== undefined) return { packet: bare, tunnelTo: '' };
  const isTunnel =
    frame.length > TUNNEL_BYTES &&
    frame.readUInt16BE(12) === ETHERTYPE_IP &&
    frame.readUInt8(23) === PROTOCOL_UDP &&
    frame.readUInt16BE(36) === port;
  const inner = isTunnel ? readEcho(frame, TUNNEL_BYTES, marker) : undefined;
  return inner === undefined ? undefined : { packet: inner, tunnelTo: [...frame.subarray(30, 34)].join('.') };
}

/** Lets ICMP pass, bare or in a tunnel to the port, so that no other traffic fills the socket. */
export function echoFilter(port: number): (readonly [number, number, number, number])[] {
  const [loadHalf, loadByte, jumpEqual, give] = [0x28, 0x30, 0x15, 0x06];
  return [
    [loadHalf, 0, 0, 12],
    [jumpEqual, 0, 9, ETHERTYPE_IP],
    [loadByte, 0, 0, 23],
    [jumpEqual, 8, 0, PROTOCOL_ICMP],
    [jumpEqual, 0, 6, PROTOCOL_UDP],
    [loadHalf, 0, 0, 36],
    [jumpEqual, 0, 4, port],
    [loadHalf, 0, 0, TUNNEL_BYTES + 12],
    [jumpEqual, 0, 2, ETHERTYPE_IP],
    [loadByte, 0, 0, TUNNEL_BYTES + 23],
    [jumpEqual, 1, 0, PROTOCOL_ICMP],
    [give, 0, 0, 0],
    [give, 0, 0, 0xffff],
  ];
}

function readEcho(frame: Buffer, start: number, marker: Buffer): Sighting['packet'] | undefined {
  const ip = start + ETHERNET_BYTES;
  if (frame.length < ip + IP_BYTES + ICMP_BYTES + marker.length) return undefined;
  if (frame.readUInt16BE(start + 12) !== ETHERTYPE_IP || frame.readUInt8(ip + 9) !== PROTOCOL_ICMP) return undefined;
  const icmp = ip + (frame.readUInt8(ip) & 0x0f) * 4;
  if (!frame.subarray(icmp + ICMP_BYTES, icmp + ICMP_BYTES + marker.length).equals(marker)) return undefined;
  const type = frame.readUInt8(icmp);
  if (type === TYPE_REQUEST) return 'request';
  return type === TYPE_REPLY ? 'reply' : undefined;
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
