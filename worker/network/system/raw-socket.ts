import ipaddr from 'ipaddr.js';
import koffi from 'koffi';
import { getSystemErrorMessage } from 'node:util';
import { type AddressFamily, familyOf } from '../../../proto/objects/diagnosis/path.ts';

/**
 * Raw sockets (packet(7), raw(7)), which Node does not have. Loaded only by short-lived processes, which are started in the
 * namespace that they are about.
 */

const AF_INET = 2;
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_IP = 0;
const IPPROTO_ICMP = 1;
const IPPROTO_IPV6 = 41;
const IPPROTO_ICMPV6 = 58;
const IP_MTU_DISCOVER = 10;
const IP_MTU = 14;
const IPV6_MTU_DISCOVER = 23;
const IPV6_MTU = 24;
const IPV6_DONTFRAG = 62;
/** IP_PMTUDISC_DO, and the same of IPv6. */
const PMTUDISC_DO = 2;
/** Of ip(7) and ipv6(7). */
const FAMILIES = {
  4: {
    domain: AF_INET,
    protocol: IPPROTO_ICMP,
    level: IPPROTO_IP,
    mtu: IP_MTU,
    options: [[IP_MTU_DISCOVER, PMTUDISC_DO]],
  },
  6: {
    domain: AF_INET6,
    protocol: IPPROTO_ICMPV6,
    level: IPPROTO_IPV6,
    mtu: IPV6_MTU,
    options: [
      [IPV6_MTU_DISCOVER, PMTUDISC_DO],
      [IPV6_DONTFRAG, 1],
    ],
  },
} as const;
const SOL_SOCKET = 1;
const SO_RCVTIMEO = 20;
const SO_ATTACH_FILTER = 26;
const ETH_P_ALL = 0x0003;
const EAGAIN = 11;
const EINTR = 4;
const MAX_FRAME_BYTES = 65_536;
const PACKET_OUTGOING = 4;
const NAME_BYTES = 16;

const libc = koffi.load('libc.so.6');
const filterProgram = koffi.struct('waggle_sock_fprog', { length: 'uint16', instructions: 'void *' });
const call = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *address, uint length)'),
  connect: libc.func('int connect(int fd, const void *address, uint length)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  attachFilter: libc.func('setsockopt', 'int', ['int', 'int', 'int', koffi.pointer(filterProgram), 'uint']),
  getsockopt: libc.func('int getsockopt(int fd, int level, int name, void *value, void *length)'),
  send: libc.func('long send(int fd, const void *bytes, ulong length, int flags)'),
  recvfrom: libc.func('long recvfrom(int fd, void *bytes, ulong size, int flags, void *address, void *length)'),
  sendto: libc.func('long sendto(int fd, const void *bytes, ulong length, int flags, const void *to, uint size)'),
  indexOf: libc.func('uint if_nametoindex(const char *name)'),
  nameOf: libc.func('void *if_indextoname(uint index, void *name)'),
};

/** One instruction of classic BPF (Linux networking/filter.rst). */
export type FilterInstruction = readonly [code: number, onTrue: number, onFalse: number, value: number];

/** The kernel's refusal, in its own words. */
export class SocketError extends Error {
  override readonly name = 'SocketError';
}

/** A frame with where it was seen. */
export interface Frame {
  bytes: Buffer;
  link: string;
  outgoing: boolean;
}

/** Listens to all links of the namespace for frames that pass the filter. */
export class PacketListener {
  readonly #fd: number;

  constructor(filter: readonly FilterInstruction[], waitMs: number) {
    this.#fd = check('socket', call.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, swap(ETH_P_ALL)));
    const instructions = Buffer.alloc(8 * filter.length);
    for (const [index, [code, onTrue, onFalse, value]] of filter.entries()) {
      instructions.writeUInt16LE(code, 8 * index);
      instructions.writeUInt8(onTrue, 8 * index + 2);
      instructions.writeUInt8(onFalse, 8 * index + 3);
      instructions.writeUInt32LE(value, 8 * index + 4);
    }
    const program = { length: filter.length, instructions };
    check(
      'setsockopt',
      call.attachFilter(this.#fd, SOL_SOCKET, SO_ATTACH_FILTER, program, koffi.sizeof(filterProgram)),
    );
    setWait(this.#fd, waitMs);
  }

  /** @returns undefined when no frame came in time. @throws SocketError */
  async next(): Promise<Frame | undefined> {
    const bytes = Buffer.alloc(MAX_FRAME_BYTES);
    const address = Buffer.alloc(20);
    const length = await receive(this.#fd, bytes, address);
    if (length === undefined) return undefined;
    const name = Buffer.alloc(NAME_BYTES);
    call.nameOf(address.readUInt32LE(4), name);
    const link = name.toString('latin1').replace(/\0.*$/s, '');
    return { bytes: bytes.subarray(0, length), link, outgoing: address.readUInt8(10) === PACKET_OUTGOING };
  }
}

/** Sends frames as they are by one link of the namespace. */
export class FrameSender {
  readonly #fd: number;
  readonly #to: Buffer;

  /** @throws SocketError when there is no such link. */
  constructor(link: string) {
    const index = call.indexOf(link) as number;
    if (index === 0) throw new SocketError(`${link}: ${getSystemErrorMessage(-koffi.errno())}`);
    // sockaddr_ll: a packet that has its Ethernet header needs no more than the link.
    this.#to = Buffer.alloc(20);
    this.#to.writeUInt16LE(AF_PACKET, 0);
    this.#to.writeInt32LE(index, 4);
    this.#fd = check('socket', call.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  }

  /** @throws SocketError */
  send(frame: Buffer): void {
    check('sendto', Number(call.sendto(this.#fd, frame, frame.length, 0, this.#to, this.#to.length)));
  }
}

/** Echo requests to one address, never fragmented. */
export class EchoSocket {
  readonly #fd: number;
  readonly #family: AddressFamily;

  /** @throws SocketError when there is no way to the address. */
  constructor(address: string, waitMs: number) {
    this.#family = familyOf(address);
    const { domain, protocol, level, options } = FAMILIES[this.#family];
    this.#fd = check('socket', call.socket(domain, SOCK_RAW | SOCK_CLOEXEC, protocol));
    for (const [name, value] of options) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(value);
      check('setsockopt', call.setsockopt(this.#fd, level, name, bytes, bytes.length));
    }
    setWait(this.#fd, waitMs);
    const to = socketAddress(address);
    check('connect', call.connect(this.#fd, to, to.length));
  }

  /** @throws SocketError */
  send(bytes: Buffer): void {
    check('send', Number(call.send(this.#fd, bytes, bytes.length, 0)));
  }

  /** A packet, an IPv4 one with its header, or undefined when none came in time. @throws SocketError */
  async next(): Promise<Buffer | undefined> {
    const bytes = Buffer.alloc(MAX_FRAME_BYTES);
    const length = await receive(this.#fd, bytes, Buffer.alloc(28));
    return length === undefined ? undefined : bytes.subarray(0, length);
  }

  /** As the kernel knows the way now; 0 when it does not say. */
  pathMtu(): number {
    const value = Buffer.alloc(4);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(4);
    const { level, mtu } = FAMILIES[this.#family];
    return call.getsockopt(this.#fd, level, mtu, value, length) === 0 ? value.readUInt32LE() : 0;
  }
}

/** In a thread of its own: the caller's event loop goes on. */
function receive(fd: number, bytes: Buffer, address: Buffer): Promise<number | undefined> {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(address.length);
  return new Promise((resolve, reject) => {
    call.recvfrom.async(fd, bytes, bytes.length, 0, address, size, (error: Error | null, result: number | bigint) => {
      const length = Number(result);
      const errno = koffi.errno();
      if (error !== null) reject(error);
      else if (length >= 0) resolve(length);
      else if (errno === EAGAIN || errno === EINTR) resolve(undefined);
      else reject(new SocketError(getSystemErrorMessage(-errno)));
    });
  });
}

function setWait(fd: number, waitMs: number): void {
  const timeout = Buffer.alloc(16);
  timeout.writeBigInt64LE(BigInt(Math.floor(waitMs / 1000)), 0);
  timeout.writeBigInt64LE(BigInt((waitMs % 1000) * 1000), 8);
  check('setsockopt', call.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16));
}

/** sockaddr_in or sockaddr_in6. */
function socketAddress(text: string): Buffer {
  const address = ipaddr.parse(text);
  const isIpv6 = address.kind() === 'ipv6';
  const bytes = Buffer.alloc(isIpv6 ? 28 : 16);
  bytes.writeUInt16LE(isIpv6 ? AF_INET6 : AF_INET, 0);
  bytes.set(address.toByteArray(), isIpv6 ? 8 : 4);
  return bytes;
}

function swap(value: number): number {
  return ((value & 0xff) << 8) | (value >> 8);
}

function check(name: string, result: number): number {
  if (result < 0) throw new SocketError(`${name}: ${getSystemErrorMessage(-koffi.errno())}`);
  return result;
}
