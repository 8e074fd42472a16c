import { statSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { Startable } from '../../proto/runtime/lifecycle.ts';

/**
 * One daemon for a data directory: two would answer to the same identity and write the same files. The lock is a socket
 * in the abstract namespace (unix(7)), which the kernel frees with the process, however that ends. It holds among the
 * processes of one network namespace.
 */
export class DataDirLock implements Startable {
  readonly #dataDir: string;
  #server: Server | undefined;

  constructor(options: { dataDir: string }) {
    this.#dataDir = options.dataDir;
  }

  /** @throws WaggleError failed-precondition while another daemon holds it. */
  async start(): Promise<void> {
    const { dev, ino } = statSync(this.#dataDir);
    const server = createServer((socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error: Error & { code?: string }) => reject(this.#refusal(error)));
      server.listen(`\0waggle-data-dir-${dev}-${ino}`, resolve);
    });
    server.unref();
    this.#server = server;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (server !== undefined) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  #refusal(error: Error & { code?: string }): Error {
    if (error.code !== 'EADDRINUSE') return error;
    return new WaggleError(
      'failed-precondition',
      `another waggle daemon is running on --data-dir ${this.#dataDir}. Stop it, or give this one directories and sockets of its own.`,
    );
  }
}
