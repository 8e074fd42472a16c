import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { Duplex } from 'node:stream';

export interface Seen {
  method: string;
  url: string;
  rawHeaders: string[];
  body: Buffer;
}

type Answer = (req: IncomingMessage, res: ServerResponse, body: Buffer) => void;

/** An engine that answers what a test tells it, and remembers what it got. */
export class FakeEngine {
  readonly seen: Seen[] = [];
  readonly answers = new Map<string, Answer>();
  readonly upgrades = new Map<string, (socket: Duplex, head: Buffer) => void>();
  readonly #server: Server;

  constructor() {
    this.#server = createServer({ maxHeaderSize: 1024 * 1024 }, (req, res) => {
      const chunks: Buffer[] = [];
      const early = this.answers.get(`EARLY ${keyOf(req)}`);
      if (early !== undefined) return early(req, res, Buffer.alloc(0));
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('end', () => this.#serve(req, res, Buffer.concat(chunks)));
    });
    this.#server.on('upgrade', (req, socket, head) => {
      this.#remember(req, Buffer.alloc(0));
      this.upgrades.get(keyOf(req))?.(socket, head);
    });
  }

  json(key: string, status: number, value: unknown): void {
    this.answers.set(key, (_req, res) => {
      res.writeHead(status, { 'Content-Type': 'application/json' });
      res.end(typeof value === 'string' ? value : JSON.stringify(value));
    });
  }

  /** Requests other than those about the engine's version. */
  get requests(): Seen[] {
    return this.seen.filter((each) => each.url !== '/version');
  }

  async listen(socketPath: string): Promise<void> {
    this.json('GET /version', 200, { ApiVersion: '1.41', MinAPIVersion: '1.12', Version: '20.10.24' });
    await new Promise<void>((resolve) => this.#server.listen(socketPath, resolve));
  }

  connections(): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
    });
  }

  async close(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(req: IncomingMessage, res: ServerResponse, body: Buffer): void {
    this.#remember(req, body);
    const answer = this.answers.get(keyOf(req));
    if (answer !== undefined) return answer(req, res, body);
    res.writeHead(404, { 'Content-Type': 'application/json' });
    res.end('{"message":"page not found by the engine"}\n');
  }

  #remember(req: IncomingMessage, body: Buffer): void {
    this.seen.push({ method: req.method ?? '', url: req.url ?? '', rawHeaders: req.rawHeaders, body });
  }
}

/** Method and path, without version and query. */
function keyOf(req: IncomingMessage): string {
  return `${req.method ?? ''} ${(req.url ?? '').replace(/\?.*/, '').replace(/^\/v[\d.]+/, '')}`;
}
