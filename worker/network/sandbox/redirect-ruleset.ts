/**
 * The nftables ruleset of a sandbox as netlink messages (linux/netfilter/nf_tables.h, RFC 3549). Sent in one batch, the
 * kernel applies it as one transaction in well under a millisecond; `nft -f` does the same but takes a process
 * (7 ms and more under load), which a container's first query may not wait for. As nft prints it:
 *
 *   table ip waggle_dns {
 *     chain output { type nat hook output priority -110; policy accept;
 *       ip daddr 127.0.0.11 udp dport 53 meta mark != MARK dnat to 127.0.0.11:PORT comment "waggle PORT"
 *       ip daddr 127.0.0.11 tcp dport 53 meta mark != MARK dnat to 127.0.0.11:PORT comment "waggle PORT" } }
 *
 * Priority -110 is before Docker's own redirect (-100).
 */

/** Where containers find Docker's resolver. */
export const RESOLVER_ADDRESS = '127.0.0.11';
export const DNS_PORT = 53;
/** On sockets of ours that ask Docker's resolver. */
export const FORWARD_MARK = 0x77676c;
export const TABLE = 'waggle_dns';

const SUBSYSTEM = 10;
const FAMILY_IPV4 = 2;
const MESSAGE = { newTable: 0, delTable: 2, newChain: 3, newRule: 6, getRule: 7 } as const;
const BATCH_BEGIN = 16;
const BATCH_END = 17;
const FLAG = { request: 1, ack: 4, dump: 0x300, exclusive: 0x200, create: 0x400, append: 0x800 } as const;
const NESTED = 0x8000;
const NETLINK_ERROR = 2;
const NETLINK_DONE = 3;
const HEADER_BYTES = 20;
const UDP = 17;
const TCP = 6;
const REGISTER = { one: 1, two: 2 } as const;

export interface Batch {
  bytes: Buffer;
  /** Sequence of the message whose acknowledgement ends it. */
  last: number;
}

/**
 * @param replace there may be a table already; without one, not deleting saves the kernel a grace period.
 * @param sequence of the first message.
 */
export function installBatch(port: number, replace: boolean, sequence: number): Batch {
  const table = text(1, TABLE);
  const hook = nested(4, number(1, 3), number(2, -110));
  const chain = [text(1, TABLE), text(3, 'output'), hook, text(7, 'nat'), number(5, 1)];
  const create = FLAG.request | FLAG.create;
  const bytes = Buffer.concat([
    batchMark(BATCH_BEGIN, sequence),
    ...(replace ? [message(MESSAGE.newTable, create, sequence + 1, table)] : []),
    ...(replace ? [message(MESSAGE.delTable, FLAG.request, sequence + 2, table)] : []),
    message(MESSAGE.newTable, replace ? create : create | FLAG.exclusive, sequence + 3, table),
    message(MESSAGE.newChain, create, sequence + 4, ...chain),
    message(MESSAGE.newRule, create | FLAG.append, sequence + 5, ...rule(UDP, port)),
    message(MESSAGE.newRule, create | FLAG.append | FLAG.ack, sequence + 6, ...rule(TCP, port)),
    batchMark(BATCH_END, sequence + 7),
  ]);
  return { bytes, last: sequence + 6 };
}

/** Removes the table, made first so that none is no error. One transaction. */
export function removeBatch(sequence: number): Batch {
  const table = text(1, TABLE);
  const bytes = Buffer.concat([
    batchMark(BATCH_BEGIN, sequence),
    message(MESSAGE.newTable, FLAG.request | FLAG.create, sequence + 1, table),
    message(MESSAGE.delTable, FLAG.request | FLAG.ack, sequence + 2, table),
    batchMark(BATCH_END, sequence + 3),
  ]);
  return { bytes, last: sequence + 2 };
}

/** Asks for all rules of our table. */
export function rulesRequest(sequence: number): Buffer {
  return message(MESSAGE.getRule, FLAG.request | FLAG.dump, sequence, text(1, TABLE));
}

export type NetlinkReply =
  | { kind: 'error'; sequence: number; errno: number }
  | { kind: 'done' }
  | { kind: 'rule'; port: number };

/** Reads what the kernel answered. An acknowledgement is an error with errno 0. Rules that are not ours have port 0. */
export function parseReplies(bytes: Buffer): NetlinkReply[] {
  const replies: NetlinkReply[] = [];
  for (let at = 0; at + 16 <= bytes.length; ) {
    const length = bytes.readUInt32LE(at);
    if (length < 16 || at + length > bytes.length) break;
    const type = bytes.readUInt16LE(at + 4);
    const body = bytes.subarray(at + 16, at + length);
    if (type === NETLINK_ERROR) {
      replies.push({ kind: 'error', sequence: bytes.readUInt32LE(at + 8), errno: -body.readInt32LE(0) });
    } else if (type === NETLINK_DONE) {
      replies.push({ kind: 'done' });
    } else if (type === ((SUBSYSTEM << 8) | MESSAGE.newRule)) {
      replies.push({ kind: 'rule', port: portOf(body.subarray(4)) });
    }
    at += align(length);
  }
  return replies;
}

function rule(protocol: number, port: number): Buffer[] {
  const address = Buffer.from(RESOLVER_ADDRESS.split('.').map(Number));
  const mark = Buffer.alloc(4);
  mark.writeUInt32LE(FORWARD_MARK);
  const expressions = [
    payload(1, 16, 4),
    compare(0, address),
    meta(16),
    compare(0, Buffer.from([protocol])),
    payload(2, 2, 2),
    compare(0, be16(DNS_PORT)),
    meta(3),
    compare(1, mark),
    immediate(REGISTER.one, address),
    immediate(REGISTER.two, be16(port)),
    destinationNat(),
  ];
  const comment = Buffer.from(`waggle ${port}\0`);
  const userData = Buffer.concat([Buffer.from([0, comment.length]), comment]);
  return [text(1, TABLE), text(2, 'output'), nested(4, ...expressions), attribute(7, userData)];
}

function portOf(attributes: Buffer): number {
  for (let at = 0; at + 4 <= attributes.length; ) {
    const length = attributes.readUInt16LE(at);
    if (length < 4) break;
    const type = attributes.readUInt16LE(at + 2) & 0x3fff;
    const found = type === 7 ? /waggle (\d+)\0/.exec(attributes.toString('latin1', at + 4, at + length)) : null;
    if (found !== null) return Number(found[1]);
    at += align(length);
  }
  return 0;
}

const payload = (base: number, offset: number, length: number): Buffer =>
  expression('payload', number(1, REGISTER.one), number(2, base), number(3, offset), number(4, length));
const compare = (operator: number, value: Buffer): Buffer =>
  expression('cmp', number(1, REGISTER.one), number(2, operator), nested(3, attribute(1, value)));
const meta = (key: number): Buffer => expression('meta', number(2, key), number(1, REGISTER.one));
const immediate = (register: number, value: Buffer): Buffer =>
  expression('immediate', number(1, register), nested(2, attribute(1, value)));
const destinationNat = (): Buffer =>
  expression('nat', number(1, 1), number(2, FAMILY_IPV4), number(3, REGISTER.one), number(5, REGISTER.two));

function expression(name: string, ...data: Buffer[]): Buffer {
  return nested(1, text(1, name), nested(2, ...data));
}

function message(type: number, flags: number, sequence: number, ...attributes: Buffer[]): Buffer {
  return frame((SUBSYSTEM << 8) | type, flags, sequence, FAMILY_IPV4, 0, attributes);
}

function batchMark(type: number, sequence: number): Buffer {
  return frame(type, FLAG.request, sequence, 0, SUBSYSTEM, []);
}

function frame(
  type: number,
  flags: number,
  sequence: number,
  family: number,
  resource: number,
  attributes: Buffer[],
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const body = Buffer.concat(attributes);
  header.writeUInt32LE(HEADER_BYTES + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  header.writeUInt32LE(sequence, 8);
  header.writeUInt8(family, 16);
  header.writeUInt16BE(resource, 18);
  return Buffer.concat([header, body]);
}

function attribute(type: number, value: Buffer): Buffer {
  const bytes = Buffer.alloc(align(4 + value.length));
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  value.copy(bytes, 4);
  return bytes;
}

const nested = (type: number, ...inner: Buffer[]): Buffer => attribute(type | NESTED, Buffer.concat(inner));
const text = (type: number, value: string): Buffer => attribute(type, Buffer.from(`${value}\0`));

function number(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return attribute(type, bytes);
}

function be16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

const align = (length: number): number => (length + 3) & ~3;
