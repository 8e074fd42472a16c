import { Socket } from 'node:net';

type WriteDone = (error?: Error | null) => void;

/**
 * A connection to the engine whose write side may break without taking unread output with it. The engine closes a
 * hijacked connection, or refuses an upload, as soon as it has said all it has to say; Node then fails the next
 * write with EPIPE and destroys the socket, and what the engine said last is lost. Here such a write goes nowhere,
 * and the read side ends by itself once it is drained.
 */
export class EngineSocket extends Socket {
  #writable = true;

  constructor() {
    super({ allowHalfOpen: true });
  }

  override _write(chunk: unknown, encoding: BufferEncoding, done: WriteDone): void {
    if (!this.#writable) return done();
    super._write(chunk, encoding, this.#tolerate(done));
  }

  override _writev(chunks: { chunk: unknown; encoding: BufferEncoding }[], done: WriteDone): void {
    if (!this.#writable) return done();
    super._writev?.(chunks, this.#tolerate(done));
  }

  override _final(done: WriteDone): void {
    if (!this.#writable) return done();
    super._final(this.#tolerate(done));
  }

  #tolerate(done: WriteDone): WriteDone {
    return (error) => {
      if (!isBrokenPipe(error)) return done(error);
      this.#writable = false;
      done();
    };
  }
}

function isBrokenPipe(error: (Error & { code?: string }) | null | undefined): boolean {
  return error?.code === 'EPIPE' || error?.code === 'ECONNRESET' || error?.code === 'ENOTCONN';
}
