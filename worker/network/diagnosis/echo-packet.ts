import ipaddr from 'ipaddr.js';
import type { AddressFamily, Sighting } from '../../../proto/objects/diagnosis/path.ts';
import type { FilterInstruction } from '../system/raw-socket.ts';

/** Echo messages (RFC 792, RFC 4443) that bear a marker, bare and in a VXLAN tunnel (RFC 7348). Frames are those without VLAN tags. */

const IP_BYTES: Readonly<Record<AddressFamily, number>> = { 4: 20, 6: 40 };
const ICMP_BYTES = 8;
const ETHERNET_BYTES = 14;
const UDP_BYTES = 8;
const VXLAN_BYTES = 8;
const TYPES: Readonly<Record<AddressFamily, { request: number; reply: number }>> = {
  4: { request: 8, reply: 0 },
  6: { request: 128, reply: 129 },
};
const ETHERTYPES: Readonly<Record<AddressFamily, number>> = { 4: 0x0800, 6: 0x86dd };
const PROTOCOL_ICMP: Readonly<Record<AddressFamily, number>> = { 4: 1, 6: 58 };
const PROTOCOL_UDP = 17;
/** Within the IP header: the byte that says what comes after it. Extension headers are not looked behind: probes have none. */
const PROTOCOL_AT: Readonly<Record<AddressFamily, number>> = { 4: 9, 6: 6 };
const FAMILIES: readonly AddressFamily[] = [4, 6];

/** @param size of the whole IP packet. @param marker 8 bytes. The checksum of ICMPv6 is left to the kernel, which knows the addresses. */
export function echoRequest(marker: Buffer, sequence: number, size: number, family: AddressFamily): Buffer {
  const bytes = Buffer.alloc(Math.max(size - IP_BYTES[family], ICMP_BYTES + marker.length));
  bytes.writeUInt8(TYPES[family].request, 0);
  bytes.writeUInt16BE(marker.readUInt16BE(0), 4);
  bytes.writeUInt16BE(sequence, 6);
  bytes.set(marker, ICMP_BYTES);
  if (family === 4) bytes.writeUInt16BE(checksum(bytes), 2);
  return bytes;
}

/** True for the answer to such a request, as a raw socket hands it out: with its header when it is IPv4, without when IPv6. */
export function isEchoReply(packet: Buffer, marker: Buffer, sequence: number, family: AddressFamily): boolean {
  const at = family === 4 ? ((packet[0] ?? 0) & 0x0f) * 4 : 0;
  if (packet.length < at + ICMP_BYTES + marker.length) return false;
  return (
    packet.readUInt8(at) === TYPES[family].reply &&
    packet.readUInt16BE(at + 6) === sequence &&
    packet.subarray(at + ICMP_BYTES, at + ICMP_BYTES + marker.length).equals(marker)
  );
}

/** What a captured frame is, if it bears the marker. @param port UDP port of the tunnel. */
export function readFrame(
  frame: Buffer,
  marker: Buffer,
  port: number,
): Pick<Sighting, 'packet' | 'family' | 'tunnelTo'> | undefined {
  const outer = readIp(frame, 0);
  if (outer === undefined) return undefined;
  const bare = readEcho(frame, outer, marker);
  if (bare !== undefined) return { packet: bare, family: outer.family, tunnelTo: '' };
  const isTunnel =
    outer.protocol === PROTOCOL_UDP &&
    frame.length >= outer.payload + UDP_BYTES &&
    frame.readUInt16BE(outer.payload + 2) === port;
  const inner = isTunnel ? readIp(frame, outer.payload + UDP_BYTES + VXLAN_BYTES) : undefined;
  const packet = inner === undefined ? undefined : readEcho(frame, inner, marker);
  if (inner === undefined || packet === undefined) return undefined;
  return { packet, family: inner.family, tunnelTo: outer.destination() };
}

/** Lets echo messages and their like pass, bare or in a tunnel to the port, so that no other traffic fills the socket. */
export function echoFilter(port: number): FilterInstruction[] {
  return compile(
    ofFamily(0, (family, ip) =>
      is(1, ip + PROTOCOL_AT[family], PROTOCOL_ICMP[family], true, tunnelled(port, family, ip)),
    ),
  );
}

function tunnelled(port: number, outer: AddressFamily, outerIp: number): Filter {
  const udp = outerIp + IP_BYTES[outer];
  const inner = ofFamily(udp + UDP_BYTES + VXLAN_BYTES, (family, ip) =>
    is(1, ip + PROTOCOL_AT[family], PROTOCOL_ICMP[family], true, false),
  );
  return is(1, outerIp + PROTOCOL_AT[outer], PROTOCOL_UDP, is(2, udp + 2, port, inner, false), false);
}

/** Whether a frame passes, or what decides it: the number in one or two bytes, IP headers being without options. */
type Filter = boolean | { bytes: 1 | 2; at: number; value: number; then: Filter; otherwise: Filter };

function is(bytes: 1 | 2, at: number, value: number, then: Filter, otherwise: Filter): Exclude<Filter, boolean> {
  return { bytes, at, value, then, otherwise };
}

/** @param start of the Ethernet header. */
function ofFamily(start: number, decide: (family: AddressFamily, ip: number) => Filter): Filter {
  return FAMILIES.reduceRight<Filter>(
    (otherwise, family) => is(2, start + 12, ETHERTYPES[family], decide(family, start + ETHERNET_BYTES), otherwise),
    false,
  );
}

function compile(filter: Filter): FilterInstruction[] {
  const [loadHalf, loadByte, jumpEqual, give] = [0x28, 0x30, 0x15, 0x06];
  if (typeof filter === 'boolean') return [[give, 0, 0, filter ? 0xffff : 0]];
  const then = compile(filter.then);
  return [
    [filter.bytes === 1 ? loadByte : loadHalf, 0, 0, filter.at],
    [jumpEqual, 0, then.length, filter.value],
    ...then,
    ...compile(filter.otherwise),
  ];
}

interface IpPacket {
  family: AddressFamily;
  protocol: number;
  /** Where the payload begins. */
  payload: number;
  destination(): string;
}

/** @param start of the Ethernet header. */
function readIp(frame: Buffer, start: number): IpPacket | undefined {
  const ip = start + ETHERNET_BYTES;
  const family = FAMILIES.find(
    (each) => frame.length >= ip + IP_BYTES[each] && frame.readUInt16BE(start + 12) === ETHERTYPES[each],
  );
  if (family === undefined) return undefined;
  const end = ip + IP_BYTES[family];
  return {
    family,
    protocol: frame.readUInt8(ip + PROTOCOL_AT[family]),
    payload: family === 4 ? ip + (frame.readUInt8(ip) & 0x0f) * 4 : end,
    destination: () => addressOf(frame.subarray(end - (family === 4 ? 4 : 16), end)),
  };
}

function addressOf(bytes: Buffer): string {
  const address = ipaddr.fromByteArray([...bytes]);
  return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString();
}

function readEcho(
  frame: Buffer,
  { family, protocol, payload }: IpPacket,
  marker: Buffer,
): Sighting['packet'] | undefined {
  if (protocol !== PROTOCOL_ICMP[family] || frame.length < payload + ICMP_BYTES + marker.length) return undefined;
  if (!frame.subarray(payload + ICMP_BYTES, payload + ICMP_BYTES + marker.length).equals(marker)) return undefined;
  const type = frame.readUInt8(payload);
  if (type === TYPES[family].request) return 'request';
  return type === TYPES[family].reply ? 'reply' : undefined;
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
