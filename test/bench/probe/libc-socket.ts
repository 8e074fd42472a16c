import { closeSync } from 'node:fs';
import koffi from 'koffi';

/**
 * Blocking sockets straight from libc: a call costs half a microsecond, where Node's event loop adds tens of them to every
 * round trip.
 */

const AF_INET = 2;
const AF_PACKET = 17;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const ETH_P_ARP = 0x0806;
const LINK_ADDRESS_BYTES = 20;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_LINGER = 13;
const SO_RCVTIMEO = 20;
const SO_SNDTIMEO = 21;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const ADDRESS_BYTES = 16;
const BACKLOG = 4096;
const TIMEOUT_SECONDS = 5n;

const libc = koffi.load('libc.so.6');
const call = {
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *address, uint length)'),
  connect: libc.func('int connect(int fd, const void *address, uint length)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  accept: libc.func('int accept(int fd, void *address, void *length)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  send: libc.func('long send(int fd, const void *bytes, ulong length, int flags)'),
  recv: libc.func('long recv(int fd, void *bytes, ulong length, int flags)'),
  sendto: libc.func('long sendto(int fd, const void *bytes, ulong size, int flags, const void *address, uint length)'),
  if_nametoindex: libc.func('uint if_nametoindex(const char *name)'),
};

const one = Buffer.from([1, 0, 0, 0]);
const timeout = Buffer.alloc(16);
timeout.writeBigInt64LE(TIMEOUT_SECONDS, 0);
/** On, zero seconds: closing resets the connection, so that no port waits. */
const resetOnClose = Buffer.from([1, 0, 0, 0, 0, 0, 0, 0]);

/** @throws Error when the address is in use. */
export function listenTcp(port: number): number {
  const fd = check('socket', call.socket(AF_INET, SOCK_STREAM, 0));
  check('setsockopt', call.setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, one, 4));
  check('bind', call.bind(fd, socketAddress('0.0.0.0', port), ADDRESS_BYTES));
  check('listen', call.listen(fd, BACKLOG));
  return fd;
}

/** The next connection, waiting for it. */
export function acceptTcp(listener: number): number {
  const fd = check('accept', call.accept(listener, null, null));
  check('setsockopt', call.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, 4));
  return fd;
}

/** A connection whose calls end after five seconds at the latest. @throws Error when it is refused. */
export function connectTcp(address: Buffer): number {
  return connected(SOCK_STREAM, address, (fd) => {
    check('setsockopt', call.setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, one, 4));
    check('setsockopt', call.setsockopt(fd, SOL_SOCKET, SO_LINGER, resetOnClose, 8));
  });
}

export function connectUdp(address: Buffer): number {
  return connected(SOCK_DGRAM, address, () => undefined);
}

/** For echo requests and replies; what is received begins with its IPv4 header (raw(7)). */
export function icmpSocket(): number {
  return check('socket', call.socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

/** Whole ARP frames of one link (packet(7)). @throws Error when there is no such link. */
export function arpSocket(link: string): number {
  const index = check('if_nametoindex', Number(call.if_nametoindex(link)) || -1);
  const protocol = ((ETH_P_ARP & 0xff) << 8) | (ETH_P_ARP >> 8);
  const fd = check('socket', call.socket(AF_PACKET, SOCK_RAW, protocol));
  const address = Buffer.alloc(LINK_ADDRESS_BYTES);
  address.writeUInt16LE(AF_PACKET, 0);
  address.writeUInt16BE(ETH_P_ARP, 2);
  address.writeInt32LE(index, 4);
  check('bind', call.bind(fd, address, LINK_ADDRESS_BYTES));
  return fd;
}

/** Does not wait; what cannot be sent now is lost. */
export function sendNow(fd: number, bytes: Buffer, address?: Buffer): void {
  const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
  if (address === undefined) call.send(fd, bytes, bytes.length, flags);
  else call.sendto(fd, bytes, bytes.length, flags, address, ADDRESS_BYTES);
}

/** Does not wait. @returns the number of bytes; 0 or less when nothing is there. */
export function receiveNow(fd: number, bytes: Buffer): number {
  return Number(call.recv(fd, bytes, bytes.length, MSG_DONTWAIT));
}

/** @returns false when the other end has gone. */
export function sendAll(fd: number, bytes: Buffer, length: number): boolean {
  return Number(call.send(fd, bytes, length, MSG_NOSIGNAL)) === length;
}

/** @returns the number of bytes; 0 or less when the other end has gone or time is up. */
export function receive(fd: number, bytes: Buffer): number {
  return Number(call.recv(fd, bytes, bytes.length, 0));
}

export function closeSocket(fd: number): void {
  closeSync(fd);
}

/** A `struct sockaddr_in`. */
export function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(ADDRESS_BYTES);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address.split('.').map(Number), 4);
  return bytes;
}

function connected(type: number, address: Buffer, prepare: (fd: number) => void): number {
  const fd = check('socket', call.socket(AF_INET, type, 0));
  try {
    check('setsockopt', call.setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, timeout, 16));
    check('setsockopt', call.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, timeout, 16));
    prepare(fd);
    check('connect', call.connect(fd, address, ADDRESS_BYTES));
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function check(name: string, result: number): number {
  if (result < 0) throw new Error(`${name}: errno ${koffi.errno()}`);
  return result;
}
