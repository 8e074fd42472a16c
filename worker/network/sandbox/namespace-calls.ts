import { closeSync, openSync, statfsSync, statSync } from 'node:fs';
import koffi from 'koffi';

/**
 * System calls that Node does not have. Loaded only by the helper process: a thread between two setns calls is in
 * another namespace, and if it cannot get back the process ends at once.
 */

const NSFS_MAGIC = 0x6e736673;
const CLONE_NEWNET = 0x40000000;
const AF_INET = 2;
const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_MARK = 36;
const SO_RCVTIMEO = 20;
const EINPROGRESS = 115;
const SIOCGIFFLAGS = 0x8913;
const SIOCSIFFLAGS = 0x8914;
const IFREQ_BYTES = 40;
const IFREQ_FLAGS_AT = 16;
const IFF_UP = 1;

const libc = koffi.load('libc.so.6');
const call = {
  setns: libc.func('int setns(int fd, int type)'),
  socket: libc.func('int socket(int domain, int type, int protocol)'),
  bind: libc.func('int bind(int fd, const void *address, uint length)'),
  connect: libc.func('int connect(int fd, const void *address, uint length)'),
  listen: libc.func('int listen(int fd, int backlog)'),
  getsockname: libc.func('int getsockname(int fd, void *address, void *length)'),
  setsockopt: libc.func('int setsockopt(int fd, int level, int name, const void *value, uint length)'),
  send: libc.func('long send(int fd, const void *bytes, ulong length, int flags)'),
  ioctl: libc.func('int ioctl(int fd, ulong request, _Inout_ void *argument)'),
  recv: libc.func('long recv(int fd, void *bytes, ulong length, int flags)'),
};

const home = openSync('/proc/self/ns/net', 'r');

/** What the kernel refused, with its number. */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly errno: number;

  constructor(name: string, errno: number) {
    super(`${name}: errno ${errno}`);
    this.errno = errno;
  }
}

/** Inode of the namespace that is mounted at the path; undefined while there is none. */
export function namespaceInode(path: string): number | undefined {
  try {
    return statfsSync(path).type === NSFS_MAGIC ? statSync(path).ino : undefined;
  } catch {
    return undefined;
  }
}

/** True when there is a file, even one on which nothing is mounted yet. */
export function exists(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/**
 * Runs `body`, which must be synchronous, inside the network namespace at the path.
 * @throws SystemCallError, or what `body` throws; the thread is back in its own namespace then too.
 */
export function inNamespace<T>(path: string, body: () => T): T {
  const target = openSync(path, 'r');
  try {
    check('setns', call.setns(target, CLONE_NEWNET));
    try {
      return body();
    } finally {
      if (call.setns(home, CLONE_NEWNET) !== 0) process.abort();
    }
  } finally {
    closeSync(target);
  }
}

/**
 * Brings the loopback interface up, as the engine is about to do itself: before that 127.0.0.0/8 has no route, and a
 * socket bound to an address of it sends from 127.0.0.1 for ever.
 */
export function raiseLoopback(): void {
  const fd = opened(AF_INET, SOCK_DGRAM, 0, () => undefined);
  try {
    const request = Buffer.alloc(IFREQ_BYTES);
    request.write('lo');
    check('SIOCGIFFLAGS', call.ioctl(fd, SIOCGIFFLAGS, request));
    const flags = request.readUInt16LE(IFREQ_FLAGS_AT);
    if ((flags & IFF_UP) !== 0) return;
    request.writeUInt16LE(flags | IFF_UP, IFREQ_FLAGS_AT);
    check('SIOCSIFFLAGS', call.ioctl(fd, SIOCSIFFLAGS, request));
  } finally {
    closeSync(fd);
  }
}

/** A UDP socket. @param port 0: the kernel chooses. @param mark of its packets, 0 for none. */
export function udpSocket(address: string, port: number, mark: number): number {
  return opened(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0, (fd) => {
    if (mark !== 0) option(fd, SOL_SOCKET, SO_MARK, mark);
    check('bind', call.bind(fd, socketAddress(address, port), 16));
  });
}

/** @returns a listening socket. @throws SystemCallError */
export function tcpListener(address: string, port: number): number {
  return opened(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, (fd) => {
    option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    check('bind', call.bind(fd, socketAddress(address, port), 16));
    check('listen', call.listen(fd, 128));
  });
}

/** A TCP connection that is open or on its way. */
export function tcpConnection(address: string, port: number, mark: number): number {
  return opened(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, (fd) => {
    option(fd, SOL_SOCKET, SO_MARK, mark);
    const result: number = call.connect(fd, socketAddress(address, port), 16);
    if (result !== 0 && koffi.errno() !== EINPROGRESS) throw new SystemCallError('connect', koffi.errno());
  });
}

/** The port that a socket was given. */
export function localPort(fd: number): number {
  const address = Buffer.alloc(16);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(16);
  check('getsockname', call.getsockname(fd, address, length));
  return address.readUInt16BE(2);
}

/** Sends netlink bytes to netfilter and hands out answers until `read` says that it has all. */
export function netfilterExchange(bytes: Buffer, read: (answer: Buffer) => boolean): void {
  const fd = opened(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER, (opening) => {
    const timeout = Buffer.alloc(16);
    timeout.writeBigInt64LE(1n, 0);
    check('setsockopt', call.setsockopt(opening, SOL_SOCKET, SO_RCVTIMEO, timeout, 16));
  });
  try {
    check('send', call.send(fd, bytes, bytes.length, 0));
    const answer = Buffer.alloc(32_768);
    for (;;) {
      const length = check('recv', Number(call.recv(fd, answer, answer.length, 0)));
      if (read(answer.subarray(0, length))) return;
    }
  } finally {
    closeSync(fd);
  }
}

function opened(domain: number, type: number, protocol: number, prepare: (fd: number) => void): number {
  const fd = check('socket', call.socket(domain, type | SOCK_CLOEXEC, protocol));
  try {
    prepare(fd);
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function option(fd: number, level: number, name: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  check('setsockopt', call.setsockopt(fd, level, name, bytes, 4));
}

function socketAddress(address: string, port: number): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeUInt16LE(AF_INET, 0);
  bytes.writeUInt16BE(port, 2);
  bytes.set(address.split('.').map(Number), 4);
  return bytes;
}

function check(name: string, result: number): number {
  if (result < 0) throw new SystemCallError(name, koffi.errno());
  return result;
}
