const FRAME_BYTES = 42;
const ETHERTYPE_AT = 12;
const ETHERTYPE_ARP = 0x0806;
const OPERATION_AT = 20;
const SENDER_ADDRESS_AT = 28;
const REPLY = 2;
const BROADCAST = Buffer.alloc(6, 0xff);
/** Ethernet, IPv4, their lengths, request (RFC 826). */
const REQUEST_HEADER = Buffer.from('0001080006040001', 'hex');

export interface ArpSender {
  mac: string;
  address: string;
}

/** An Ethernet frame that asks all who has the address. */
export function arpRequest(sender: ArpSender, target: string): Buffer {
  const mac = Buffer.from(sender.mac.replaceAll(':', ''), 'hex');
  return Buffer.concat([
    BROADCAST,
    mac,
    Buffer.from('0806', 'hex'),
    REQUEST_HEADER,
    mac,
    Buffer.from(sender.address.split('.').map(Number)),
    Buffer.alloc(6),
    Buffer.from(target.split('.').map(Number)),
  ]);
}

/** @returns the address that an ARP reply says something of; undefined for any other frame. */
export function answeredAddress(frame: Buffer): string | undefined {
  if (frame.length < FRAME_BYTES || frame.readUInt16BE(ETHERTYPE_AT) !== ETHERTYPE_ARP) return undefined;
  if (frame.readUInt16BE(OPERATION_AT) !== REPLY) return undefined;
  return [...frame.subarray(SENDER_ADDRESS_AT, SENDER_ADDRESS_AT + 4)].join('.');
}
