/**
 * The helper process: the only one that enters namespaces. It runs at a high priority and does all that stands between
 * a namespace and a resolver that catches its first query; what the daemon is busy with meanwhile does not matter, since
 * queries wait in the sockets. It ends with the daemon.
 */
import type { SendHandle } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { createServer, Socket as TcpSocket } from 'node:net';
import os from 'node:os';
import { systemClock } from '../../../proto/runtime/clock.ts';
import { messageOf } from '../../../proto/runtime/errors.ts';
import type { HelperReply, HelperRequest, SocketRole } from './helper-protocol.ts';
import { namespaceInode } from './namespace-calls.ts';
import { NamespaceWatch } from './namespace-watch.ts';
import {
  connectToEngineResolver,
  redirectedPort,
  type SandboxSockets,
  setUpSandbox,
  tearDownSandbox,
} from './sandbox-setup.ts';

type SocketReply = Omit<HelperReply & { type: 'socket' }, 'role'>;

const PRIORITY = -20;
const PARENT_LOOK_MS = 1_000;
let setups = 0;
/** Sandboxes whose sockets are on their way: asking again for one must not mix two sets. */
const handingOver = new Set<string>();

const watching = new NamespaceWatch(systemClock, {
  onPresent: (key, seenAtMs) => guarded(key, () => setUp(key, seenAtMs)),
  onExpired: (key) => reply({ type: 'failed', key, error: 'the sandbox has not appeared' }),
});

const handlers: { [T in HelperRequest['type']]: (request: HelperRequest & { type: T }) => void } = {
  want: ({ key }) => {
    const present = handingOver.has(key) || watching.await(key);
    reply({ type: 'watching', key, present });
  },
  drop: ({ key }) => {
    watching.forget(key);
    if (namespaceInode(key) !== undefined) guarded(key, () => tearDownSandbox(key));
    reply({ type: 'dropped', key });
  },
  check: ({ key }) => {
    const inode = namespaceInode(key) ?? 0;
    reply({ type: 'checked', key, inode, port: inode === 0 ? 0 : redirectedPort(key) });
  },
  connect: ({ key, id }) => {
    const socket = new TcpSocket({ fd: connectToEngineResolver(key) });
    reply({ type: 'connection', key, id }, socket);
  },
};

function setUp(key: string, seenAtMs: number): void {
  const sockets: SandboxSockets = setUpSandbox(key);
  const { port, inode } = sockets;
  setups += 1;
  const base: SocketReply = {
    type: 'socket',
    key,
    setup: setups,
    port,
    inode,
    tookMs: systemClock.monotonic() - seenAtMs,
  };
  handingOver.add(key);
  // One after the other: until its turn has come, a socket only collects.
  handOverUdp(base, 'forward', sockets.forward, () => {
    handOverTcp(base, sockets.tcp, () => {
      handOverUdp(base, 'udp', sockets.udp, () => handingOver.delete(key));
    });
  });
}

/** While Node passes the socket on it already reads from it here: what comes then is passed on as well. */
function handOverUdp(base: SocketReply, role: SocketRole, fd: number, then: () => void): void {
  const { key, setup } = base;
  const socket: Socket = createSocket('udp4');
  socket.on('message', (bytes, { address, port }) => {
    if (role === 'udp') reply({ type: 'early-query', key, setup, base64: bytes.toString('base64'), address, port });
  });
  socket.on('error', () => undefined);
  socket.bind({ fd }, () => {
    reply({ ...base, role }, socket, () => {
      socket.close();
      then();
    });
  });
}

function handOverTcp(base: SocketReply, fd: number, then: () => void): void {
  const { key, setup } = base;
  const server = createServer({ pauseOnConnect: true }, (socket) => {
    reply({ type: 'early-connection', key, setup }, socket);
  });
  server.on('error', () => undefined);
  server.listen({ fd }, () => {
    reply({ ...base, role: 'tcp' }, server, () => {
      server.close();
      then();
    });
  });
}

function guarded(key: string, body: () => void): void {
  try {
    body();
  } catch (error) {
    reply({ type: 'failed', key, error: messageOf(error) });
  }
}

function reply(message: HelperReply, handle?: SendHandle, onSent?: () => void): void {
  process.send?.(message, handle, { keepOpen: false }, () => onSent?.());
}

function lowestNice(): void {
  try {
    os.setPriority(PRIORITY);
  } catch {
    // Without CAP_SYS_NICE it works as well, only later under load.
  }
}

/** Node tells nothing of a channel's end (24.21) while a socket that was sent is not acknowledged: whose parent dies then would stay for ever. */
function endWithParent(parent: number): void {
  if (process.ppid !== parent) process.exit(0);
  systemClock.after(PARENT_LOOK_MS, () => endWithParent(parent));
}

lowestNice();
endWithParent(Number(process.argv[2]));
process.on('message', (request: HelperRequest) => {
  try {
    handlers[request.type](request as never);
  } catch (error) {
    const id = request.type === 'connect' ? { id: request.id } : {};
    reply({ type: 'failed', key: request.key, error: messageOf(error), ...id });
  }
});
process.on('disconnect', () => process.exit(0));
// A terminal's interrupt goes to the whole process group; the daemon decides when to end.
process.on('SIGINT', () => undefined);
reply({ type: 'started' });
