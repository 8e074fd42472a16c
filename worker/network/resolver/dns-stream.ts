import type { Socket } from 'node:net';
import type { Clock } from '../../../proto/runtime/clock.ts';

export interface DnsStreamModules {
  clock: Clock;
  /** Connections of the sandbox; this one adds and removes itself. */
  open: Set<Socket>;
  /** @returns undefined: no answer is owed. Never rejects. */
  answer: (query: Buffer) => Promise<Buffer | undefined>;
}

const MOST_STREAMS = 64;
const MOST_PIPELINED = 32;
const IDLE_MS = 10_000;
const ASK_MS = 15_000;

/** Serves one client by RFC 7766: messages with a 2-byte length in front, answered as they are ready. */
export function serveDnsStream(socket: Socket, modules: DnsStreamModules): void {
  const { open, clock } = modules;
  socket.on('error', () => undefined);
  if (open.size >= MOST_STREAMS) return void socket.destroy();
  open.add(socket);
  const end = (): void => void socket.destroy();
  let cancelIdle = clock.after(IDLE_MS, end);
  let pending = 0;
  socket.on('close', () => {
    cancelIdle();
    open.delete(socket);
  });
  const serve = (query: Buffer): void => {
    cancelIdle();
    cancelIdle = clock.after(IDLE_MS, end);
    pending += 1;
    if (pending > MOST_PIPELINED) return end();
    void modules.answer(query).then((reply) => {
      pending -= 1;
      if (reply !== undefined && socket.writable) socket.write(framed(reply));
    });
  };
  socket.on('data', frames(serve));
  socket.resume();
}

/** Asks one question over a connection and closes it. @throws Error when there is no answer in time. */
export function askByStream(socket: Socket, query: Buffer, clock: Clock): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ASK_MS, () => socket.destroy());
    socket.on('error', reject);
    socket.on('close', () => {
      cancel();
      reject(new Error('the resolver closed the connection'));
    });
    socket.on(
      'data',
      frames((answer) => {
        resolve(answer);
        socket.destroy();
      }),
    );
    socket.resume();
    socket.write(framed(query));
  });
}

/** Cuts a byte stream into messages. */
function frames(onMessage: (message: Buffer) => void): (part: Buffer) => void {
  let rest = Buffer.alloc(0);
  return (part) => {
    rest = Buffer.concat([rest, part]);
    while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
      const end = 2 + rest.readUInt16BE(0);
      onMessage(rest.subarray(2, end));
      rest = rest.subarray(end);
    }
  };
}

function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}
