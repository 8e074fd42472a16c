import dns2 from 'dns2';
import { type Answer, type DnsQuestion, QUERY_TYPE } from './answer.ts';

const { Packet } = dns2;
type PacketInstance = ReturnType<typeof Packet.parse>;

/**
 * Seconds that a client may keep our answers. 1: a name must not point to a dead task for longer than the swarm takes to
 * notice (2-3 s), asking again costs a tenth of a millisecond, and 0 is misread by some caches as "no limit".
 */
const ANSWER_TTL_SECONDS = 1;

const HEADER_BYTES = 12;
const PLAIN_UDP_BYTES = 512;
/** Above what clients ask for, and small enough for every loopback. */
const MOST_UDP_BYTES = 4_096;
const RCODE = { formatError: 1, serverFailure: 2, notImplemented: 4 } as const;
const OPCODE_QUERY = 0;
const CLASS_IN = 1;
/** With its name compressed to a pointer (RFC 1035 4.1.4): A and AAAA. */
const A_RECORD_BYTES = 16;
const AAAA_RECORD_BYTES = 28;

/** One query that can be answered or passed on. */
export interface DnsQuery {
  id: number;
  question: DnsQuestion;
  packet: PacketInstance;
  /** Largest UDP answer that the client takes (RFC 6891 6.2.3). */
  udpLimitBytes: number;
}

export type ParsedQuery =
  | { kind: 'query'; query: DnsQuery }
  /** Answer with this. */
  | { kind: 'refused'; reply: Buffer }
  /** A response, or too short to have an ID: no answer at all. */
  | { kind: 'ignored' };

/** Never throws. */
export function parseQuery(bytes: Buffer): ParsedQuery {
  // QR: answering an answer could go round for ever.
  if (bytes.length < HEADER_BYTES || bytes.readUInt8(2) >= 0x80) return { kind: 'ignored' };
  if (((bytes.readUInt8(2) >> 3) & 0xf) !== OPCODE_QUERY) return refuse(bytes, RCODE.notImplemented);
  try {
    const packet = Packet.parse(bytes);
    const [question, ...more] = packet.questions;
    if (question === undefined || more.length > 0 || packet.errors.length > 0) return refuse(bytes, RCODE.formatError);
    const { name, type } = question;
    const asked: DnsQuestion = { name, type, class: question.class };
    const query = { id: packet.header.id, question: asked, packet, udpLimitBytes: udpLimit(packet) };
    return { kind: 'query', query };
  } catch {
    return refuse(bytes, RCODE.formatError);
  }
}

/**
 * @param limitBytes an answer that would be larger has only the addresses that fit and is marked truncated: clients that
 * can ask again by TCP, the others go on with what they have.
 */
export function encodeAnswer(query: DnsQuery, answer: Answer, limitBytes: number): Buffer {
  const reply = replyTo(query);
  reply.answers.push(...recordsOf(query.question.name, answer));
  const bytes = reply.toBuffer();
  if (bytes.length <= limitBytes || answer.kind !== 'addresses') return bytes;
  let room = limitBytes - bytes.length + sum(answer.addresses.map(recordBytes));
  const fitting = answer.addresses.findIndex((address) => {
    room -= recordBytes(address);
    return room < 0;
  });
  reply.answers = reply.answers.slice(0, Math.max(0, fitting));
  reply.header.tc = 1;
  return reply.toBuffer();
}

function recordsOf(name: string, answer: Answer): InstanceType<typeof Packet.Resource>[] {
  const record = { name, class: CLASS_IN, ttl: ANSWER_TTL_SECONDS };
  if (answer.kind === 'pointer') {
    return [new Packet.Resource({ ...record, type: QUERY_TYPE.PTR, domain: answer.name })];
  }
  if (answer.kind !== 'addresses') return [];
  return answer.addresses.map((address) => {
    const type = address.includes(':') ? QUERY_TYPE.AAAA : QUERY_TYPE.A;
    return new Packet.Resource({ ...record, type, address });
  });
}

function recordBytes(address: string): number {
  return address.includes(':') ? AAAA_RECORD_BYTES : A_RECORD_BYTES;
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

export function encodeFailure(query: DnsQuery): Buffer {
  const reply = replyTo(query);
  reply.header.rcode = RCODE.serverFailure;
  return reply.toBuffer();
}

function replyTo(query: DnsQuery): PacketInstance {
  const { header } = query.packet;
  const reply = new Packet();
  reply.header = new Packet.Header({ id: header.id, qr: 1, aa: 1, rd: header.rd, ra: 1 });
  reply.questions.push(new Packet.Question(query.question.name, query.question.type, query.question.class));
  if (query.packet.additionals.some((record) => record.type === Packet.TYPE.EDNS)) {
    reply.additionals.push(Packet.Resource.EDNS([], { udpPayloadSize: MOST_UDP_BYTES }));
  }
  return reply;
}

function refuse(bytes: Buffer, rcode: number): ParsedQuery {
  const reply = Buffer.alloc(HEADER_BYTES);
  bytes.copy(reply, 0, 0, 4);
  reply.writeUInt8(0x80 | (bytes.readUInt8(2) & 0x79), 2);
  reply.writeUInt8(0x80 | rcode, 3);
  return { kind: 'refused', reply };
}

function udpLimit(packet: PacketInstance): number {
  const opt = packet.additionals.find((record) => record.type === Packet.TYPE.EDNS);
  return opt === undefined ? PLAIN_UDP_BYTES : Math.min(MOST_UDP_BYTES, Math.max(PLAIN_UDP_BYTES, opt.class));
}
