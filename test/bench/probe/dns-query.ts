const HEADER_BYTES = 12;
const RECURSION_DESIRED = 0x0100;
const TYPE_A = 1;
const CLASS_IN = 1;

/** A query for the name's IPv4 addresses (RFC 1035 §4.1). */
export function dnsQuery(id: number, name: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE(RECURSION_DESIRED, 2);
  header.writeUInt16BE(1, 4);
  const labels = name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)]));
  return Buffer.concat([header, ...labels, Buffer.from([0, 0, TYPE_A, 0, CLASS_IN])]);
}

/** @returns how many records answer the query with that id; 0 for an error or another id. */
export function answersIn(message: Buffer, id: number): number {
  if (message.length < HEADER_BYTES || message.readUInt16BE(0) !== id) return 0;
  const responseCode = message.readUInt8(3) & 0x0f;
  return responseCode === 0 ? message.readUInt16BE(6) : 0;
}
